"""Runs one job to its end: intent in the journal, start, watch, steer, settle, outcome in the journal.

The one place that launches anything. A launch happens at most once per ``JobLaunched``; whatever a crash
leaves open is found by ``recover`` and continues from its checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import device_cost
from tunewright.domain import event as ev
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.errors import ApprovalError, SandboxError, TrackingError
from tunewright.domain.frozen import content_hash
from tunewright.domain.job import EvaluationSpec, Job, TrialSpec, job_spec
from tunewright.domain.live import Live
from tunewright.domain.outcome import (
    Completed,
    Failed,
    Fault,
    JobResult,
    Measurement,
    Outcome,
    Paused,
    Pruned,
)
from tunewright.domain.protocols import Exit, Handle, Sandbox, Scheduler, Tracker
from tunewright.domain.study import JobRecord
from tunewright.domain.trial_event import Measured, TrialEvent
from tunewright.sandbox.staging import stage

INFRA_ATTEMPTS = 3
"""A machine's fault is tried again this often before it counts as a failure (it never counts against the recipe)."""
_TRACK_EVERY_S = 5.0


@dataclass(frozen=True)
class Errand:
    """A job that is due."""

    spec: TrialSpec | EvaluationSpec
    role: ev.Role
    inputs: Mapping[str, Path]
    """Name under ``in/`` -> file or folder on the host."""
    keep: Cost
    """What the budget must still hold when the job has ended."""
    reserve_s: float | None = None
    """Seconds to reserve; by default all that the specification allows."""
    proposal: str | None = None
    scheduler: Scheduler | None = None

    @property
    def binding(self) -> str:
        return (
            self.spec.binding if isinstance(self.spec, TrialSpec) else content_hash(self.spec.model_dump(mode="json"))
        )


