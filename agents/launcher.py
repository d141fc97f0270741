"""Launches jobs and sees each to its end: intent in the journal, start, watch, steer, settle, outcome in the journal.

The one place that launches anything. A launch happens at most once per ``JobLaunched``; whatever a crash
leaves open is found by ``recover`` and continues from its checkpoint. Jobs run side by side and are watched by one
thread, which alone writes the journal, also what language models come to beside the jobs (see ``beside``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tunewright.agents.attempt import Attempt
from tunewright.agents.conclusion import closed, last_sign_of_life, read_result, recovered
from tunewright.agents.custody import believed, tell_strays
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import reservation
from tunewright.agents.steadfast import Steadfast
from tunewright.agents.yardstick import Yardstick
from tunewright.domain import event as ev
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.errors import ApprovalError, ModelError, TrackingError
from tunewright.domain.frozen import content_hash
from tunewright.domain.job import EvaluationSpec, Job, TrialSpec, job_spec
from tunewright.domain.job_event import Role
from tunewright.domain.outcome import Failed, Outcome, Paused
from tunewright.domain.protocols import Sandbox, Scheduler, Tracker
from tunewright.domain.study import Study
from tunewright.sandbox.staging import stage

_TRACK_EVERY_S = 5.0
_TURN_S, _LEAST_TURN_S = 0.5, 0.05
"""How long one job is listened to before the next: shared by all that run, and at least so long."""


@dataclass(frozen=True)
class Errand:
    """A job that is due."""

    spec: TrialSpec | EvaluationSpec
    role: Role
    inputs: Mapping[str, Path]
    """Name under ``in/`` -> file or folder on the host."""
    keep: Cost
    """What the budget must still hold when the job has ended."""
    owed: Callable[[Study], Cost] = lambda study: Cost()
    """What the budget must hold besides once the job has taken what it reserved."""
    reserve_s: float | None = None
    """Seconds to reserve; by default all that the specification allows."""
    proposal: str | None = None
    scheduler: Scheduler | None = None
    afterwards: Callable[[], object] = lambda: None
    """Called when an attempt at it is settled."""

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
        self._running: dict[str, _Running] = {}
        self._owed: dict[str, Cost] = {}
        self._yardstick = Yardstick(folder)
        self._steadfast = Steadfast()
        self.model = model
        """The model's directory on this machine; set once it is found."""
        self.meanwhile: Callable[[], bool] = lambda: False
        """Called again and again while jobs are watched; whether something goes on beside them that is to be seen to
        often."""

    def model_folder(self) -> Path:
        """The model's directory; it has been found by the time anything is priced."""
        assert self.model is not None
        return self.model

    def folder(self, job: str) -> Path:
        return self._folder / "trials" / job

    def staged(self, job: str) -> TrialSpec | EvaluationSpec | None:
        """The specification that the job was staged with; None if it was not."""
        path = self.folder(job) / "spec.json"
        return job_spec.validate_json(path.read_bytes()) if path.is_file() else None

    def run(self, errand: Errand) -> Outcome:
        """Runs the errand until it ends, is steered, or hits a cap. Its cost is settled when this returns.

        Raises:
            ApprovalError, BudgetError, SandboxError: see ``start``.
        """
        attempt = self.start(errand)
        while attempt.outcome is None:
            self.wait()
        return attempt.outcome

    def start(self, errand: Errand) -> Attempt:
        """Starts the errand, beside what runs already; ``wait`` sees it to its end.

        Raises:
            ApprovalError: the spec is not what was approved; nothing was launched.
            BudgetError: the rest of the budget does not cover it; nothing was launched.
            ModelError: the base model is not the one that was approved any more; nothing was launched.
            SandboxError: the sandbox is broken, not the job.
        """
        study, spec = self._notebook.study, errand.spec
        self._must_be_approved(errand)
        begun = study.jobs.get(spec.id)
        reserved = reservation(study, errand.reserve_s or spec.limits.wall_s, begun, errand.role)
        ledger.require(study, reserved, keep=errand.keep)
        self._model_must_be_the_same()
        job = self._stage(errand)
        self._notebook.record(
            ev.JobLaunched(
                job=spec.id,
                role=errand.role,
                binding=errand.binding,
                attempt=begun.attempts + 1 if begun else 1,
                reserved=reserved,
                proposal=errand.proposal,
            )
        )
        running = _Running(errand, self._attempt(job, errand.scheduler))
        self._running[spec.id] = running
        self._track(lambda: self._tracker.start_job(self._notebook.study, spec.id, job.folder))
        running.attempt.start(self._sandbox)
        self._ask_what_is_owed()
        self._mind_the_clock()
        self._end_if_over(running)
        return running.attempt

    def wait(self) -> None:
        """Watches what runs until at least one of it has ended and is settled; returns at once if nothing runs.

        Raises:
            SandboxError: the sandbox is broken, not the job.
        """
        count = len(self._running)
        while self._running and len(self._running) == count:
            for running in list(self._running.values()):
                turn_s = _LEAST_TURN_S if self.meanwhile() else max(_LEAST_TURN_S, _TURN_S / count)
                self._mind_the_clock()
                running.attempt.poll(turn_s)
                self._tell_tracker(running)
                self._end_if_over(running)

    def recover(self) -> None:
        """Closes what an earlier process left open, so that it is continued and charged once."""
        for record in self._notebook.study.running:
            job, ran_until = self._job(record.id), record.launched_at
            if job is not None:
                self._sandbox.recover(job)
                tell_strays(self._notebook, job)
                ran_until = max(ran_until, last_sign_of_life(job.out))
            self._notebook.record(ev.JobRecovered(job=record.id, ran_until=ran_until))
            cost = self._notebook.study.options.device_cost(ran_until - record.launched_at)
            result = read_result(job.out) if job is not None else None
            if job is not None and result is not None:
                result = believed(self._notebook.study, job, result)
            self._settle(record.id, job, recovered(record, result, cost))

    def abandon(self, job_id: str, reason: str) -> None:
        """Closes a paused job that will not be continued, such as one the budget no longer covers."""
        record = self._notebook.study.jobs[job_id]
        result = record.outcome.result if isinstance(record.outcome, Paused) else None
        self._settle(job_id, self._job(job_id), closed(reason, record.last, Cost(), result))

    def _attempt(self, job: Job, scheduler: Scheduler | None) -> Attempt:
        return Attempt(job, self._notebook, self._stop, scheduler, self._yardstick)

    def _mind_the_clock(self) -> None:
        """Moves every deadline to where the budget puts it now: it depends on all that runs."""
        now, keep = time.time(), {job_id: running.errand.keep for job_id, running in self._running.items()}
        for job_id, left_s in ledger.run_left(self._notebook.study, keep, owed=self._owed, now=now).items():
            self._running[job_id].attempt.until(now + left_s)

    def _ask_what_is_owed(self) -> None:
        """It changes when a job begins or ends, and takes a forecast."""
        study = self._notebook.study
        self._owed = {job_id: running.errand.owed(study) for job_id, running in self._running.items()}

    def _end_if_over(self, running: _Running) -> None:
        attempt, job = running.attempt, running.attempt.job
        if not attempt.ended:
            return
        del self._running[job.spec.id]
        outcome = attempt.conclude()
        self._settle(job.spec.id, job, outcome)
        if isinstance(outcome, Paused):  # else all that it wrote has been handed over
            self._tell_tracker(running, at_once=True)
        attempt.outcome = outcome
        self._ask_what_is_owed()
        running.errand.afterwards()
        if attempt.error is not None and isinstance(outcome, Failed) and outcome.fault.kind == "infra":
            raise attempt.error  # else it is tried again, or was to end anyway

    def _tell_tracker(self, running: _Running, *, at_once: bool = False) -> None:
        job_id = running.attempt.job.spec.id
        if not at_once and (running.attempt.ended or time.monotonic() - running.tracked_at < _TRACK_EVERY_S):
            return
        running.tracked_at = time.monotonic()
        events = running.attempt.events()
        if events:
            self._track(partial(self._tracker.log_events, self._notebook.study, job_id, events))

    def _job(self, job_id: str) -> Job | None:
        spec = self.staged(job_id) if self.model is not None else None
        return Job(spec, self.folder(job_id), self.model_folder()) if spec is not None else None

    def _must_be_approved(self, errand: Errand) -> None:
        if errand.role != "trial":
            return
        decision = self._notebook.study.decisions.get(errand.spec.id)
        if decision is None or decision.binds != errand.binding:
            raise ApprovalError(
                f"trial {errand.spec.id} is not what was approved: recipe, code, data, image or limits have changed",
                "nothing was launched; start a new study, or bring back the code and environment it was approved with",
            )

    def _model_must_be_the_same(self) -> None:
        known = self._notebook.study.model
        if known is None:
            return
        try:
            self._steadfast.require(self.model_folder(), known)
        except ModelError as error:
            self._notebook.record(ev.Warned(message=error.message))
            raise

    def _stage(self, errand: Errand) -> Job:
        folder = self.folder(errand.spec.id)
        short = isinstance(errand.spec, EvaluationSpec) or errand.spec.preflight_steps is not None
        if short and folder.exists():
            shutil.rmtree(folder)  # it starts again: an evaluation has no checkpoint, a preflight goes through all
        if self.staged(errand.spec.id) not in (None, errand.spec):
            shutil.rmtree(folder)  # staged but never launched: the intent in the journal comes after staging
        stage(folder, errand.spec, errand.inputs)
        return Job(errand.spec, folder, self.model_folder())

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
class _Running:
    """An errand on its way."""

    errand: Errand
    attempt: Attempt
    tracked_at: float = field(default_factory=time.monotonic)
