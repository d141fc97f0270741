"""A study's history as passages, oldest first: what its journal says of trials, in lines that each have an id.

What other people, programs or models wrote (messages of faults, reasons, claims) is quoted as JSON. Which settings a
passage's place is made of, and what is pinned, is ours; see ``pins``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from weakref import WeakKeyDictionary

from tunewright.agents.context.passage import Passage, Place
from tunewright.agents.outcome_facts import TrialFacts, noise, searched_paths, trial_facts
from tunewright.agents.prompt import quoted
from tunewright.agents.specification import memory_limit
from tunewright.domain.budget import CURRENCIES, Cost
from tunewright.domain.lesson import Remembered
from tunewright.domain.outcome import Failed
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

LONGEST = 200
"""Characters of a quotation."""
_DROPPED = 0.25
"""What the prior of a lesson is worth that is not followed any more."""
_HALVES = 5
"""Trials, by rank or by age, after which a trial's prior has halved."""
_places: WeakKeyDictionary[Study, dict[str, Place]] = WeakKeyDictionary()
"""Study -> trial -> its settings' place: a trial's settings do not change once it was launched."""


def history(study: Study) -> list[Passage]:
    """Every passage of the study's history. Texts are written when they are asked for."""
    return [*_standing(study), *_trials(study), *_said_of_trials(study), *_explanations(study), *_lessons(study)]


def find(passages: list[Passage], ids: Mapping[str, object]) -> tuple[list[Passage], list[str]]:
    """The passages asked for by ``ids``, where a trial's own stands for all that is said of it; and unknown ids."""
    wanted = [one for one in passages if one.id in ids or one.id.partition(".")[0] in ids]
    known = {one.id for one in wanted} | {one.id.partition(".")[0] for one in wanted}
    return wanted, [id for id in ids if id not in known]


def _standing(study: Study) -> Iterator[Passage]:
    """What holds for the whole study: its budget, what the brief limits and wants, the noise, what was assumed."""
    if study.budget is not None:
        yield Passage("budget", "budget", (-3,), partial(_budget, study), pin=0)
    for number, one in enumerate(study.task.constraints if study.task is not None else (), start=1):
        text = f"{one.quantity} {one.relation} {one.value:g}"
        yield Passage(f"constraint-{number}", "constraint", (-2, number), partial(str, text), pin=4)
    limit = memory_limit(study)
    if limit is not None:
        yield Passage("memory", "constraint", (-2, 98), partial(str, f"a trial may hold {limit:.4g} GiB"), pin=4)
    wishes = study.wishes.model_dump(mode="json", exclude_defaults=True)
    if wishes:
        said = ", ".join(f"{name}={quoted(value)}" for name, value in wishes.items())
        yield Passage("wishes", "constraint", (-2, 99), partial(_short, said, 400), pin=4)
    apart = noise(study)
    if apart is not None:
        text = f"two scores that differ by less than {apart:.3g} are not told apart"
        yield Passage("noise", "constraint", (-2, 100), partial(str, text), pin=4)
    notes = [*study.notes, *(study.plan.notes if study.plan is not None else ())]
    for number, note in enumerate(dict.fromkeys(notes), start=1):
        yield Passage(f"note-{number}", "note", (-1, number), partial(_quoted, note), prior=0.3)


def _budget(study: Study) -> str:
    """What is left of each currency, as of the last event: trials by number, the others in tenths.

    Coarse, so that the same study told again, whose seconds are other ones, mostly asks the same question: recorded
    answers are found by it.
    """
    assert study.budget is not None
    said = [
        f"{name} {amount:g} left of {cap:g}"
        if name == "trials"
        else f"{name} about {_tenths(amount / cap)} left of {cap:g}"
        for name, amount in study.budget.left(study.spent(study.seen_at)).items()
        if (cap := getattr(study.budget, name))
    ]
    keep = study.plan.keep if study.plan is not None else Cost()
    kept = [
        f"{name} about {_tenths(amount / cap)}"
        for name in CURRENCIES
        if (cap := getattr(study.budget, name)) and (amount := getattr(keep, name))
    ]
    return ", ".join(said) + (f"; of that kept back for the finish: {', '.join(kept)}" if kept else "")


