"""Every decision of a study with what it promised and what came of it, derived from the journal: nothing is kept twice.

The fields and the reward are TradingGroup's (arXiv 2508.17565, as a replication audit gives them): ``gain - beta * gain
of the benchmark - gamma * cost / budget`` with beta 0.2 and gamma 1.0. The benchmark of a trial is the sampler's own
proposal at that step. What was not done is rewarded too: by what was measured where the same recipe was trained later
or beside it, else by what the search's model expected at that time, and then it is marked as modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tunewright.agents.reflection.grade import Grade, grade
from tunewright.agents.risk.forecaster import hit_of, incumbent
from tunewright.agents.risk.situation import settings_of, situation, steering_situation
from tunewright.agents.risk.style import budget_left, style_of
from tunewright.domain import event as ev
from tunewright.domain.event import Style
from tunewright.domain.frozen import Frozen, Json, content_hash
from tunewright.domain.proposal import Hope, Proposal
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.search.expecting import Expecting

BETA, GAMMA = 0.2, 1.0
Label = Literal["good", "even", "bad", "unknown"]
"""A proposal is good that beats the incumbent by more than noise, and bad that falls behind by as much or fails by its
own fault; a steering is good whose reward is not below the other's. What has no outcome to compare is unknown."""


class Alternative(Frozen):
    """An action that was not taken."""

    by: str
    action: dict[str, Json]
    reason: str = ""
    gain: float
    reward: float
    modelled: bool
    """Whether its gain is what a model expected, and was not measured."""


class DecisionRecord(Frozen):
    """One decision. Gains are in the metric's good direction."""

    study: str
    step: int
    """Of the journal's events, which it is."""
    kind: Literal["propose", "steer"]
    trial: str
    agent: str
    """Who proposed, ``scheduler``, or who else."""
    style: Style
    inputs: str
    """Hash of ``context``."""
    context: str
    """What was known; see ``situation``."""
    call: str = ""
    """Digest of the call in the study's ``calls.jsonl`` where a language model was asked; else empty."""
    action: dict[str, Json]
    reason: str
    predicted_gain: float | None = None
    chance: float | None = None
    forecaster: str = ""
    incumbent: str | None
    incumbent_score: float | None
    budget_left: float
    """Share of the scarcest currency."""
    recipe: dict[str, Json]
    curve: tuple[tuple[int, float], ...] = ()
    """(step, score) of the rungs that it had passed."""
    realised_gain: float | None = None
    eps: float | None = None
    """What two scores had to differ by to be told apart."""
    hit_weight: float | None = None
    reward: float | None = None
    cost_share: float = 0.0
    """Of the budget, of the currency of which it took most."""
    alternatives: tuple[Alternative, ...] = ()
    label: Label = "unknown"


@dataclass
class _Moment:
    """The study when a batch was proposed."""

    step: int
    context: str
    style: Style
    budget_left: float
    against: tuple[str, float] | None
    call: str
    batch: tuple[Proposal, ...]
    settings: dict[str, dict[str, Json]] = field(default_factory=dict)


def decisions(events: Sequence[ev.Event]) -> list[DecisionRecord]:
    """One record a proposal and one a steering, in the order of the journal."""
    final, now, call = Study(events), Study(), ""
    moments: list[_Moment] = []
    steered: list[DecisionRecord] = []
    expecting = Expecting()
    for step, one in enumerate(events):
        match one:
            case ev.ModelAsked(role="proposer", valid=True):
                call = one.record
            case ev.Proposed():
                moments.append(_moment(now, one, step, call))
                call = ""
            case ev.JobSteered() if one.action != "continue":
                steered.append(_steering(now, final, one, step, expecting))
            case _:
                pass
        now.fold(one)
    proposed = [
        _proposal(final, moment, proposal, moments[at + 1 : at + 2])
        for at, moment in enumerate(moments)
        for proposal in moment.batch
    ]
    return sorted([*proposed, *steered], key=lambda one: one.step)


