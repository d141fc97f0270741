"""A tracker that keeps everything in this process: for tests, and for studies nobody needs to look up later."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunewright.tracking.store import Point, RunRecord, RunStatus
from tunewright.tracking.traces import DIGEST, Kept, PromptVersion
from tunewright.tracking.tracker import StudyTracker


@dataclass
class _Run:
    name: str
    parent: str | None
    tags: dict[str, str]
    status: RunStatus = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    points: dict[Point, None] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


class MemoryStore:
    """A ``RunStore`` of dictionaries."""

    def __init__(self) -> None:
        self.runs: dict[str, _Run] = {}
        self.models: dict[str, dict[str, str]] = {}
        """Registered model -> alias or version -> run id."""

    def create(self, name: str, tags: Mapping[str, str], parent: str | None) -> str:
        run_id = uuid.uuid4().hex
        self.runs[run_id] = _Run(name, parent, dict(tags))
        return run_id

    def find(self, tags: Mapping[str, str]) -> str | None:
        return next(iter(self.find_all(tags, 1)), None)

    def find_all(self, tags: Mapping[str, str], most: int) -> list[str]:
        found = [run_id for run_id, run in self.runs.items() if tags.items() <= run.tags.items()]
        return found[::-1][:most]

    def get(self, run_id: str) -> RunRecord | None:
        run = self.runs.get(run_id)
        if run is None:
            return None
        last: dict[str, Point] = {}
        for point in run.points:
            if point.key not in last or (point.step, point.at) >= (last[point.key].step, last[point.key].at):
                last[point.key] = point
        return RunRecord(
            id=run_id,
            name=run.name,
            status=run.status,
            parent=run.parent,
            tags=dict(run.tags),
            params=dict(run.params),
            metrics={key: point.value for key, point in last.items()},
        )

    def starting_with(self, prefix: str) -> list[str]:
        return [run_id for run_id in self.runs if run_id.startswith(prefix)][:100]

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        points: Sequence[Point] = (),
    ) -> None:
        run = self.runs[run_id]
        run.params.update(params or {})
        run.tags.update(tags or {})
        run.points.update(dict.fromkeys(points))

    def upload(self, run_id: str, source: Path, under: str = "") -> None:
        at = Path(under)
        if source.is_file():
            self.runs[run_id].files[str(at / source.name)] = source.read_bytes()
            return
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.runs[run_id].files[str(at / path.relative_to(source))] = path.read_bytes()

    def write(self, run_id: str, name: str, text: str) -> None:
        self.runs[run_id].files[name] = text.encode()

    def download(self, run_id: str, name: str, into: Path) -> Path | None:
        files = self.runs[run_id].files
        found = {path: data for path, data in files.items() if path == name or path.startswith(f"{name}/")}
        for path, data in found.items():
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(data)
        return into / name if found else None

    def status(self, run_id: str, status: RunStatus) -> None:
        self.runs[run_id].status = status

    def register(self, model: str, run_id: str, name: str, alias: str, tags: Mapping[str, str]) -> str:
        versions = self.models.setdefault(model, {})
        known = [version for version, of in versions.items() if of == run_id and version.isdigit()]
        version = known[0] if known else str(1 + sum(v.isdigit() for v in versions))
        versions[version] = versions[alias] = run_id
        return version


class MemoryTracker(StudyTracker):
    """A ``Tracker`` over a ``MemoryStore``."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        super().__init__(self.memory)


class MemoryTraces:
    """A ``TraceStore`` of dictionaries."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.traces: dict[str, Kept] = {}
        self.links: set[tuple[str, str]] = set()
        """(run, trace)."""
        self.prompts: dict[str, tuple[PromptVersion, str]] = {}
        """``NAME@VERSION`` -> its version here, and its text."""

    def trace_digests(self, run_id: str) -> dict[str, str]:
        return {id: self.traces[id].tags[DIGEST] for run, id in self.links if run == run_id}

    def keep_traces(self, run_id: str, traces: Sequence[Kept]) -> None:
        self.traces |= {one.id: one for one in traces}
        self.link_traces(run_id, [one.id for one in traces])

    def link_traces(self, run_id: str, ids: Sequence[str]) -> None:
        self.links |= {(run_id, id) for id in ids}

    def prompt_versions(self) -> dict[str, PromptVersion]:
        return {source: version for source, (version, _) in self.prompts.items()}

    def register_prompt(self, name: str, text: str, source: str) -> PromptVersion:
        number = 1 + sum(version.name == name for version, _ in self.prompts.values())
        self.prompts[source] = (PromptVersion(name, number), text)
        return self.prompts[source][0]

    def use_prompts(self, run_id: str, used: Sequence[PromptVersion], tags: Mapping[str, str]) -> None:
        self._store.log(run_id, tags=tags)
