"""The team's steps as traces, from the journal alone: one for the plan, one for each job, one for the end. A study that
asks no language model has these too.

A step that the journal tells by one event began, as far as can be told, with the event before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tunewright.agents.traces.bounds import SAID, bounded, line
from tunewright.domain import event as ev
from tunewright.domain.frozen import Json
from tunewright.domain.outcome import Failed, Outcome, Paused
from tunewright.domain.proposal import Decision, Proposal
from tunewright.domain.trace import Span, SpanKind, Trace, spanning

PLAN, END = "plan", "end"
_SPANS = 120
"""Of one trace that are shown."""
_ASIDE = (ev.ModelAsking, ev.ModelAsked, ev.ModelProbed, ev.Tracked, ev.Warned)
"""Told beside a step: the next one did not begin with them."""


@dataclass
class _Story:
    """What was done on one subject."""

    name: str
    jobs: tuple[str, ...] = ()
    over: bool = False
    error: str = ""
    answer: Json = None
    spans: list[Span] = field(default_factory=list)
    launched: ev.JobLaunched | None = None

    def add(self, name: str, kind: SpanKind, start: float, end: float, *, error: str = "", **told: Json) -> None:
        """A step; what is told of it is its output, but for ``inputs``."""
        if len(self.spans) < _SPANS:
            given = told.pop("inputs", None)
            said = {key: one for key, one in told.items() if one not in (None, "", (), [], {})}
            id = f"{len(self.spans)}"
            self.spans.append(
                Span(
                    id=id, parent="root", name=name, kind=kind, start=min(start, end), end=end,
                    inputs=bounded(given), outputs=bounded(said) or None, error=line(error),
                )
            )  # fmt: skip

    def trace(self) -> Trace:
        start, end = spanning(self.spans)
        kind = "trial " if self.spans[0].name == "proposer" else "job " if self.jobs else ""
        root = Span(
            id="root", name=f"{kind}{self.name}", kind="CHAIN", start=start, end=end, error=line(self.error),
            inputs={"job": self.jobs[0]} if self.jobs else None, outputs=bounded(self.answer),
        )  # fmt: skip
        return Trace(id=f"steps {self.name}", name=root.name, spans=(root, *self.spans), jobs=self.jobs)


class Steps:
    """Takes a journal's events in, one by one, and has the traces of what is over."""

    def __init__(self) -> None:
        self._stories: dict[str, _Story] = {}
        self._before: float | None = None
        self._asked: dict[str, float] = {}
        self._changed: set[str] = set()

    def take(self, events: Iterable[ev.Event]) -> None:
        """Takes further events in, in the journal's order."""
        for one in events:
            if not isinstance(one, _ASIDE):
                self._take(one, one.at if self._before is None else self._before)
                self._before = one.at

    def changed(self) -> list[Trace]:
        """The traces that are new, or have come to say more, since this was last asked."""
        due = [key for key in self._stories if key in self._changed and self._stories[key].over]
        self._changed -= set(due)
        return [self._stories[key].trace() for key in due]

    def _take(self, one: ev.Event, since: float) -> None:
        match one:
            case ev.Understood() | ev.DataFrozen() | ev.ModelFound() | ev.Recalled() | ev.PlanProposed():
                self._planned(one, since)
            case ev.Proposed():
                for proposal in one.proposals:
                    self._proposed(proposal, since, one.at)
            case ev.Forecasted():
                hopes = [{"by": hope.by, "gain": hope.gain, "chance": hope.chance} for hope in one.hopes]
                self._of(one.trial).add("forecast", "CHAIN", since, one.at, against=one.against, hopes=hopes)
            case ev.ReviewAsked():
                self._asked |= dict.fromkeys(one.targets, one.at)
            case ev.Decided():
                self._decided(one.decision, self._asked.pop(one.decision.target, since), one.at)
            case ev.JobLaunched() | ev.JobSteered() | ev.JobPromoted() | ev.JobEnded():
                self._ran(one)
            case ev.Judged() | ev.Explained() | ev.Reflected():
                self._weighed(one, since)
            case ev.SearchEnded() | ev.TestOpened() | ev.Finished():
                self._finished(one, since)
            case _:
                return

    def _of(self, job: str) -> _Story:
        return self._story(job, (job,))

    def _story(self, name: str, jobs: tuple[str, ...] = ()) -> _Story:
        self._changed.add(name)
        return self._stories.setdefault(name, _Story(name, jobs))

    def _planned(
        self, one: ev.Understood | ev.DataFrozen | ev.ModelFound | ev.Recalled | ev.PlanProposed, since: float
    ) -> None:
        story = self._story(PLAN)
        match one:
            case ev.Understood():
                task = f"{one.task.model}: {one.task.metric.name}"
                story.add("planner: brief", "AGENT", since, one.at, by=one.by, task=task, notes=list(one.notes))
            case ev.DataFrozen():
                rows = {name: getattr(one.data, name).rows for name in ("train", "val", "test")}
                story.add("planner: data", "AGENT", since, one.at, rows=rows)
            case ev.ModelFound():
                story.add("planner: model", "AGENT", since, one.at, model=one.model.ref, digest=one.model.digest)
            case ev.Recalled():
                claims = [lesson.lesson.claim for lesson in one.lessons]
                story.add("planner: lessons", "AGENT", since, one.at, lessons=claims)
            case ev.PlanProposed():
                settings = [dimension.path for dimension in one.plan.space.dimensions]
                story.add("planner: plan", "AGENT", since, one.at, by=one.plan.by, searched=settings)
                story.answer = {"searched": settings}

    def _proposed(self, proposal: Proposal, since: float, at: float) -> None:
        idea, cost = proposal.idea, proposal.forecast.cost.model_dump()
        self._of(proposal.id).add(
            "proposer",
            "AGENT",
            since,
            at,
            inputs={"parent": idea.parent} if idea.parent else None,
            origin=idea.origin,
            reason=idea.reason,
            hypothesis=idea.hypothesis.claim if idea.hypothesis is not None else "",
            lessons=list(idea.cites),
            reserved={name: value for name, value in cost.items() if value},
        )

    def _decided(self, decision: Decision, since: float, at: float) -> None:
        story = self._story(PLAN) if decision.target == PLAN else self._of(decision.target)
        said = {"action": decision.action, "by": decision.by, "reason": decision.reason}
        story.add("approval", "CHAIN", since, at, **said)
        if decision.action == "reject":
            story.over, story.answer = True, {"rejected": decision.reason}

    def _ran(self, one: ev.JobLaunched | ev.JobSteered | ev.JobPromoted | ev.JobEnded) -> None:
        story = self._of(one.job)
        match one:
            case ev.JobLaunched():
                story.launched = one
                self._story(PLAN).over = True
            case ev.JobSteered():
                if one.action != "continue":
                    story.add("scheduler", "EVALUATOR", one.at, one.at, action=one.action, reason=one.reason)
            case ev.JobPromoted():
                story.add("scheduler", "EVALUATOR", one.at, one.at, action="promote", reason=one.reason)
            case ev.JobEnded():
                self._ended(one.job, one.outcome, one.at)

    def _ended(self, job: str, outcome: Outcome, at: float) -> None:
        story = self._of(job)
        launched, story.launched = story.launched, None
        if launched is None:
            return
        told: dict[str, Json] = {"status": outcome.status, "reason": getattr(outcome, "reason", "")}
        score = getattr(outcome, "score", None)
        told |= {"score": score, "cost": {name: one for name, one in outcome.cost.model_dump().items() if one}}
        error = f"{outcome.fault.kind}: {outcome.fault.message}" if isinstance(outcome, Failed) else ""
        given = {"role": launched.role, "attempt": launched.attempt}
        story.add("trainer", "TASK", launched.at, at, error=error, inputs=given, **told)
        story.error = error
        if not isinstance(outcome, Paused):
            story.over = True
            story.answer = {"status": outcome.status} | ({"score": score} if score is not None else {})

    def _weighed(self, one: ev.Judged | ev.Explained | ev.Reflected, since: float) -> None:
        match one:
            case ev.Judged():
                says, story = one.verdict.says(), self._of(one.verdict.trial)
                story.add("evaluator", "EVALUATOR", since, one.at, verdict=says, incumbent=one.incumbent, note=one.note)
                story.answer = {**(story.answer or {}), "verdict": says}
            case ev.Explained():
                sentences = [sentence.says for sentence in one.sentences]
                self._of(one.trial).add("explanation", "AGENT", since, one.at, by=one.by, says=sentences)
            case ev.Reflected():
                self._reflected(one, since)

    def _reflected(self, one: ev.Reflected, since: float) -> None:
        findings = [{"by": finding.by, "says": finding.says, "cause": finding.cause} for finding in one.findings]
        next_one = one.experiment.reason if one.experiment is not None else ""
        for trial in one.trials:
            story = self._of(trial)
            story.add("reflection", "AGENT", since, one.at, asked=one.asked, findings=findings, experiment=next_one)

    def _finished(self, one: ev.SearchEnded | ev.TestOpened | ev.Finished, since: float) -> None:
        story = self._story(END)
        match one:
            case ev.SearchEnded():
                story.add("search ended", "CHAIN", since, one.at, reason=one.reason)
            case ev.TestOpened():
                story.add("sealed test opened", "CHAIN", one.at, one.at, winner=one.winner)
            case ev.Finished():
                claims = [f"{claim.trial} is {claim.says()}" for claim in one.verdicts]
                story.add("finisher", "AGENT", since, one.at, winner=one.winner, reason=one.reason, claims=claims)
                story.over, story.answer = True, {"winner": one.winner, "reason": one.reason[:SAID]}


def steps(events: Sequence[ev.Event]) -> list[Trace]:
    """The traces of all that is over."""
    taken = Steps()
    taken.take(events)
    return taken.changed()
