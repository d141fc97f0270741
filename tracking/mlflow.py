"""MLflow as the store of runs: SQLite under the home by default, a server where a URI names one.

Through ``MlflowClient`` alone: no active run, no global tracking URI, so that the process is free to use MLflow
for something else. The import and a new database's first migration take seconds; ``open_soon`` does both
beside other work.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tunewright.domain.errors import TrackingError, UsageError
from tunewright.tracking import database
from tunewright.tracking.store import Point, RunRecord, RunStatus
from tunewright.tracking.tracker import StudyTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "tunewright"
_PARENT = "mlflow.parentRunId"

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # Where MLflow imports litellm, litellm's fetch of a price list and MLflow's import hooks lock each other up.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""Set for this process unless the user has: a dead server is told of in seconds, and nothing calls home."""

_PARAMS_AT_ONCE = 100  # MLflow's limits for one batch
_TAGS_AT_ONCE = 100
_POINTS_AT_ONCE = 1000
_NO_ANSWER = re.compile(r"Max retries|Connection|timed out|timeout|NameResolution|503|502|504", re.I)


class MlflowStore:
    """A ``RunStore`` in MLflow.

    Args:
        uri: what ``MLFLOW_TRACKING_URI`` would name: ``sqlite:///...``, ``http://...``.
        home: where artifacts go (``mlartifacts``) when the store is a database; a server has its own place.
        cache: keeps an empty database of MLflow's newest schema, so that only the first home on a machine
            waits for its migrations. None: nothing is kept.
    """

    def __init__(self, uri: str, home: Path, *, cache: Path | None = None) -> None:
        self.uri = uri
        self.home = home.absolute()
        self._cache = cache
        self._opening: Future[tuple[MlflowClient, str]] | None = None

    def open_soon(self) -> None:
        """Starts to open the store beside other work; what goes wrong is raised where it is first used."""
        if self._opening is None:
            worker = ThreadPoolExecutor(1, thread_name_prefix="mlflow-open")
            self._opening = worker.submit(self._open)
            worker.shutdown(wait=False)

    def create(self, name: str, tags: Mapping[str, str], parent: str | None) -> str:
        under = {_PARENT: parent} if parent else {}
        with self._asked("create a run"):
            run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags) | under)
            return str(run.info.run_id)

    def find(self, tags: Mapping[str, str]) -> str | None:
        return next(iter(self.find_all(tags, 1)), None)

    def find_all(self, tags: Mapping[str, str], most: int) -> list[str]:
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        with self._asked("search runs"):
            found = self._client.search_runs([self._experiment], wanted, max_results=most)
            return [str(run.info.run_id) for run in found]

    def get(self, run_id: str) -> RunRecord | None:
        from mlflow.exceptions import MlflowException

        if not re.fullmatch(r"[0-9a-zA-Z][\w.-]{0,255}", run_id):
            return None
        with self._asked("read a run"):
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            if run.info.lifecycle_stage == "deleted":
                return None
            return RunRecord(
                id=run_id,
                name=run.info.run_name or "",
                status=run.info.status,
                parent=run.data.tags.get(_PARENT),
                tags=dict(run.data.tags),
                params=dict(run.data.params),
                metrics=dict(run.data.metrics),
            )

    def starting_with(self, prefix: str) -> list[str]:
        if not re.fullmatch(r"\w+", prefix):
            return []
        with self._asked("search runs"):
            pattern = f"attributes.run_id LIKE '{prefix}%'"
            found = self._client.search_runs([self._experiment], pattern, max_results=100)
            return [str(run.info.run_id) for run in found]

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        points: Sequence[Point] = (),
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(p.key, p.value, int(p.at * 1000), p.step) for p in points]
        some_params = [Param(key, value) for key, value in (params or {}).items()]
        some_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        with self._asked("log to a run"):
            while metrics or some_params or some_tags:
                self._client.log_batch(
                    run_id, metrics[:_POINTS_AT_ONCE], some_params[:_PARAMS_AT_ONCE], some_tags[:_TAGS_AT_ONCE]
                )
                metrics, some_params = metrics[_POINTS_AT_ONCE:], some_params[_PARAMS_AT_ONCE:]
                some_tags = some_tags[_TAGS_AT_ONCE:]

    def upload(self, run_id: str, source: Path, under: str = "") -> None:
        with self._asked(f"keep '{source.name}'"):
            if source.is_dir():
                self._client.log_artifacts(run_id, str(source), under or None)
            else:
                self._client.log_artifact(run_id, str(source), under or None)

    def write(self, run_id: str, name: str, text: str) -> None:
        with self._asked(f"keep '{name}'"), tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(name).name
            path.write_text(text, encoding="utf-8")
            folder = str(Path(name).parent)
            self._client.log_artifact(run_id, str(path), None if folder == "." else folder)

    def download(self, run_id: str, name: str, into: Path) -> Path | None:
        with self._asked(f"fetch '{name}'"):
            above = str(Path(name).parent)
            listed = self._client.list_artifacts(run_id, None if above == "." else above)
            if name not in [item.path for item in listed]:
                return None
            with tempfile.TemporaryDirectory() as scratch:
                found = Path(self._client.download_artifacts(run_id, name, scratch))
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(found, into / name)
            return into / name

    def status(self, run_id: str, status: RunStatus) -> None:
        with self._asked("end a run"):
            if status == "RUNNING":
                self._client.update_run(run_id, status=status)
            else:
                self._client.set_terminated(run_id, status)

    def register(self, model: str, run_id: str, name: str, alias: str, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        with self._asked("register the winner"):
            try:
                self._client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            known = [v for v in self._client.search_model_versions(f"name = '{model}'") if v.run_id == run_id]
            if known:
                version = str(known[0].version)
            else:
                source = f"{self._client.get_run(run_id).info.artifact_uri}/{name}"
                made = self._client.create_model_version(model, source, run_id, tags=dict(tags), await_creation_for=0)
                version = str(made.version)
            self._client.set_registered_model_alias(model, alias, version)
            return version

    @contextlib.contextmanager
    def asking(self, doing: str) -> Iterator[tuple[MlflowClient, str]]:
        """Client and experiment, for what is kept beside the runs; what they raise becomes a ``TrackingError``."""
        with self._asked(doing):
            yield self._client, self._experiment

    @property
    def _client(self) -> MlflowClient:
        return self._opened()[0]

    @property
    def _experiment(self) -> str:
        return self._opened()[1]

    def _opened(self) -> tuple[MlflowClient, str]:
        self.open_soon()
        assert self._opening is not None
        try:
            return self._opening.result()
        except BaseException:
            self._opening = None  # the next call tries again: a server may have come back
            raise

    def _open(self) -> tuple[MlflowClient, str]:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        for chatter in ("alembic", "urllib3.connectionpool"):
            logging.getLogger(chatter).setLevel(logging.ERROR)
        with self._asked("open the store"):
            database.prepare(self.uri, self.home, self._cache)
            from mlflow import MlflowClient

            client = MlflowClient(self.uri, registry_uri=self.uri)
            return client, self._find_experiment(client)

    def _find_experiment(self, client: MlflowClient) -> str:
        from mlflow.exceptions import MlflowException

        local = re.match(r"sqlite:|mysql|postgresql|mssql", self.uri) is not None
        place = (self.home / "mlartifacts").as_uri() if local else None
        known = client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            try:
                return str(client.create_experiment(EXPERIMENT, artifact_location=place))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                known = client.get_experiment_by_name(EXPERIMENT)  # another process was first
        assert known is not None
        if known.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the MLflow experiment '{EXPERIMENT}' was deleted",
                f"restore it: mlflow experiments restore --experiment-id {known.experiment_id}",
            )
        return str(known.experiment_id)

    @contextlib.contextmanager
    def _asked(self, doing: str) -> Iterator[None]:
        """Turns whatever the store raises into a ``TrackingError`` of one line."""
        try:
            yield
        except (TrackingError, UsageError):
            raise
        except Exception as error:
            text = str(error)
            where = (
                f"the MLflow {'server at' if '://' in self.uri and not self._is_file else 'store'} {_public(self.uri)}"
            )
            if not self._is_file and _NO_ANSWER.search(text):
                raise TrackingError(
                    f"{where} does not answer: {_cause(error)}",
                    "start it, or unset MLFLOW_TRACKING_URI to keep runs under TUNEWRIGHT_HOME; nothing is lost",
                ) from error
            first = next(iter(text.strip().splitlines()), type(error).__name__)
            raise TrackingError(f"{where} could not {doing}: {first[:300]}", "nothing is lost; try again") from error

    @property
    def _is_file(self) -> bool:
        return self.uri.startswith(("sqlite:", "file:")) or "://" not in self.uri


def _cause(error: Any) -> str:
    """The innermost reason, such as ``Connection refused``, out of the layers that HTTP clients wrap it in."""
    text = str(error)
    if re.search(r"time(d )?out", text, re.I):
        return "timed out"
    told = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return told.group(1).strip() if told else text.strip().splitlines()[0][:200]


def _public(uri: str) -> str:
    """The URI without a password in it."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))


class MlflowTracker(StudyTracker):
    """The ``Tracker`` over MLflow.

    Args:
        uri: a tracking URI; ``Settings.mlflow_uri`` has the default.
        home: ``TUNEWRIGHT_HOME``.
        cache: ``TUNEWRIGHT_CACHE``; see ``MlflowStore``.
    """

    def __init__(self, uri: str, home: Path, *, cache: Path | None = None) -> None:
        self.mlflow = MlflowStore(uri, home, cache=cache)
        super().__init__(self.mlflow)

    def open_soon(self) -> None:
        """Opens the store beside other work: call it as soon as it is known that it will be needed."""
        self.mlflow.open_soon()
