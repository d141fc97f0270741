"""A study as its journal tells it: events in, answers out. Nothing is stored that the events do not say.

What is asked between any two trials is kept by ``fold`` as it goes, so that trial 500 waits no longer than trial 10.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.frozen import Json, flatten
from tunewright.domain.job import DataIdentity, ModelIdentity
from tunewright.domain.learning import Insights
from tunewright.domain.lesson import Lesson
from tunewright.domain.outcome import Completed, Failed, Paused, Verdict
from tunewright.domain.profile import DataProfile
from tunewright.domain.proposal import Decision, Plan, Proposal
from tunewright.domain.record import JobRecord
from tunewright.domain.spending import Spending
from tunewright.domain.stock import Stock
from tunewright.domain.task import Brief, TaskSpec, Wishes
from tunewright.domain.understanding import Doubts


class Study:
    """Everything above for one brief, derived from its journal.

    ``fold`` is the only way in. Asking changes nothing.
    """

    def __init__(self, events: Iterable[ev.Event] = ()) -> None:
        self.name = ""
        self.brief: Brief | None = None
        self.options, self.wishes = ev.StudyOptions(), Wishes()
        self.created: ev.StudyCreated | None = None
        self.task: TaskSpec | None = None
        self.budget: Budget | None = None
        self.notes: tuple[str, ...] = ()
        self.data: DataIdentity | None = None
        self.profile: DataProfile | None = None
        self.model: ModelIdentity | None = None
        self.plan: Plan | None = None
        self.proposals: dict[str, Proposal] = {}
        self.decisions: dict[str, Decision] = {}
        self.forecasts: dict[str, ev.Forecasted] = {}
        """Proposal -> what was expected of it."""
        self.style: ev.Style = "balanced"
        self.jobs: dict[str, JobRecord] = {}
        self.verdicts: list[Verdict] = []
        self.incumbents: list[str] = []
        """Who was the incumbent after each verdict."""
        self.judged: set[str] = set()
        """Trials that have a verdict."""
        self.barred: dict[str, str] = {}
        """Finished trials that may take no place, whatever their score -> why."""
        self.incumbent: str | None = None
        self.insights, self.doubts = Insights(), Doubts()
        self.runs: dict[str, str] = {}
        """Job id, or ``study`` -> MLflow run id."""
        self.test_opened: str | None = None
        self.search_ended: str | None = None
        """Why no further trial is proposed; None while the search goes on."""
        self.reflected: set[str] = set()
        """Trials that reflection has read."""
        self.finished: ev.Finished | None = None
        self.published = False
        self.warnings: list[str] = []
        self.asked: tuple[str, ...] = ()
        """What a person has been asked about and has not answered."""
        self.pid: int | None = None
        self.closed = ""
        """Why the last session ended, until the next one opens."""
        self.stock, self._spending = Stock(), Spending()
        self._trials: list[JobRecord] = []
        self._unfinished: dict[str, JobRecord] = {}
        self._unread: dict[str, JobRecord] = {}
        self._pending: dict[str, Proposal] = {}
        """Proposals that are not rejected, and not both answered and launched."""
        self._settings: dict[str, dict[str, Json]] = {}
        self._default: str | None = None
        for one in events:
            self.fold(one)

    def fold(self, one: ev.Event) -> None:
        """Takes one event in. Events arrive in the journal's order, each once."""
        self._spending.fold(one)
        self.stock.fold(one)
        match one:  # what there is most of first: a long journal is loaded event by event
            case ev.JobLaunched() | ev.JobMeasured() | ev.JobSteered() | ev.JobPromoted() | ev.JobEnded():
                self._fold_job(one)
            case ev.Proposed() | ev.Forecasted() | ev.StyleChanged() | ev.ReviewAsked() | ev.Decided():
                self._fold_proposal(one)
            case ev.StudyCreated():
                self.created, self.name, self.brief, self.options = one, one.study, one.brief, one.options
            case ev.SessionOpened():
                self.pid, self.closed = one.pid, ""
            case ev.SessionClosed():
                self.pid, self.closed = None, one.reason
            case ev.Understood():
                self.task, self.budget, self.wishes, self.notes = one.task, one.budget, one.wishes, one.notes
            case ev.Wondered() | ev.Clarified():
                self._fold_doubt(one)
            case ev.DataFrozen():
                self.data, self.profile = one.data, one.profile
            case ev.ModelFound():
                self.model = one.model
            case ev.PlanProposed():
                self.plan = one.plan
                self.decisions.pop("plan", None)
            case _:
                self._fold_finding(one)

    def _fold_doubt(self, one: ev.Wondered | ev.Clarified) -> None:
        self.doubts.fold(one)
        if isinstance(one, ev.Clarified):
            self.asked = tuple(target for target in self.asked if target != one.question)

    def _fold_proposal(self, one: ev.Proposed | ev.Forecasted | ev.StyleChanged | ev.ReviewAsked | ev.Decided) -> None:
        """What is to be tried: from an idea to the answer that it gets."""
        match one:
            case ev.Proposed():
                self.proposals.update({p.id: p for p in one.proposals})
                self._default = next((p.id for p in one.proposals if p.idea.origin == "default"), self._default)
                self._sort_in(*(p.id for p in one.proposals))
            case ev.Forecasted():
                self.forecasts[one.trial] = one
            case ev.StyleChanged():
                self.style = one.style
            case ev.ReviewAsked():
                self.asked = one.targets
            case ev.Decided():
                self.decisions[one.decision.target] = one.decision
                self._sort_in(one.decision.target)
                self.asked = tuple(t for t in self.asked if t != one.decision.target)

    def _fold_finding(self, one: ev.Event) -> None:
        """What was made of the trials: verdicts, lessons, views, the end."""
        match one:
            case ev.Judged():
                self._fold_verdict(one)
            case ev.Explained() | ev.Recalled() | ev.Learned() | ev.Weighed() | ev.Reflected():
                self._fold_insight(one)
            case ev.ModelsChosen():
                before = self.options
                self.options = before.model_copy(update={"llm": one.llm, "llms": one.llms})
                self._spending.calls.changed(before, self.options)
            case ev.Tracked():
                self.runs[one.job] = one.run_id
            case ev.TestOpened():
                self.test_opened = one.winner
            case ev.SearchEnded():
                self.search_ended = one.reason
            case ev.Finished():
                self.finished = one
            case ev.Published():
                self.published = True
            case ev.Warned():
                self.warnings.append(one.message)
            case _:
                pass  # calls of models are spending; so is the time of JobRecovered, whose outcome follows as JobEnded

    def _fold_insight(self, one: ev.Explained | ev.Recalled | ev.Learned | ev.Weighed | ev.Reflected) -> None:
        self.insights.fold(one)
        if isinstance(one, ev.Reflected):
            self.reflected.update(one.trials)
            self._file(*one.trials)

    def _fold_verdict(self, one: ev.Judged) -> None:
        trial = one.verdict.trial
        self.verdicts.append(one.verdict)
        self.judged.add(trial)
        self.incumbent = one.incumbent
        self.incumbents.append(one.incumbent)
        if one.note:
            self.barred[trial] = one.note
        if trial in self.jobs:
            self.jobs[trial].group_excess = one.group_excess
        self._file(trial)

    def _fold_job(self, one: ev.JobLaunched | ev.JobMeasured | ev.JobSteered | ev.JobPromoted | ev.JobEnded) -> None:
        match one:
            case ev.JobLaunched():
                self._fold_launch(one)
            case ev.JobMeasured():
                self.jobs[one.job].measured(one.measurement)
            case ev.JobSteered():
                self.jobs[one.job].steered.append(one)
            case ev.JobPromoted():
                job = self.jobs[one.job]
                job.promoted, job.earlier, job.faults = True, job.attempts, 0
                job.promotions.append(one)
            case ev.JobEnded():
                job = self.jobs[one.job]
                job.outcome, job.reserved, job.ended_at = one.outcome, Cost(), one.at
                job.settled += one.outcome.cost
                job.verdicts_then = len(self.verdicts)
                job.faults += int(isinstance(one.outcome, Paused) and one.outcome.fault is not None)
                self._file(job.id)

    def _fold_launch(self, one: ev.JobLaunched) -> None:
        job = self.jobs.get(one.job)
        if job is None:
            job = self.jobs[one.job] = JobRecord(one.job, one.role, one.binding, one.at, proposal=one.proposal)
            if job.role == "trial":
                self._trials.append(job)
        job.attempts, job.reserved, job.outcome, job.ended_at = one.attempt, one.reserved, None, None
        job.launched_at, job.launched_clock, job.promoted = one.at, self._spending.clock.total(one.at), False
        self._file(job.id)
        self._sort_in(job.id)

    def _file(self, *jobs: str) -> None:
        """Puts jobs among those that are not done with, or takes them out."""
        for job in [self.jobs[job] for job in jobs if job in self.jobs]:
            judged = job.id in self.judged or not isinstance(job.outcome, Completed)
            read = job.ended and judged and job.id in self.reflected
            _keep(self._unfinished, job, not job.ended)
            _keep(self._unread, job, job.role == "trial" and not read)

    def _sort_in(self, *targets: str) -> None:
        """Puts proposals among those that wait for an answer or their launch, or takes them out."""
        for target in targets:
            self._settings.pop(target, None)
            decision = self.decisions.get(target)
            if decision is not None and (decision.action == "reject" or target in self.jobs):
                self._pending.pop(target, None)
            elif target in self.proposals:
                self._pending[target] = self.proposals[target]

    # What is asked of a study

    @property
    def base(self) -> JobRecord | None:
        """The untouched model's evaluation."""
        return self.jobs.get("base")

    @property
    def trials(self) -> list[JobRecord]:
        """Search trials that were launched, in order."""
        return list(self._trials)

    @property
    def model_calls(self) -> dict[str, int]:
        """Role -> answers its present language model has given, valid or not."""
        return self._spending.calls.answers

    @property
    def lessons(self) -> list[Lesson]:
        """Its own lessons, oldest first, dropped or not."""
        return self.insights.lessons

    @property
    def model_cost(self) -> Cost:
        """What language models have cost."""
        return self._spending.calls.paid

    @property
    def unread(self) -> list[JobRecord]:
        """Trials that run, or that the evaluator or reflection has still to read, oldest first."""
        return list(self._unread.values())

    @property
    def confirmations(self) -> list[JobRecord]:
        return [job for job in self.jobs.values() if job.role == "confirm"]

    @property
    def unfinished(self) -> list[JobRecord]:
        """Jobs that run, that a crash or a pause left before their end, or that were promoted, oldest first."""
        return [job for job in self._unfinished.values() if not job.waiting]

    @property
    def running(self) -> list[JobRecord]:
        """Jobs that were launched and have no end on record, oldest first."""
        return [job for job in self._unfinished.values() if job.open]

    @property
    def waiting(self) -> list[JobRecord]:
        """Trials that stand at a rung and were not promoted, oldest first."""
        return [job for job in self._unfinished.values() if job.waiting]

    @property
    def undecided(self) -> list[Proposal]:
        """Proposals nobody has answered yet."""
        return [p for p in self._pending.values() if p.id not in self.decisions]

    @property
    def approved(self) -> list[Proposal]:
        """Approved or edited proposals whose trial has not been launched."""
        return [p for p in self._pending.values() if p.id in self.decisions and p.id not in self.jobs]

    @property
    def plan_approved(self) -> bool:
        """Whether the plan as it stands is what was approved."""
        decision = self.decisions.get("plan")
        return self.plan is not None and decision is not None and decision.binds == self.plan.binding

    def recipe_of(self, job_id: str) -> Proposal:
        """The proposal of a trial, with the reviewer's edit in it."""
        proposal = self.proposals[job_id]
        decision = self.decisions.get(job_id)
        if decision is not None and decision.action == "edit" and decision.recipe is not None:
            idea = proposal.idea.model_copy(update={"recipe": decision.recipe, "origin": "reviewer"})
            changed = {"idea": idea, "binding": decision.binds, "forecast": decision.forecast or proposal.forecast}
            return proposal.model_copy(update=changed)
        return proposal

    def settings_of(self, job_id: str) -> Mapping[str, Json]:
        """Recipe path -> value of a trial, with the reviewer's edit in it; worked out once."""
        if job_id not in self._settings:
            self._settings[job_id] = flatten(self.recipe_of(job_id).recipe.model_dump(mode="json"))
        return self._settings[job_id]

    @property
    def default(self) -> str | None:
        """The proposal of the default recipe, the yardstick; the newest, where it had to be made to fit into memory.
        None before there is one.
        """
        return self._default

    def best(self) -> JobRecord | None:
        """The completed trial with the best validation score, the earlier one in a tie; none that is barred."""
        best: JobRecord | None = None
        for job in self.trials:
            if job.score is None or math.isnan(job.score) or self.task is None or job.id in self.barred:
                continue  # nothing is better than not-a-number, so it would stay
            if best is None or best.score is None or self.task.metric.better(job.score, best.score):
                best = job
        return best

    def spent(self, now: float | None = None) -> Cost:
        """Settled costs, with the wall clock up to ``now`` and what jobs still running have taken of devices."""
        spent = self._spending.spent(self.options, self.running, time.time() if now is None else now)
        return spent.model_copy(update={"trials": len(self._trials)})

    def reserved(self, now: float | None = None) -> Cost:
        """Held for jobs that are running, less what ``spent`` counts of them by now, and for language models."""
        return self._spending.reserved(self.options, self.running, time.time() if now is None else now)

    def held(self, job: JobRecord, now: float) -> Cost:
        """What is left of a running job's reservation."""
        return self._spending.held(self.options, job, now)

    @property
    def at_work(self) -> bool:
        """Whether the clock of the wall budget runs."""
        return self._spending.clock.running

    @property
    def seen_at(self) -> float:
        """The last sign of life: seconds since the epoch."""
        return self._spending.clock.last

    def failures(self) -> list[tuple[JobRecord, Failed]]:
        return [(job, job.outcome) for job in self.jobs.values() if isinstance(job.outcome, Failed)]


def _keep(among: dict[str, JobRecord], job: JobRecord, wanted: bool) -> None:
    if wanted:
        among[job.id] = job
    else:
        among.pop(job.id, None)
