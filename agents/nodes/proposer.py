"""Asks the search for what to try next, prices it, and sends what cannot be run back with the reason."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.feasibility import rejected, repairs, surely_passed, unfit_in_a_row
from tunewright.agents.nodes.approval import batch_needs_person
from tunewright.agents.notebook import Notebook
from tunewright.agents.opening import opening
from tunewright.agents.risk.desk import RiskDesk
from tunewright.agents.risk.fitting import fitted
from tunewright.agents.specification import Specifier, problems, reservation
from tunewright.agents.state import Node, State
from tunewright.agents.to_come import held_for, of_the_default, still_planned
from tunewright.domain import event as ev
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.errors import UsageError
from tunewright.domain.proposal import Decision, Idea, Proposal
from tunewright.domain.protocols import Scheduler, Strategy
from tunewright.domain.study import Study

_ABOUT = 1.15
"""Times the default's forecast: what is about as long as the default. Some adapters and ranks are a little slower."""
_DRY_ROUNDS = 8
"""Rounds in which nothing runnable came up before the search is called exhausted."""


def make_proposer(
    notebook: Notebook,
    specifier: Specifier,
    strategy: Callable[[Study], Strategy],
    ideas: Callable[[Study], list[Idea]],
    scheduler: Callable[[Study], Scheduler],
    wait: Callable[[], object],
    ends: Callable[[Study], str] = lambda study: "",
    desk: RiskDesk | None = None,
    spared: Callable[[], bool] = lambda: False,
) -> Node:
    """What waits at a rung goes on first, where the scheduler says so; else something new is proposed.

    Args:
        strategy: gives the study's sampler.
        ideas: the planner's bounded share: what waits for its turn. Nobody is asked for it here.
        wait: returns when one of the trials that run has ended.
        ends: why the search should end although there is budget left; nothing if it should go on.
        desk: tells the style, sizes ideas and forecasts proposals; without it nobody does.
        spared: waits for what else holds some of the budget, such as a call of a language model; whether anything did.
    """

    def proposer(state: State) -> State:
        dry = f"nothing runnable came up in {_DRY_ROUNDS} rounds"
        for _ in range(_DRY_ROUNDS):
            if desk is not None:
                desk.open()
            study = notebook.study
            if promoted(closing=False):
                return state
            count = _wanted(study)
            if count == 0:
                return end(state, f"all {len(study.trials)} trials of the budget are used")
            if not opening(study) and (enough := ends(study)):
                return end(state, enough, closing=False)
            if (unfit := unfit_in_a_row(study)) >= _DRY_ROUNDS:
                return end(state, f"the first steps of {unfit} recipes in a row did not fit into memory")
            found = next_ideas(study, ideas, strategy, count)
            instead = desk.instead(found) if desk is not None else None
            found = desk.sized(found) if desk is not None else found
            proposals = _priced(specifier, study, [fitted(study, one, specifier.forecast) for one in found])
            if not proposals:
                return end(state, "the space holds no recipe that was not proposed before")
            notebook.record(ev.Proposed(proposals=tuple(proposals)))
            if desk is not None:
                desk.forecast(proposals, instead)
            if _gate(notebook, specifier, proposals):
                return state
            if all(ledger.refusals(notebook.study, p.forecast.cost) for p in proposals):
                dry = "what is left of the budget does not cover another trial"
                if all(p.idea.origin == "planner" for p in proposals):
                    continue  # what it claims is of that length; the sampler's ideas are made to fit
                later = not all(ledger.refusals(notebook.study, p.forecast.cost, idle=True) for p in proposals)
                return end(state, dry, later=later)
        return end(state, dry)

    def promoted(*, closing: bool) -> bool:
        """Lets the trial go on that the scheduler names, if the budget covers what it has left."""
        study = notebook.study
        found = scheduler(study).promote(study, closing=closing)
        if found is None or ledger.refusals(study, _to_go_on(study, found.job)):
            return False
        notebook.record(ev.JobPromoted(job=found.job, reason=found.reason, closing=closing))
        return True

    def end(state: State, reason: str, *, later: bool = False, closing: bool = True) -> State:
        """Nothing new can be begun, or only ``later``, when what runs gives back what it holds. So what waits goes on,
        unless it is not worth it either (``closing``), and the search ends when nothing does any more.
        """
        if later or not closing or not promoted(closing=True):
            if notebook.study.running:
                wait()  # it may leave some of what it holds, or wait at a rung itself
            elif not spared():  # what that gives back, or brings, may be enough to go on
                notebook.record(ev.SearchEnded(reason=reason))
        return state

    return proposer


