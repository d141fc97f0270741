"""Lessons that code finds by itself, bears out with a study's trials, and can hold later ones against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunewright.agents.outcome_facts import TrialFacts, noise
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Check, Evidence, Lesson
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import number_words

ENOUGH = 5
"""Completed trials before "nothing beats the default" means something."""

KIND = "stages.0.adapter.kind"
RANK = "stages.0.adapter.r"
LR = "stages.0.optimisation.lr"
BATCH = "stages.0.optimisation.batch_size"


def by_rules(study: Study, trials: Sequence[TrialFacts]) -> list[Lesson]:
    """What the ended trials teach, known already or not.

    Args:
        trials: all that have ended, in order.
    """
    if study.task is None:
        return []
    apart = noise(study)
    found = [_memory(trials), *_too_hot(study, trials)]
    if apart is not None:
        scored = _ranked(study, [one for one in trials if one.score is not None])
        found += [*_adapters(study, scored, apart), _default_stands(study, scored, apart), *_ranks(scored, apart)]
    return [lesson for lesson in found if lesson is not None]


def _adapters(study: Study, ranked: Sequence[TrialFacts], apart: float) -> list[Lesson]:
    """The best adapter against the next, best trial against best trial; where these are alike, against the next that it
    beats too."""
    kinds = list(_by_kind(ranked).items())
    alike: list[Lesson] = []
    for other in kinds[1:]:
        lesson = _best_against_best(study, kinds[0], other, apart)
        if lesson.advice:
            return [*alike[:1], lesson]
        alike.append(lesson)
    return alike[:1]


def _best_against_best(
    study: Study, one: tuple[Json, list[TrialFacts]], another: tuple[Json, list[TrialFacts]], apart: float
) -> Lesson:
    (kind, mine), (other, theirs) = one, another
    first, second = mine[0], theirs[0]
    gain = abs(_score(first) - _score(second))
    answer = _answer(study, first, second)
    against = _better_than_half(study, theirs, mine)
    scores = f"{_score(first):.3f} ({first.id}) against {_score(second):.3f} ({second.id})"
    beats = gain > apart if answer is None else answer == "better"
    if beats:
        claim = f"{kind} beats {other} by {gain:.3f}, best trial against best: {scores}"
        against = [trial for trial in against if trial is not second]
    else:
        claim = f"{kind} and {other} are not told apart by their best trials: {scores}"
        against = []
    same = first.get(RANK) == second.get(RANK)
    return Lesson(
        claim=claim,
        conditions=("same rank" if same else "ranks differ", "learning rates are searched per adapter"),
        evidence=(*_cite((first, second), KIND, "score"), *_cite(against, KIND, "score")),
        supporting=(first.id, second.id),
        contradicting=tuple(trial.id for trial in against),
        confidence=round(min(0.8, 0.3 + 0.1 * len(mine) + 0.1 * same), 2),
        check=Check(rule="beats" if beats else "alike", about={"adapter": kind, "other": other}),
        advice={KIND: kind} if beats else {},
    )


def _answer(study: Study, first: TrialFacts, second: TrialFacts) -> str | None:
    """What the evaluator said of the first against the second, item by item; None where it compared others."""
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    for one in study.verdicts:
        if (one.trial, one.against) == (first.id, second.id):
            return one.answer
        if (one.trial, one.against) == (second.id, first.id):
            return opposite[one.answer]
    return None


def _default_stands(study: Study, ranked: Sequence[TrialFacts], apart: float) -> Lesson | None:
    default = next((one for one in ranked if one.id == study.default), None)
    if default is None or len(ranked) < ENOUGH:
        return None
    best = next(one for one in ranked if one is not default)
    assert study.task is not None
    if study.task.metric.gain(_score(best), _score(default)) > apart:
        return None
    return Lesson(
        claim=f"no trial beats the default recipe beyond noise: {_score(default):.3f} ({default.id}), "
        f"best other {_score(best):.3f} ({best.id})",
        evidence=_cite((default, best), "score"),
        supporting=(default.id, best.id),
        confidence=round(min(0.8, 0.3 + 0.05 * len(ranked)), 2),
        check=Check(rule="default stands"),
    )


def _ranks(ranked: Sequence[TrialFacts], apart: float) -> list[Lesson]:
    """Adapters whose rank varied fourfold without the score's moving beyond noise."""
    found = []
    for kind, alike in _by_kind(ranked).items():
        mine = [one for one in alike if one.get(RANK) is not None]
        ranks = sorted(mine, key=lambda one: float(one.get(RANK)))
        if len({one.get(RANK) for one in mine}) < 3 or ranks[-1].get(RANK) < 4 * ranks[0].get(RANK):
            continue
        if abs(_score(mine[0]) - _score(mine[-1])) > apart:
            continue
        low, high = ranks[0], ranks[-1]
        found.append(
            Lesson(
                claim=f"rank made no difference beyond noise for {kind}: {_score(low):.3f} at rank {low.get(RANK)} "
                f"({low.id}), {_score(high):.3f} at rank {high.get(RANK)} ({high.id})",
                evidence=_cite(mine, KIND, RANK, "score"),
                supporting=tuple(one.id for one in mine),
                confidence=round(min(0.7, 0.2 + 0.1 * len(mine)), 2),
                check=Check(rule="rank flat", about={"adapter": kind}),
            )
        )
    return found