def _moment(now: Study, one: ev.Proposed, step: int, call: str) -> _Moment:
    return _Moment(
        step,
        situation(now),
        style_of(now),
        budget_left(now),
        incumbent(now),
        call,
        one.proposals,
        {proposal.id: settings_of(now, proposal.recipe) for proposal in one.proposals},
    )


def _proposal(final: Study, moment: _Moment, proposal: Proposal, after: Sequence[_Moment]) -> DecisionRecord:
    told, edited = final.forecasts.get(proposal.id), final.recipe_of(proposal.id).recipe != proposal.recipe
    found = None if edited else _grade(final, proposal.id)  # another recipe was trained
    hope = next((one for one in told.hopes if one.by == told.counted), None) if told is not None else None
    gain = None if edited else _gain(final, moment, proposal.id)
    planned = proposal.idea.origin == "planner"
    baseline = _baseline(final, moment, told) if planned else gain
    cost = found.share if found is not None else 0.0
    return DecisionRecord(
        study=final.name,
        step=moment.step,
        kind="propose",
        trial=proposal.id,
        agent=proposal.idea.origin,
        style=moment.style,
        inputs=content_hash(moment.context),
        context=moment.context,
        call=moment.call if planned else "",
        action=moment.settings[proposal.id],
        reason=proposal.idea.reason,
        predicted_gain=hope.gain if hope is not None else None,
        chance=hope.chance if hope is not None else None,
        forecaster=hope.by if hope is not None else "",
        incumbent=moment.against[0] if moment.against is not None else None,
        incumbent_score=moment.against[1] if moment.against is not None else None,
        budget_left=moment.budget_left,
        recipe=proposal.recipe.model_dump(mode="json"),
        realised_gain=gain,
        eps=found.eps if found is not None else None,
        hit_weight=hit_of(hope, found) if hope is not None and found is not None else None,
        reward=None if gain is None else reward(gain, baseline or 0.0, cost),
        cost_share=cost,
        alternatives=tuple(_alternatives(final, moment, proposal, after, told, baseline or 0.0)),
        label=_label(gain, found),
    )


def reward(gain: float, baseline: float, cost_share: float) -> float:
    """``gain - 0.2 * baseline - 1.0 * cost / budget``."""
    return gain - BETA * baseline - GAMMA * cost_share


def _alternatives(
    final: Study,
    moment: _Moment,
    proposal: Proposal,
    after: Sequence[_Moment],
    told: ev.Forecasted | None,
    baseline: float,
) -> list[Alternative]:
    """What else there was: the rest of the batch and the next one, as measured, and the sampler's own idea."""
    found = []
    edited = final.recipe_of(proposal.id).recipe != proposal.recipe
    others = [one for one in moment.batch if one.id != proposal.id or edited]
    others += [one for later in after for one in later.batch]
    for one in others:
        other = final.recipe_of(one.id)
        gain, graded = _gain(final, moment, other.id), _grade(final, other.id)
        if gain is not None and graded is not None:
            found.append(
                Alternative(
                    by=other.idea.origin,
                    action=settings_of(final, other.recipe),
                    reason=other.idea.reason,
                    gain=gain,
                    reward=reward(gain, baseline, graded.share),
                    modelled=False,
                )
            )
    if told is not None and told.instead is not None and told.instead_hope is not None:
        later = _trained(final, told.instead.recipe)
        measured = _gain(final, moment, later) if later is not None else None
        gain = told.instead_hope.gain if measured is None else measured
        found.append(
            Alternative(
                by="sampler",
                action=settings_of(final, told.instead.recipe),
                reason=told.instead.reason,
                gain=gain,
                reward=reward(gain, baseline, _usual_share(final)),
                modelled=measured is None,
            )
        )
    return found


