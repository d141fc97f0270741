"""Reflection: what the outcomes teach. Rules find what code can bear out; a language model may add to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tunewright.agents.context.told import with_history
from tunewright.agents.lesson_check import verify
from tunewright.agents.outcome_facts import TrialFacts, ended_trials, noise
from tunewright.agents.schemas import LessonAnswer, LessonsAnswer
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Evidence, Lesson
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import number_words

__all__ = ["lessons_prompt", "propose_lessons", "verify"]

ROLE = "reflection"
MOST = 3
"""Lessons a reflection yields, by rules and by a language model each."""
EVERY = 3
"""Ended trials between two questions to a language model."""
ENOUGH = 5
"""Completed trials before "nothing beats the default" means something."""

_KIND = "stages.0.adapter.kind"
_RANK = "stages.0.adapter.r"
_LR = "stages.0.optimisation.lr"
_BATCH = "stages.0.optimisation.batch_size"


def propose_lessons(
    study: Study, brain: Brain | None, *, warn: Callable[[str], None] = lambda message: None
) -> list[Lesson]:
    """New lessons, the rules' first. A language model's are not checked here: give each to ``verify``.

    Args:
        warn: is told in one line when the language model was of no use.
    """
    if study.task is None:
        return []
    trials = ended_trials(study)
    known = {_shape(lesson.claim) for lesson in study.lessons}
    found = _new(_by_rules(study, trials), known)[:MOST]
    if brain is not None and len(trials) // EVERY > len(study.reflected) // EVERY:
        known |= {_shape(lesson.claim) for lesson in found}
        found += _new(_asked(study, trials, brain, warn), known)[:MOST]
    return found


def _new(lessons: Iterable[Lesson], known: set[str]) -> list[Lesson]:
    """Those whose claim says something else than the known ones, numbers and trials aside."""
    by_shape = {_shape(lesson.claim): lesson for lesson in lessons}
    return [lesson for shape, lesson in by_shape.items() if shape not in known]


def _shape(claim: str) -> str:
    return re.sub(r"(?<![\w.-])t?\d[\w.-]*", "#", claim.lower())


def _asked(study: Study, trials: list[TrialFacts], brain: Brain, warn: Callable[[str], None]) -> list[Lesson]:
    try:
        answer = brain.structured(ROLE, lessons_prompt(study, trials), LessonsAnswer)
    except (BrainError, BudgetError) as error:
        warn(f"no lessons from {brain.name}: {error.message}")
        return []
    return [_lesson(one, brain.name) for one in answer.lessons]


def _lesson(answer: LessonAnswer, by: str) -> Lesson:
    # One trial is an anecdote, however sure the model is.
    sure = answer.confidence if len(answer.supporting) > 1 else min(answer.confidence, 0.5)
    return Lesson(
        claim=answer.claim,
        conditions=tuple(answer.conditions),
        evidence=tuple(Evidence(trial=one.trial, quantity=one.quantity, value=one.value) for one in answer.evidence),
        supporting=tuple(dict.fromkeys(answer.supporting)),
        contradicting=tuple(dict.fromkeys(answer.contradicting)),
        confidence=sure,
        by=by,
    )


def lessons_prompt(study: Study, trials: list[TrialFacts]) -> str:
    """The question to a language model, of at most ``told.PROMPT_TOKENS`` tokens.

    Args:
        trials: the facts of all that have ended; those that no reflection has read are what the history is asked about.
    """
    apart = noise(study)
    return with_history(
        "reflect",
        study,
        query=[one.id for one in trials if one.id not in study.reflected],
        most=MOST,
        task=study.task,
        noise="an amount not known yet" if apart is None else f"{apart:.3f}",
    )


def _by_rules(study: Study, trials: list[TrialFacts]) -> list[Lesson]:
    apart = noise(study)
    found = [_memory(trials), *_too_hot(study, trials)]
    if apart is not None:
        scored = _ranked(study, [one for one in trials if one.score is not None])
        found += [_adapters(study, scored, apart), _default_stands(study, scored, apart), *_ranks(scored, apart)]
    return [lesson for lesson in found if lesson is not None]


def _adapters(study: Study, ranked: Sequence[TrialFacts], apart: float) -> Lesson | None:
    """The best adapter against the next: best trial against best trial."""
    alike = _by_kind(ranked)
    if len(alike) < 2:
        return None
    (kind, mine), (other, theirs) = list(alike.items())[:2]
    first, second = mine[0], theirs[0]
    gain = abs(_score(first) - _score(second))
    against = _better_than_half(study, theirs, mine)
    scores = f"{_score(first):.3f} ({first.id}) against {_score(second):.3f} ({second.id})"
    if gain > apart:
        claim = f"{kind} beats {other} by {gain:.3f}, best trial against best: {scores}"
        against = [one for one in against if one is not second]
    else:
        claim = f"{kind} and {other} are not told apart by their best trials: {scores}"
        against = []
    same = first.get(_RANK) == second.get(_RANK)
    return Lesson(
        claim=claim,
        conditions=("same rank" if same else "ranks differ", "learning rates are searched per adapter"),
        evidence=(*_cite((first, second), _KIND, "score"), *_cite(against, _KIND, "score")),
        supporting=(first.id, second.id),
        contradicting=tuple(one.id for one in against),
        confidence=round(min(0.8, 0.3 + 0.1 * len(mine) + 0.1 * same), 2),
    )


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
    )


def _ranks(ranked: Sequence[TrialFacts], apart: float) -> list[Lesson]:
    """Adapters whose rank varied fourfold without the score's moving beyond noise."""
    found = []
    for kind, alike in _by_kind(ranked).items():
        mine = [one for one in alike if one.get(_RANK) is not None]
        ranks = sorted(mine, key=lambda one: float(one.get(_RANK)))
        if len({one.get(_RANK) for one in mine}) < 3 or ranks[-1].get(_RANK) < 4 * ranks[0].get(_RANK):
            continue
        if abs(_score(mine[0]) - _score(mine[-1])) > apart:
            continue
        low, high = ranks[0], ranks[-1]
        found.append(
            Lesson(
                claim=f"rank made no difference beyond noise for {kind}: {_score(low):.3f} at rank {low.get(_RANK)} "
                f"({low.id}), {_score(high):.3f} at rank {high.get(_RANK)} ({high.id})",
                evidence=_cite(mine, _KIND, _RANK, "score"),
                supporting=tuple(one.id for one in mine),
                confidence=round(min(0.7, 0.2 + 0.1 * len(mine)), 2),
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
        mine = [one for one in alike if one.get(_LR) is not None]
        bad = [
            one
            for one in mine
            if one.fault == "config" or (one.score is not None and base is not None and better(base, one.score))
        ]
        worse = {one.id for one in bad}
        good = [one for one in mine if one.score is not None and one.id not in worse]
        held = max((one.get(_LR) for one in good), default=None)
        hot = sorted((one for one in bad if held is None or one.get(_LR) > held), key=lambda one: float(one.get(_LR)))
        if not hot or held is None:
            continue  # without a trial that held there is nothing to blame on the learning rate
        last = next(one for one in good if one.get(_LR) == held)
        claim = f"a learning rate of {number_words(hot[0].get(_LR))} is too high for {kind} ({hot[0].id})"
        found.append(
            Lesson(
                claim=f"{claim}; {number_words(held)} held ({last.id})",
                evidence=(
                    *_cite(hot, _KIND, _LR, "status", "fault", "score"),
                    *_cite((last,), _KIND, _LR, "score"),
                ),
                supporting=(*(one.id for one in hot), last.id),
                confidence=round(min(0.8, 0.4 + 0.1 * len(hot)), 2),
            )
        )
    return found


def _memory(trials: Sequence[TrialFacts]) -> Lesson | None:
    """The last trial that did not fit into memory, with those alike that did."""
    failed = next((one for one in reversed(trials) if one.fault == "memory" and one.get(_KIND)), None)
    if failed is None:
        return None
    kind, batch = failed.get(_KIND), failed.get(_BATCH)
    alike = [one for one in trials if one.score is not None and (one.get(_KIND), one.get(_BATCH)) == (kind, batch)]
    return Lesson(
        claim=f"{kind} at batch {batch} can run out of memory ({failed.id})",
        evidence=(*_cite((failed,), _KIND, _BATCH, "fault"), *_cite(alike, _KIND, _BATCH, "status")),
        supporting=(failed.id,),
        contradicting=tuple(one.id for one in alike),
        confidence=round(max(0.2, 0.7 - 0.2 * len(alike)), 2),
    )


def _by_kind(trials: Iterable[TrialFacts]) -> dict[Json, list[TrialFacts]]:
    grouped: dict[Json, list[TrialFacts]] = {}
    for one in trials:
        grouped.setdefault(one.get(_KIND), []).append(one)
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