def _too_hot(study: Study, trials: Sequence[TrialFacts]) -> list[Lesson]:
    """A learning rate from which on every trial of an adapter failed or fell below the untouched model."""
    base = study.base.score if study.base is not None else None
    assert study.task is not None
    better = study.task.metric.better
    found = []
    for kind, alike in _by_kind(trials).items():
        mine = [one for one in alike if one.get(LR) is not None]
        bad = [
            one
            for one in mine
            if one.fault == "config" or (one.score is not None and base is not None and better(base, one.score))
        ]
        worse = {one.id for one in bad}
        good = [one for one in mine if one.score is not None and one.id not in worse]
        held = max((one.get(LR) for one in good), default=None)
        hot = sorted((one for one in bad if held is None or one.get(LR) > held), key=lambda one: float(one.get(LR)))
        if not hot or held is None:
            continue  # without a trial that held there is nothing to blame on the learning rate
        last = next(one for one in good if one.get(LR) == held)
        claim = f"a learning rate of {number_words(hot[0].get(LR))} is too high for {kind} ({hot[0].id})"
        found.append(
            Lesson(
                claim=f"{claim}; {number_words(held)} held ({last.id})",
                evidence=(
                    *_cite(hot, KIND, LR, "status", "fault", "score"),
                    *_cite((last,), KIND, LR, "score"),
                ),
                supporting=(*(one.id for one in hot), last.id),
                confidence=round(min(0.8, 0.4 + 0.1 * len(hot)), 2),
                check=Check(rule="too hot", about={"adapter": kind, "lr": hot[0].get(LR)}),
            )
        )
    return found


def _memory(trials: Sequence[TrialFacts]) -> Lesson | None:
    """The last trial that did not fit into memory, with those alike that did."""
    failed = next((one for one in reversed(trials) if one.fault == "memory" and one.get(KIND)), None)
    if failed is None:
        return None
    kind, batch = failed.get(KIND), failed.get(BATCH)
    alike = [one for one in trials if one.score is not None and (one.get(KIND), one.get(BATCH)) == (kind, batch)]
    return Lesson(
        claim=f"{kind} at batch {batch} can run out of memory ({failed.id})",
        evidence=(*_cite((failed,), KIND, BATCH, "fault"), *_cite(alike, KIND, BATCH, "status")),
        supporting=(failed.id,),
        contradicting=tuple(one.id for one in alike),
        confidence=round(max(0.2, 0.7 - 0.2 * len(alike)), 2),
        check=Check(rule="memory", about={"adapter": kind, "batch": batch}),
    )


def _by_kind(trials: Iterable[TrialFacts]) -> dict[Json, list[TrialFacts]]:
    grouped: dict[Json, list[TrialFacts]] = {}
    for one in trials:
        grouped.setdefault(one.get(KIND), []).append(one)
    return grouped


def _cite(trials: Iterable[TrialFacts], *quantities: str) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(trial=one.id, quantity=quantity, value=value)
        for one in trials
        for quantity in quantities
        if (value := one.get(quantity)) is not None
    )


def _ranked(study: Study, trials: Sequence[TrialFacts]) -> list[TrialFacts]:
    assert study.task is not None
    return sorted(trials, key=_score, reverse=study.task.metric.direction == "max")


def _better_than_half(study: Study, some: Sequence[TrialFacts], ranked: Sequence[TrialFacts]) -> list[TrialFacts]:
    """Those that are better than at least half of ``ranked``, which is best first."""
    assert study.task is not None
    middle = _score(ranked[len(ranked) // 2])
    return [one for one in some if study.task.metric.better(_score(one), middle)]


def _score(one: TrialFacts) -> float:
    assert one.score is not None
    return one.score