class Launcher:
    """Launches and watches jobs of one study."""

    def __init__(
        self,
        notebook: Notebook,
        sandbox: Sandbox,
        tracker: Tracker,
        folder: Path,
        stop: Stop,
        *,
        model: Path | None = None,
    ) -> None:
        self._notebook = notebook
        self._sandbox = sandbox
        self._tracker = tracker
        self._folder = folder
        self._stop = stop
        self.model = model
        """The model's directory on this machine; set once it is found."""

    def model_folder(self) -> Path:
        """The model's directory; it has been found by the time anything is priced."""
        assert self.model is not None
        return self.model

    def folder(self, job: str) -> Path:
        return self._folder / "trials" / job

    def run(self, errand: Errand) -> Outcome:
        """Runs the errand until it ends, is steered, or hits a cap. Its cost is settled when this returns.

        Raises:
            ApprovalError: the spec is not what was approved; nothing was launched.
            BudgetError: the rest of the budget does not cover it; nothing was launched.
            SandboxError: the sandbox is broken, not the job.
        """
        study, spec = self._notebook.study, errand.spec
        self._must_be_approved(errand)
        resumed = study.jobs.get(spec.id)
        reserved = self._reservation(errand, resumed)
        ledger.require(study, reserved, keep=errand.keep)
        deadline = time.time() + ledger.wall_left(study, keep=errand.keep)
        job = self._stage(errand)
        attempt = resumed.attempts + 1 if resumed else 1
        self._notebook.record(
            ev.JobLaunched(
                job=spec.id,
                role=errand.role,
                binding=errand.binding,
                attempt=attempt,
                reserved=reserved,
                proposal=errand.proposal,
            )
        )
        started = time.time()
        watch = _Watch(deadline=deadline)
        try:
            self._track(lambda: self._tracker.start_job(self._notebook.study, spec.id, job.folder))
            handle = self._sandbox.start(job)
            ended = self._watch(errand, handle, watch)
        except SandboxError as error:
            ended = Exit(code=None, message=str(error))
            watch.sandbox_error = error
        outcome = self._conclude(errand, job, watch, ended, time.time() - started, attempt)
        self._settle(spec.id, job, outcome)
        if watch.sandbox_error is not None and not isinstance(outcome, Paused):
            raise watch.sandbox_error
        return outcome

    def recover(self) -> None:
        """Closes what an earlier process left open, so that it is continued and charged once."""
        for record in [job for job in self._notebook.study.jobs.values() if job.open]:
            job, ran_until = self._job(record.id), record.launched_at
            if job is not None:
                self._sandbox.recover(job)
                ran_until = max(ran_until, _last_sign_of_life(job.out))
            self._notebook.record(ev.JobRecovered(job=record.id, ran_until=ran_until))
            cost = device_cost(self._notebook.study, ran_until - record.launched_at)
            result = _result(job.out) if job is not None else None
            outcome: Outcome = Paused(reason="the process that ran the study died", cost=cost)
            if result is not None and result.status == "done":
                outcome = Completed(result=result, cost=cost)
            self._settle(record.id, job, outcome)

    def abandon(self, job_id: str, reason: str) -> None:
        """Closes a paused job that will not be continued, such as one the budget no longer covers."""
        record = self._notebook.study.jobs[job_id]
        outcome: Outcome = Failed(fault=Fault(kind="budget", message=reason), cost=Cost())
        if record.measurements:
            outcome = Pruned(reason=reason, last=record.measurements[-1], cost=Cost())
        self._settle(job_id, self._job(job_id), outcome)

    def _job(self, job_id: str) -> Job | None:
        folder = self.folder(job_id)
        known = self.model is not None and (folder / "spec.json").is_file()
        return Job(_spec(folder), folder, self.model) if known and self.model is not None else None

    def _must_be_approved(self, errand: Errand) -> None:
        if errand.role != "trial":
            return
        decision = self._notebook.study.decisions.get(errand.spec.id)
        if decision is None or decision.binds != errand.binding:
            raise ApprovalError(
                f"trial {errand.spec.id} is not what was approved: recipe, code, data, image or limits have changed",
                "nothing was launched; start a new study, or bring back the code and environment it was approved with",
            )

    def _reservation(self, errand: Errand, resumed: JobRecord | None) -> Cost:
        """A resumed job holds what its reservation has left, and always enough to load and write a checkpoint."""
        seconds = errand.reserve_s or errand.spec.limits.wall_s
        if resumed is None:
            return device_cost(self._notebook.study, seconds, trials=int(errand.role == "trial"))
        return device_cost(self._notebook.study, max(seconds - resumed.settled.wall_s, min(60.0, seconds)))

    def _stage(self, errand: Errand) -> Job:
        assert self.model is not None
        folder = self.folder(errand.spec.id)
        if isinstance(errand.spec, EvaluationSpec) and folder.exists():
            shutil.rmtree(folder)  # an evaluation is short and has no checkpoint: it starts again
        if _spec_differs(folder, errand.spec):
            shutil.rmtree(folder)  # staged but never launched: the intent in the journal comes after staging
        stage(folder, errand.spec, errand.inputs)
        return Job(errand.spec, folder, self.model)

    def _watch(self, errand: Errand, handle: Handle, watch: _Watch) -> Exit:
        tracked_at = time.monotonic()
        pending: list[TrialEvent] = []
        while True:
            for one in handle.events(timeout_s=0.5):
                self._notebook.show(Live(errand.spec.id, one))
                pending.append(one)
                if isinstance(one, Measured):
                    self._on_measured(errand, one, watch)
                self._ask_if_due(handle, watch)
            self._ask_if_due(handle, watch)
            ended = handle.wait(timeout_s=0)
            if pending and (ended is not None or time.monotonic() - tracked_at > _TRACK_EVERY_S):
                batch, pending, tracked_at = pending, [], time.monotonic()
                self._track(partial(self._tracker.log_events, self._notebook.study, errand.spec.id, batch))
            if ended is not None:
                return ended

    def _on_measured(self, errand: Errand, one: Measured, watch: _Watch) -> None:
        watch.last = one.measurement
        if one.final:
            return
        self._notebook.record(ev.JobMeasured(job=errand.spec.id, measurement=one.measurement))
        if errand.scheduler is None:
            return
        steering = errand.scheduler.decide(self._notebook.study, errand.spec.id, one.measurement)
        if steering.action != "continue":
            watch.pruned = steering.reason
            self._notebook.record(ev.JobSteered(job=errand.spec.id, action=steering.action, reason=steering.reason))

    def _ask_if_due(self, handle: Handle, watch: _Watch) -> None:
        if watch.asked:
            return
        if time.time() >= watch.deadline:
            watch.capped = "its time is up: the budget has no more"
        if watch.pruned or watch.capped or self._stop.requested:
            watch.asked = True
            handle.ask_to_stop()

    def _conclude(self, errand: Errand, job: Job, watch: _Watch, ended: Exit, seconds: float, attempt: int) -> Outcome:
        study = self._notebook.study
        cost = device_cost(study, seconds)
        result = _result(job.out) if ended.code is not None else None
        if result is not None and result.status == "done":
            return Completed(result=result, cost=cost)
        if result is not None and result.status == "failed" and result.fault is not None:
            return self._fault(result.fault, cost, attempt, result)
        if ended.out_of_memory:
            limit = errand.spec.limits.memory_gib
            return Failed(fault=Fault(kind="memory", message=f"killed at the limit of {limit:.1f} GiB"), cost=cost)
        if watch.pruned and watch.last is not None:
            return Pruned(reason=watch.pruned, last=watch.last, cost=cost, result=result)
        if self._stop.requested and not watch.capped:
            return Paused(reason=self._stop.reason, cost=cost)
        if watch.capped or (result is not None and result.status == "paused"):
            return self._out_of_time(watch, cost, result, errand.spec.limits.wall_s)
        return self._fault(_infra(ended), cost, attempt, None)

    def _out_of_time(self, watch: _Watch, cost: Cost, result: JobResult | None, wall_s: float) -> Outcome:
        reason = watch.capped or f"took longer than the {wall_s:.0f} s allowed for it"
        if watch.last is not None:
            return Pruned(reason=reason, last=watch.last, cost=cost, result=result)
        return Failed(fault=Fault(kind="budget", message=reason), cost=cost, result=result)

    def _fault(self, fault: Fault, cost: Cost, attempt: int, result: JobResult | None) -> Outcome:
        if fault.kind == "infra" and attempt < INFRA_ATTEMPTS:
            return Paused(reason=f"infra fault, will be tried again: {fault.message}", cost=cost)
        return Failed(fault=fault, cost=cost, result=result)

    def _settle(self, job_id: str, job: Job | None, outcome: Outcome) -> None:
        self._notebook.record(ev.JobEnded(job=job_id, outcome=outcome))
        if job is not None and not isinstance(outcome, Paused):
            self.track_end(job_id)

    def track_end(self, job_id: str) -> None:
        """Hands the ended job to the tracker; what a dead server misses is handed over at the finish."""

        def finish() -> None:
            study, folder = self._notebook.study, self.folder(job_id)
            run_id = self._tracker.start_job(study, job_id, folder)
            self._tracker.finish_job(study, job_id, folder)
            self._notebook.record(ev.Tracked(job=job_id, run_id=run_id))

        if job_id not in self._notebook.study.runs:
            self._track(finish)

    def _track(self, call: Callable[[], object]) -> None:
        """A tracker that does not answer never stops a training: it is warned of once and caught up with later."""
        try:
            call()
        except TrackingError as error:
            if str(error) not in self._notebook.study.warnings:
                self._notebook.record(ev.Warned(message=str(error)))