def _steering(now: Study, final: Study, one: ev.JobSteered, step: int, expecting: Expecting) -> DecisionRecord:
    """A stop or a pause beside going on: what that was worth is measured where the trial went on later."""
    record, against = now.jobs[one.job], incumbent(now)
    recipe, context = now.recipe_of(one.job).recipe, steering_situation(now, one.job)
    usual, ended = _usual_share(final), _grade(final, one.job)
    # What was spent until then is spent either way; going on costs the rest.
    spent = ended.share if ended is not None and ended.score is None else usual / 2
    alternatives: tuple[Alternative, ...] = ()
    own = reward(0.0, 0.0, spent)
    if against is not None and now.plan is not None:
        measured = _gain_over(final, one.job, against[1])
        hope: Hope | None = expecting(now, [recipe], against[1])[0] if measured is None else None
        gain = measured if measured is not None else hope.gain if hope is not None else None
        if gain is not None:
            # To go on may be worth less than nothing only by what it costs: the incumbent stays where it is.
            worth = reward(max(gain, 0.0), 0.0, max(usual, spent))
            action: dict[str, Json] = {"action": "continue"}
            alternatives = (
                Alternative(by="scheduler", action=action, gain=gain, reward=worth, modelled=hope is not None),
            )
    label: Label = "unknown"
    if alternatives:
        label = "good" if own >= alternatives[0].reward else "bad"
    return DecisionRecord(
        study=final.name,
        step=step,
        kind="steer",
        trial=one.job,
        agent="risk manager" if "stop-loss" in one.reason else "scheduler",
        style=style_of(now),
        inputs=content_hash(context),
        context=context,
        action={"action": one.action},
        reason=one.reason,
        incumbent=against[0] if against is not None else None,
        incumbent_score=against[1] if against is not None else None,
        budget_left=budget_left(now),
        recipe=recipe.model_dump(mode="json"),
        curve=tuple((m.step, m.value) for m in record.measurements),
        realised_gain=0.0,
        eps=ended.eps if ended is not None else None,
        reward=own,
        cost_share=spent,
        alternatives=alternatives,
        label=label,
    )


def _baseline(final: Study, moment: _Moment, told: ev.Forecasted | None) -> float | None:
    """The gain of the sampler's own proposal at that step: measured where it was trained, else as expected then."""
    own = next((one for one in moment.batch if one.idea.origin == "sampler"), None)
    if own is not None and (gain := _gain(final, moment, own.id)) is not None:
        return gain
    return told.instead_hope.gain if told is not None and told.instead_hope is not None else None


def _gain(final: Study, moment: _Moment, trial: str) -> float | None:
    """Over the incumbent of the moment. What failed by its own fault is worth the untouched model."""
    return _gain_over(final, trial, moment.against[1]) if moment.against is not None else None


def _gain_over(final: Study, trial: str, score: float) -> float | None:
    job, found, task = final.jobs.get(trial), _grade(final, trial), final.task
    if job is None or found is None or task is None:
        return None
    mine = job.estimate
    if mine is None and found.lost and final.base is not None:
        mine = final.base.score
    return task.metric.gain(mine, score) if mine is not None else None


def _trained(final: Study, recipe: Recipe) -> str | None:
    """The trial that trained this very recipe."""
    mine = recipe.fingerprint
    return next((job.id for job in final.trials if final.recipe_of(job.id).recipe.fingerprint == mine), None)


def _grade(final: Study, trial: str) -> Grade | None:
    job = final.jobs.get(trial)
    return grade(final, trial) if job is not None and job.ended else None


def _usual_share(final: Study) -> float:
    """Of the budget, that a trial took on average."""
    shares = [grade(final, job.id).share for job in final.trials if job.ended]
    return sum(shares) / len(shares) if shares else 0.0


def _label(gain: float | None, found: Grade | None) -> Label:
    if found is None:
        return "unknown"
    if found.lost:
        return "bad"
    if gain is None or found.eps is None:
        return "unknown"
    return "good" if gain > found.eps else "bad" if gain < -found.eps else "even"
