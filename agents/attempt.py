"""One attempt at a job while it runs: its events are read, its scheduler is asked, its deadline is kept."""

from __future__ import annotations

import time
from contextlib import suppress

from tunewright.agents.alarm import Alarm
from tunewright.agents.conclusion import INFRA_ATTEMPTS, Orders, conclude, last_sign_of_life, read_result
from tunewright.agents.custody import believed, tell_strays
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.yardstick import Scoring, Yardstick
from tunewright.domain import event as ev
from tunewright.domain.errors import SandboxError
from tunewright.domain.job import Job
from tunewright.domain.live import Live
from tunewright.domain.outcome import Outcome
from tunewright.domain.protocols import Exit, Handle, Sandbox, Scheduler
from tunewright.domain.trial_event import Measured, Scored, TrialEvent


class Attempt:
    """An attempt whose intent is in the journal. Used by one thread; only its deadline has a thread of its own.

    Args:
        job: staged.
        stop: a person's wish to stop.
        scheduler: asked at each rung and while the end is scored; None for what runs to its end.
        yardstick: what the end is compared with.
    """

    def __init__(
        self, job: Job, notebook: Notebook, stop: Stop, scheduler: Scheduler | None, yardstick: Yardstick
    ) -> None:
        self.job = job
        self.error: SandboxError | None = None
        """What the sandbox could not do, where it is to blame."""
        self.outcome: Outcome | None = None
        """Set when the attempt is settled."""
        self._notebook = notebook
        self._stop = stop
        self._scheduler, self._yardstick, self._scoring = scheduler, yardstick, Scoring()
        self._handle: Handle | None = None
        self._alarm = Alarm(self._ask)
        self._asked = False
        self._began = self._seen_at = time.time()
        self._ended: Exit | None = None
        self._unread: list[TrialEvent] = []
        self._orders = Orders(last=notebook.study.jobs[job.spec.id].last)

    @property
    def ended(self) -> bool:
        return self._ended is not None

    def start(self, sandbox: Sandbox) -> None:
        """Starts the job; where the sandbox cannot, the attempt has ended."""
        self._began = self._seen_at = time.time()
        try:
            self._handle = sandbox.start(self.job)
        except SandboxError as error:
            self._failed(error)

    def until(self, deadline: float) -> None:
        """Moves the time by which it is asked to stop: seconds since the epoch."""
        if not self.ended:
            self._alarm.move(deadline)

    def poll(self, turn_s: float) -> None:
        """Listens to the job for at most ``turn_s``."""
        if self._handle is None or self.ended:
            return
        try:
            for one in self._handle.events(timeout_s=turn_s):
                self._take(one)
                self._ask_if_due()
            self._ask_if_due()
            self._ended = self._handle.wait(timeout_s=0)
            if self._ended is not None:
                for one in self._handle.events(timeout_s=0):  # written between the last look and the end
                    self._take(one)
        except SandboxError as error:
            with suppress(SandboxError):
                self._handle.kill()
            self._failed(error)
        if self.ended:
            self._alarm.off()
        else:
            self._seen_at = time.time()

    def events(self) -> list[TrialEvent]:
        """What the job has written since the last call."""
        found, self._unread = self._unread, []
        return found

    def conclude(self) -> Outcome:
        """How it ended, and what it cost: until its end, not until somebody had time to look."""
        assert self._ended is not None, "it has ended"
        out, study = self.job.out, self._notebook.study
        tell_strays(self._notebook, self.job)
        ended_at = min(time.time(), max(self._seen_at, last_sign_of_life(out)))
        cost = study.options.device_cost(max(0.0, ended_at - self._began))
        if self._stop.requested:
            self._orders.stopped = self._stop.reason
        record = study.jobs[self.job.spec.id]
        result = read_result(out) if self._ended.code is not None else None
        return conclude(
            self.job.spec.limits,
            self._orders,
            self._ended,
            believed(study, self.job, result) if result is not None else None,
            cost,
            tries_left=record.faults + 1 < INFRA_ATTEMPTS,
        )

    def _failed(self, error: SandboxError) -> None:
        self.error, self._ended = error, Exit(code=None, message=str(error))
        self._alarm.off()

    def _take(self, one: TrialEvent) -> None:
        self._notebook.show(Live(self.job.spec.id, one))
        self._unread.append(one)
        if isinstance(one, Measured):
            self._orders.last = one.measurement
            if not one.final:
                self._notebook.record(ev.JobMeasured(job=self.job.spec.id, measurement=one.measurement))
                self._steer()
        elif isinstance(one, Scored):
            self._compare(one)

    def _steer(self) -> None:
        """Asks the scheduler, unless the job has ended or is to end as it is."""
        last = self._orders.last
        if self._scheduler is None or last is None or self.ended or self._orders.steering is not None:
            return
        steering = self._scheduler.decide(self._notebook.study, self.job.spec.id, last)
        if steering.action != "continue":
            self._orders.steering = steering
            told = ev.JobSteered(job=self.job.spec.id, action=steering.action, reason=steering.reason)
            self._notebook.record(told)

    def _compare(self, one: Scored) -> None:
        """Asks the scheduler whether the rest of the rows is worth scoring, as ``_steer`` does at a rung."""
        study, job_id, scores = self._notebook.study, self.job.spec.id, self._scoring.take(one)
        if self._scheduler is None or self.ended or self._orders.steering is not None or len(scores) >= one.of:
            return
        paired = self._yardstick.pair(study, job_id, scores, one.of)
        if paired is None:
            return
        steering = self._scheduler.compare(study, job_id, paired)
        if steering.action == "stop":
            partial = self._yardstick.partial(study, paired, step=one.step, seconds=one.seconds)
            self._orders.steering, self._orders.partial = steering, partial
            told = ev.JobSteered(job=job_id, action="stop", reason=steering.reason, partial=partial)
            self._notebook.record(told)

    def _ask_if_due(self) -> None:
        if self._asked:
            return
        if self._alarm.due:
            self._orders.capped = "its time is up: the budget has no more for it"
        if self._orders.steering is not None or self._orders.capped or self._stop.requested:
            self._asked = True
            self._ask()

    def _ask(self) -> None:
        if self._handle is not None:
            with suppress(SandboxError):
                self._handle.ask_to_stop()
