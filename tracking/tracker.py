"""The tracker: a study and its jobs as runs in a store. A view of the journal, so that it can be made again.

A run is created once and found again by its tags; a curve's points carry the time of the event they come
from, so that writing them again changes nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunewright.domain.errors import TrackingError
from tunewright.domain.frozen import short
from tunewright.domain.job import CodeIdentity, EvaluationSpec, TrialSpec
from tunewright.domain.outcome import Paused
from tunewright.domain.study import Study
from tunewright.domain.trial_event import TrialEvent
from tunewright.tracking import entry, identity, system
from tunewright.tracking import precedent as precedents
from tunewright.tracking.entry import PREFIX, STUDY
from tunewright.tracking.store import Point, RunStore

_FLUSH_S = 3.0
_FLUSH_POINTS = 500
_AWAY_S = 30.0  # how long curves wait after a store that did not answer; a running job must not wait with them
_UNSURE = 50  # verdicts of an earlier process that may not have been written before it ended


@dataclass
class _Curve:
    """What a job's run has of its curves, and what it is still to get."""

    seen: set[tuple[str, int]] = field(default_factory=set)
    waiting: list[Point] = field(default_factory=list)
    flushed_at: float = 0.0
    live: bool = False
    """Whether the job runs now, so that a look at the machine belongs to it."""

    def add(self, points: Iterable[Point]) -> None:
        """Takes points in; a step that is there already, such as one repeated after a resume, is left out."""
        for point in points:
            if (point.key, point.step) not in self.seen:
                self.seen.add((point.key, point.step))
                self.waiting.append(point)

    @property
    def due(self) -> bool:
        late = time.monotonic() - self.flushed_at > _FLUSH_S
        away = self.flushed_at > time.monotonic()
        return bool(self.waiting) and not away and (late or len(self.waiting) >= _FLUSH_POINTS)