def _tenths(share: float) -> str:
    return f"{round(10 * share) * 10} %"


def _trials(study: Study) -> Iterator[Passage]:
    """The base model and every trial, ended or not; what failed is a fault, of whatever job it is."""
    trials = study.trials
    place_of = {job.id: number for number, job in enumerate(trials)}
    priors = _priors(study, trials)
    if study.base is not None and study.base.ended:
        yield _job(study, study.base, (0,), prior=0.5)
    for number, job in enumerate(trials):
        yield _job(study, job, (number + 1, 1), prior=priors[job.id])
    for job, _ in study.failures():
        if job.role not in ("trial", "base", "test"):
            yield _job(study, job, (place_of.get(job.proposal or "", len(trials)) + 1, 0), prior=0.0)


def _job(study: Study, job: JobRecord, order: tuple[int, ...], prior: float) -> Passage:
    failed = job.outcome if isinstance(job.outcome, Failed) else None
    ranks = {study.incumbent: 1, study.default: 2, "base": 3}
    rank = ranks.get(job.id, 5 if failed is not None else None)
    proposal = study.proposals.get(job.id)
    parent = proposal.idea.parent if proposal is not None else job.proposal
    return Passage(
        id=job.id,
        kind="fault" if failed is not None and rank == 5 else "trial",
        order=order,
        write=partial(_facts, study, job),
        settings=partial(_place, study, job.id),
        prior=prior,
        pin=rank,
        about=(parent,) if parent is not None and parent != job.id else (),
        family=study.recipe_of(job.id).recipe.stages[-1].adapter.kind if proposal is not None else "",
        score=job.estimate,
        cause=failed.fault.kind if failed is not None else "",
    )


def _facts(study: Study, job: JobRecord) -> str:
    facts = trial_facts(study, job)
    said = facts.line().removeprefix(f"{facts.id}: ")
    if isinstance(job.outcome, Failed):
        said += f"; it said {quoted(_short(job.outcome.fault.message))}"
    elif not job.ended:
        said = f"not ended, so not to be cited; {said}" + (f"; {quoted(_short(job.rest))}" if job.waiting else "")
    return _mark(study, facts) + said


def _mark(study: Study, facts: TrialFacts) -> str:
    marks = [
        word for word, id in (("the incumbent", study.incumbent), ("the default", study.default)) if id == facts.id
    ]
    if facts.id in study.barred:
        marks.append(f"may take no place: {quoted(_short(study.barred[facts.id]))}")
    return "".join(f"{mark}; " for mark in marks)


def _said_of_trials(study: Study) -> Iterator[Passage]:
    """Verdicts, steerings that were no mere go-on, and decisions of people and gates on proposals."""
    place_of = {job.id: number + 1 for number, job in enumerate(study.trials)}
    latest = len(place_of)
    for verdict in study.verdicts:
        at = place_of.get(verdict.trial, latest)
        won = 0.25 if verdict.answer == "better" else 0.0
        yield Passage(
            f"{verdict.trial}.verdict", "verdict", (at, 3), verdict.says,
            prior=won + 0.5 * _fading(latest - at), about=(verdict.trial, verdict.against),
        )  # fmt: skip
    for job in study.trials:
        for number, steered in enumerate((one for one in job.steered if one.action != "continue"), start=1):
            text = f"{steered.action}: {quoted(_short(steered.reason))}"
            id = f"{job.id}.steering" + (f".{number}" if number > 1 else "")
            at = place_of[job.id]
            yield Passage(
                id, "steering", (at, 2, number), partial(str, text),
                prior=0.25 * _fading(latest - at), about=(job.id,),
            )  # fmt: skip
    yield from _decisions(study, latest)


def _decisions(study: Study, latest: int) -> Iterator[Passage]:
    for number, proposal in enumerate(study.proposals.values()):
        decision = study.decisions.get(proposal.id)
        if decision is None or decision.action == "approve":
            continue
        by_person = decision.by == "person"
        yield Passage(
            f"{proposal.id}.decision", "decision", (min(number + 1, latest + 1), 0, number),
            partial(_decision, study, proposal.id), settings=partial(_place, study, proposal.id),
            prior=1.0 if by_person else 0.25 * _fading(len(study.proposals) - number), about=(proposal.id,),
        )  # fmt: skip