@dataclass
class _Watch:
    """What was seen and decided while a job ran."""

    deadline: float
    pruned: str = ""
    capped: str = ""
    asked: bool = False
    last: Measurement | None = None
    sandbox_error: SandboxError | None = None


def _infra(ended: Exit) -> Fault:
    how = (
        f"exit code {ended.code}" if ended.code is not None else f"signal {ended.signal}" if ended.signal else "no exit"
    )
    said = ended.message.strip().splitlines()
    return Fault(kind="infra", message=f"the job ended without a result ({how}){': ' + said[-1][:300] if said else ''}")


def _spec(folder: Path) -> TrialSpec | EvaluationSpec:
    return job_spec.validate_json((folder / "spec.json").read_bytes())


def _spec_differs(folder: Path, spec: TrialSpec | EvaluationSpec) -> bool:
    return (folder / "spec.json").is_file() and _spec(folder) != spec


def _result(out: Path) -> JobResult | None:
    """``result.json`` as the job left it, or None if there is none that can be trusted."""
    try:
        return JobResult.model_validate_json((out / "result.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _last_sign_of_life(out: Path) -> float:
    """When the job last wrote something, seconds since the epoch; 0 if it never did."""
    return max((path.stat().st_mtime for path in out.glob("*") if path.is_file()), default=0.0)