class StudyTracker:
    """The ``Tracker`` over any ``RunStore``. One process writes a study; used by one thread.

    Args:
        store: where the runs are kept.
    """

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._runs: dict[tuple[str, str], str] = {}
        self._fresh: set[str] = set()
        self._written: set[str] = set()
        self._curves: dict[str, _Curve] = {}
        self._judged: dict[str, int] = {}
        system.prime()

    def start_study(self, study: Study, folder: Path) -> str:
        """The parent run's id. Call it again when more is known: data and plan are kept as soon as they are there."""
        run_id = self._find(study, STUDY)
        if run_id is None:
            run_id = self.store.create(study.name, entry.identity_tags(study, STUDY) | entry.study_tags(study), None)
            self._fresh.add(run_id)
        self._runs[entry.study_key(study), STUDY] = run_id
        self._inputs(study, run_id, folder)
        self._verdicts(study, run_id)
        return run_id

    def start_job(self, study: Study, job: str, folder: Path) -> str:
        """The job's run under the parent; opens it again after a pause."""
        parent = self.start_study(study, folder.parent.parent)
        run_id = self._find(study, job)
        tags = entry.identity_tags(study, job) | entry.job_tags(study, job)
        spec = entry.read_spec(folder)
        if spec is not None:
            tags |= entry.spec_tags(spec)
        if run_id is None:
            run_id = self.store.create(job, tags, parent)
            self._runs[entry.study_key(study), job] = run_id
            self._curve(run_id)
        elif run_id not in self._curves:
            self._runs[entry.study_key(study), job] = run_id
            self._catch_up(study, job, folder)
            self.store.log(run_id, tags=tags)
            self.store.status(run_id, "RUNNING")
        if spec is not None:
            self._specification(run_id, parent, spec)
        return run_id

    def log_events(self, study: Study, job: str, events: Sequence[TrialEvent]) -> None:
        """Adds curves; a point may wait some seconds to be sent in one batch, but not while its job is paused."""
        run_id = self._runs.get((entry.study_key(study), job))
        if run_id is None:
            raise TrackingError(f"job {job} of study {study.name} has no run yet")
        curve = self._curve(run_id)
        curve.add(self._points(study, job, events))
        curve.live = True
        paused = job in study.jobs and isinstance(study.jobs[job].outcome, Paused)
        if not curve.due and not paused:
            return
        try:
            self._flush(run_id)
        except TrackingError:
            curve.flushed_at = time.monotonic() + _AWAY_S
            raise

    def finish_job(self, study: Study, job: str, folder: Path) -> None:
        """Everything of an ended job, its curves from ``out/events.jsonl`` included; a verdict may follow later."""
        run_id = self.start_job(study, job, folder)
        record = study.jobs[job]
        self._catch_up(study, job, folder)
        self._files(run_id, record.role == "test", folder / "out")
        seen, at = self._curve(run_id).seen, record.ended_at or time.time()
        step = max((step for _, step in seen), default=0)
        found = entry.job_metrics(study, job)
        last = [Point(name, value, step, at) for name, value in found.items() if (name, step) not in seen]
        self.store.log(run_id, points=last, tags=entry.job_tags(study, job))
        self.store.status(run_id, entry.run_status(record.outcome))
        self._curves.pop(run_id, None)

    def finish_study(self, study: Study, files: Sequence[Path]) -> None:
        """The summary, the report's files, the winner in the model registry; ends the parent run."""
        run_id = self._runs.get((entry.study_key(study), STUDY)) or self._find(study, STUDY)
        if run_id is None:
            run_id = self.store.create(study.name, entry.identity_tags(study, STUDY), None)
        for file in files:
            self.store.upload(run_id, file, "report")
        self._verdicts(study, run_id)
        winner = study.finished.winner if study.finished else None
        if winner is not None and winner in study.runs:
            self._register(study, winner)
        at = study.finished.at if study.finished else time.time()
        precedent = precedents.precedent_of(study, run_id)
        if precedent is not None:
            self.store.write(run_id, precedents.FILE, precedent.model_dump_json())
        points = [Point(name, value, 0, at) for name, value in entry.study_metrics(study).items()]
        self.store.log(run_id, points=points, tags=entry.study_tags(study) | entry.ending_tags(study))
        self.store.status(run_id, "FINISHED")

    def _find(self, study: Study, job: str) -> str | None:
        """The run's id from this process, from the journal, or by the tags of a run that a crash left unrecorded."""
        key = entry.study_key(study)
        if (key, job) in self._runs:
            return self._runs[key, job]
        parent = self._runs.get((key, STUDY))
        if parent in self._fresh:  # nothing can be under a parent that this process has just made
            return None
        said = study.runs.get(job)
        if said is not None and self.store.get(said) is not None:
            return said
        return self.store.find(entry.identity_tags(study, job))

    def _inputs(self, study: Study, run_id: str, folder: Path) -> None:
        """Frozen data and plan, once each and as soon as they exist; never the sealed test."""
        mark = f"{run_id} {study.plan.binding if study.plan else ''} {study.data is not None}"
        if mark in self._written:
            return
        record = self.store.get(run_id)
        tags = record.tags if record else {}
        done: dict[str, str] = entry.study_tags(study)
        if study.data is not None:
            for split in ("train", "val"):
                name, digest = f"{PREFIX}kept.{split}", getattr(study.data, split).digest
                path = folder / "data" / f"{split}.jsonl"
                if path.exists() and tags.get(name) != digest:
                    self.store.upload(run_id, path, "data")
                    done[name] = digest
        if study.plan is not None and tags.get(f"{PREFIX}kept.plan") != study.plan.binding:
            self.store.write(run_id, "plan.json", study.plan.model_dump_json(indent=1))
            done[f"{PREFIX}kept.plan"] = study.plan.binding
        self.store.log(run_id, tags=done)
        self._written.add(mark)

    def _verdicts(self, study: Study, parent: str) -> None:
        """Tags the runs of trials that were judged after they had ended."""
        known = self._judged.get(parent)
        if known is None:
            known = 0 if parent in self._fresh else max(0, len(study.verdicts) - _UNSURE)
        for verdict in study.verdicts[known:]:
            run_id = self._find(study, verdict.trial)
            if run_id is not None:  # else the run is still to be written, verdict and all
                self.store.log(run_id, tags=entry.verdict_tags(verdict))
        self._judged[parent] = len(study.verdicts)

    def _specification(self, run_id: str, parent: str, spec: TrialSpec | EvaluationSpec) -> None:
        """Specification, recipe, environment and git state, once a process and run."""
        if run_id in self._written:
            return
        self.store.log(run_id, params=entry.job_params(spec))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "spec.json").write_text(spec.model_dump_json(indent=1), encoding="utf-8")
            if isinstance(spec, TrialSpec):
                (folder / "recipe.json").write_text(spec.recipe.model_dump_json(indent=1), encoding="utf-8")
            (folder / "environment.txt").write_text("\n".join(identity.environment_lock()) + "\n", encoding="utf-8")
            (folder / "git.json").write_text(json.dumps(self._git(parent, spec.code)) + "\n", encoding="utf-8")
            self.store.upload(run_id, folder)
        self._written.add(run_id)

    def _git(self, parent: str, code: CodeIdentity) -> dict[str, str | bool | None]:
        """Commit and dirtiness; the uncommitted changes lie with the parent run, once for each state of the code."""
        state: dict[str, str | bool | None] = {"commit": code.git_commit, "dirty": code.git_dirty}
        if code.git_dirty:
            name = f"code/{short(code.digest)}.diff"
            state["changes_in_parent_run"] = name
            if f"{parent} {name}" not in self._written:
                self.store.write(parent, name, identity.code_changes())
                self._written.add(f"{parent} {name}")
        return state

    def _files(self, run_id: str, sealed: bool, out: Path) -> None:
        """What the job wrote. No link is followed: the folder comes from a sandbox."""
        items, adapter = out / "items.jsonl", out / "adapter"
        for path in sorted(out.glob("*.json*")):
            if path != items and _plain(path):
                self.store.upload(run_id, path)
        if adapter.is_dir() and _plain(adapter):
            self.store.upload(run_id, adapter, "adapter")
        if not _plain(items):
            return
        if sealed:  # what is right stays sealed: only which rows were scored how
            rows = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
            kept = [{"id": row["id"], "score": row["score"]} for row in rows]
            self.store.write(run_id, "items.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
        else:
            self.store.upload(run_id, items)

    def _points(self, study: Study, job: str, events: Iterable[TrialEvent]) -> Iterable[Point]:
        record = study.jobs.get(job)
        split = "test" if record is not None and record.role == "test" else "val"
        return entry.curve(events, study.task.metric.name if study.task else "score", split)

    def _curve(self, run_id: str) -> _Curve:
        return self._curves.setdefault(run_id, _Curve())

    def _catch_up(self, study: Study, job: str, folder: Path) -> None:
        """Brings the run's curves up to what the job has written."""
        run_id = self._runs[entry.study_key(study), job]
        self._curve(run_id).add(self._points(study, job, entry.read_events(folder / "out" / "events.jsonl")))
        self._flush(run_id)

    def _flush(self, run_id: str) -> None:
        curve = self._curve(run_id)
        if not curve.waiting:
            return
        if curve.live:
            curve.add(system.sample(max(point.step for point in curve.waiting)))
        self.store.log(run_id, points=curve.waiting)
        curve.waiting, curve.flushed_at = [], time.monotonic()

    def _register(self, study: Study, winner: str) -> None:
        record = study.jobs[winner]
        if record.score is None:
            return
        tags = {f"{PREFIX}trial": winner, f"{PREFIX}score": f"{record.score:g}"}
        self.store.register(f"tunewright-{study.name}", study.runs[winner], "adapter", "winner", tags)


def _plain(path: Path) -> bool:
    """Whether it is there, and neither it nor anything in it is a link."""
    return path.exists() and not any(one.is_symlink() for one in (path, *path.rglob("*")))