def _to_go_on(study: Study, job: str) -> Cost:
    """What a trial that waits holds when it goes on."""
    return reservation(study, study.recipe_of(job).forecast.cost.wall_s, study.jobs[job], "trial")


def next_ideas(
    study: Study, planner: Callable[[Study], list[Idea]], strategy: Callable[[Study], Strategy], count: int
) -> list[Idea]:
    """First what did not fit into memory, made to fit, then what the brief asks for, then the planner's own ideas, and
    the sampler for the rest.

    Trial 0 is always the sampler's: the default.
    """
    own = [*repairs(study), *opening(study)][:count]
    if not own and study.proposals:
        own = planner(study)[: count - 1 if count > 1 else 1]
    return own + (strategy(study).ask(study, count - len(own)) if count > len(own) else [])


def _wanted(study: Study) -> int:
    """How many proposals; where a person is asked about them, enough for every slot, since asking waits for all."""
    assert study.plan is not None
    wanted = max(study.plan.batch, study.options.slots) if batch_needs_person(study) else study.plan.batch
    left = ledger.trials_left(study)
    return wanted if left is None else min(wanted, left)


def _priced(specifier: Specifier, study: Study, ideas: list[Idea]) -> list[Proposal]:
    start = len(study.proposals)
    return [specifier.price(study, idea, f"t{start + offset}") for offset, idea in enumerate(ideas)]


def _held(study: Study, specifier: Specifier, proposal: Proposal, before: int) -> Cost:
    """What a proposal must leave: the plan's own keep, a default-sized trial for each that goes first, and, where it is
    longer than such a trial, one for each that is still to come. It may not take their time; but where all of them no
    longer fit, those that do are run.

    Args:
        before: proposals of the same batch that go first.
    """
    assert study.plan is not None
    default = of_the_default(study, specifier.forecast).expected
    longer = proposal.forecast.seconds.expected > _ABOUT * default
    to_come = still_planned(study, before + 1) if longer else 0
    return study.plan.keep + held_for(study, (to_come + before) * default)


def _gate(notebook: Notebook, specifier: Specifier, proposals: list[Proposal]) -> list[Proposal]:
    """Answers at once the proposals that the machine or the budget rules out; those that are left."""
    runnable: list[Proposal] = []
    for proposal in proposals:
        study = notebook.study
        try:
            found = problems(study, proposal)
        except UsageError as error:
            found = [error.message]
        held = _held(study, specifier, proposal, len(runnable))
        unaffordable = ledger.refusals(study, proposal.forecast.cost, keep=held)
        if not found and not unaffordable:
            runnable.append(proposal)
            continue
        notebook.record(ev.Decided(decision=_rejection(study, specifier, proposal, found or unaffordable)))
    return runnable


def _rejection(study: Study, specifier: Specifier, proposal: Proposal, reasons: list[str]) -> Decision:
    """The gate's answer; where memory alone is in the way, with what may be done about it."""
    passed, reason = surely_passed(study, proposal.forecast), "; ".join(reasons)
    if passed is not None and len(reasons) == 1:
        return rejected(study, proposal.id, specifier, by="gate", reason=reason, passed=passed)
    return Decision(target=proposal.id, action="reject", by="gate", reason=reason)