def _decision(study: Study, trial: str) -> str:
    decision, settings = study.decisions[trial], study.settings_of(trial)
    word = {"reject": "rejected", "edit": "edited"}[decision.action]
    why = f" because {quoted(_short(decision.reason))}" if decision.reason else ""
    facts = TrialFacts(trial, word, None, None, settings, searched_paths(study))
    return f"{word} by {decision.by}{why}: " + facts.line().removeprefix(f"{trial}: status={word}, ")


def _lessons(study: Study) -> Iterator[Passage]:
    """Those of earlier studies that were recalled, then its own, each after the newest trial that it cites."""
    place_of = {job.id: number + 1 for number, job in enumerate(study.trials)}
    for number, one in enumerate(study.insights.memory.values()):
        own = one.likeness is None
        cited = tuple(dict.fromkeys((*one.lesson.supporting, *one.lesson.contradicting))) if own else ()
        at = max((place_of.get(trial, 0) for trial in cited), default=0)
        worth = one.confidence * (_DROPPED if one.dropped else 1.0)
        yield Passage(one.id, "lesson", (at, 4, number), partial(_lesson, one), prior=worth, about=cited)


def _lesson(one: Remembered) -> str:
    """Trials of another study are not named: their ids would be taken for this one's."""
    lesson, told = one.lesson, [f"helpful {one.helpful}, harmful {one.harmful}, confidence {one.confidence:.2g}"]
    if one.likeness is None:
        against = f", against {' '.join(lesson.contradicting)}" if lesson.contradicting else ""
        told.insert(0, f"for {' '.join(lesson.supporting)}{against}")
    else:
        told.insert(0, f"of study {quoted(_short(lesson.study, 60))}, alike to {one.likeness:.2g}")
    if one.dropped:
        told.append("not followed any more")
    under = f" under {quoted([_short(text) for text in lesson.conditions])}" if lesson.conditions else ""
    return f"{quoted(_short(lesson.claim, 240))}{under} ({'; '.join(told)})"


def _explanations(study: Study) -> Iterator[Passage]:
    """Where a trial's gain or loss came from, by the evaluator."""
    place_of = {job.id: number + 1 for number, job in enumerate(study.trials)}
    for trial, one in study.insights.explained.items():
        at = place_of.get(trial, len(place_of))
        said = " ".join(sentence.says for sentence in one.sentences) or " ".join(fact.says for fact in one.facts)
        if said:
            yield Passage(
                f"{trial}.explained", "explanation", (at, 3, 1), partial(_quoted, said),
                prior=0.5 * _fading(len(place_of) - at), about=(trial,),
            )  # fmt: skip


def _priors(study: Study, trials: list[JobRecord]) -> dict[str, float]:
    """The best and the newest trials come near 1; it halves with every few that are better and newer."""
    sign = study.task.metric.sign if study.task is not None else 1.0
    scored = [job for job in trials if job.ended and job.estimate is not None]
    ranked = sorted(scored, key=lambda job: -sign * (job.estimate or 0.0))
    found = {job.id: _fading(len(trials) - 1 - number) for number, job in enumerate(trials)}
    for rank, job in enumerate(ranked):
        found[job.id] = max(found[job.id], _fading(rank))
    return found


def _fading(steps: int) -> float:
    return float(0.5 ** (max(0, steps) / _HALVES))


def _place(study: Study, trial: str) -> Place:
    from tunewright.agents.context.vectors import place

    if study.plan is None or trial not in study.proposals:
        return {}
    known = _places.setdefault(study, {})
    if trial not in known or trial not in study.jobs:
        known[trial] = place(study.plan.space, study.settings_of(trial))
        while len(known) > _MOST_PLACES:
            del known[next(iter(known))]
    return known[trial]


_MOST_PLACES = 4096


def _quoted(text: str) -> str:
    return quoted(_short(text))


def _short(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
