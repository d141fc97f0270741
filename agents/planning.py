"""The rules planner: sizes a study so that its trials, its confirmation and its sealed test fit the budget.

The order of what gives way when the budget is small: first the length of a trial, then confirmation seeds,
then the number of trials. The sealed test never does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewright.agents.forecasting import searched_adapters, task_rows
from tunewright.agents.nodes.finisher import test_seconds
from tunewright.agents.opening import compared, opening_trials
from tunewright.agents.size_limit import left_out
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError, TunewrightError, UsageError
from tunewright.domain.job import Rungs
from tunewright.domain.precedent import Kin
from tunewright.domain.proposal import Forecast, Plan
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space, StagePlan
from tunewright.domain.study import Study
from tunewright.search.rungs import rungs_for, spared_share

EPOCHS = (30.0, 20.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05)
"""Trial lengths tried, longest first."""
_MANY_EPOCHS = 3.0
_MANY_STEPS = 320
"""More than three passes over the data are for small data only: where they stay within this many steps of 16 rows."""
_TRIALS_WITHOUT_CAP = 12
_FINISH_S = 20.0
"""Report, registration and the last writes."""
_LONGER = 3.0
"""A trial may be this many times longer than the default's: first forecasts are cautious, and what they leave over
is for trials that need it. The gate before review holds time back for the trials still to come."""
_SLACK = 0.9
"""Share of the time that is planned for: machines slow down."""
_MIXED_COST = 1.15
"""Mean cost of the space's recipes over the default's: some adapters are slower."""
_MIN_STEPS = 8
"""A trial of fewer optimiser steps measures noise."""

Price = Callable[[Study, Recipe, Rungs], Forecast]
MakeSpace = Callable[[Study, Sequence[float], float], Space]


@dataclass(frozen=True)
class Fidelity:
    """How long trials are and where they are first looked at, against what the rules would do with the budget."""

    length: float = 1.0
    """Of a trial, as a share of the longest that fits."""
    first_look: float = 0.0
    """Share of a trial before which it is not measured."""


@dataclass(frozen=True)
class Sizing:
    """What is decided of a plan by what was measured: trials, trainings on fresh seeds, length of the default."""

    trials: int
    confirm: int
    epochs: float


@dataclass(frozen=True)
class _Size:
    space: Space
    epochs: float
    """Length of the default."""
    forecast: Forecast
    rungs: Rungs
    spared: float
    """Share of a trial's cost that the rungs are expected to spare."""
    trials: int
    confirm: int
    keep_s: float


def make_plan(
    study: Study,
    *,
    price: Price,
    make_space: MakeSpace,
    kin: Sequence[Kin] = (),
    fidelity: Fidelity = Fidelity(),
    sized: Sizing | None = None,
    now: float | None = None,
) -> Plan:
    """The plan for a study whose base model has been measured.

    Args:
        price: forecasts a recipe that is measured at the given rungs.
        make_space: the space whose trials have one of the given lengths in epochs, and the default's length.
        kin: earlier studies that the search begins from.
        sized: how the same study was sized before: taken where its first trial and its finish fit the budget, so that
            a machine's noise makes no other plan of it.
        now: seconds since the epoch.

    Raises:
        BudgetError: not even one short trial and the sealed test fit; the message says what would.
        UsageError: there are too few rows to train on.
    """
    assert study.task is not None and study.budget is not None and study.data is not None
    parts = _Parts(study, price, make_space, fidelity.first_look, now)
    size = _as_before(parts, sized) or _of_length(parts, fidelity.length)
    trials_s = (1 + (size.trials - 1) * (1 - size.spared)) * size.forecast.seconds.expected
    keep = study.options.device_cost(size.keep_s)
    return Plan(
        task=study.task,
        budget=study.budget,
        space=size.space,
        sampler=study.options.sampler,
        pruner=study.options.pruner,
        seed=study.options.seed,
        rungs=size.rungs,
        trials=(max(1, round(size.trials * 0.75)), size.trials),
        epochs=size.epochs,
        batch=1 if study.options.review == "never" else min(3, size.trials),
        confirm_seeds=size.confirm,
        keep=keep,
        expect=study.spent(now) + _trials_cost(study, trials_s, size) + keep,
        memory_gib=size.forecast.memory_gib.high,
        kin=tuple(kin),
        notes=(*_notes(study, size), *_left_out(study, size.space, price), *_begun_from(kin), *_remembered(study)),
    )


def _remembered(study: Study) -> list[str]:
    """What earlier studies have taught, by the ids of their lessons."""
    recalled = [study.insights.memory[id] for id in study.insights.recalled or ()]
    return [
        f"after {one.id} of {one.lesson.study} ({one.counters()}): {' '.join(one.lesson.claim.split())}"
        for one in recalled
    ]


@dataclass(frozen=True)
class _Parts:
    """What a size is worked out from."""

    study: Study
    price: Price
    make_space: MakeSpace
    first_look: float
    now: float | None

    def fits(self, size: _Size, slack: float) -> bool:
        """Whether the budget has room for it, used up to ``slack``."""
        study = self.study
        assert study.budget is not None
        expected, high = size.forecast.seconds.expected, size.forecast.seconds.high
        # The default, which is never paused, and what the others come to.
        whole = 1 + (size.trials - 1) * (1 - size.spared)
        trials_s, rest_s = whole * expected * _MIXED_COST, (high - expected) + size.keep_s
        needed = _trials_cost(study, trials_s, size) + study.options.device_cost(rest_s)
        wanted = needed.model_copy(update={"trials": 0}).scaled(1 / slack)
        return not study.budget.shortfalls(study.spent(self.now), wanted)


def _as_before(parts: _Parts, sized: Sizing | None) -> _Size | None:
    """The size that it had, if the first trial and the finish fit. Whether all trials do is not asked: the study ran
    within the same budget, and on a machine that is slower today the ledger ends the search where the time does.
    """
    if sized is None:
        return None
    least = _sized(parts, sized.epochs, 1, sized.confirm)
    size = _sized(parts, sized.epochs, sized.trials, sized.confirm)
    return size if least is not None and parts.fits(least, 1.0) else None


def _of_length(parts: _Parts, share: float) -> _Size:
    """The best size with trials of at most that share of the longest length that fits.

    Raises:
        BudgetError: nothing fits.
        UsageError: there are too few rows to train on.
    """
    size, shortest = _best(parts)
    if size is None:
        raise _too_small(parts.study, shortest, parts.now)
    shorter = _best(parts, size.epochs * share)[0] if share < 1 else None
    return shorter or size


def _best(parts: _Parts, most: float = math.inf) -> tuple[_Size | None, _Size | None]:
    """The best size with trials of at most so many epochs, if one fits; and the last that was looked at."""
    study = parts.study
    assert study.budget is not None
    wanted = study.budget.trials or max(_TRIALS_WITHOUT_CAP, opening_trials(study.wishes))
    shortest: _Size | None = None
    for trials, confirm in _ways(wanted):
        for longest in _lengths(task_rows(study)):
            size = _sized(parts, longest, trials, confirm) if longest <= most else None
            if size is None:
                continue
            shortest = size
            if parts.fits(size, _SLACK):
                return size, shortest
    return None, shortest


def _trials_cost(study: Study, trials_s: float, size: _Size) -> Cost:
    """What trials of ``trials_s`` seconds together cost. Side by side they share the clock, but for what the last one
    runs alone (Graham 1966, Bounds for certain multiprocessing anomalies).
    """
    slots, alone = study.options.slots, size.forecast.seconds.expected
    wall_s = trials_s / slots + alone * (1 - 1 / slots)
    return study.options.device_cost(trials_s, trials=size.trials).model_copy(update={"wall_s": wall_s})


def _lengths(rows: int) -> list[float]:
    return [epochs for epochs in EPOCHS if epochs <= _MANY_EPOCHS or epochs * rows / 16 <= _MANY_STEPS]


def _ways(wanted: int) -> list[tuple[int, int]]:
    """(trials, trainings on fresh seeds), best first. Finalists and the default share those."""
    first = 3 if wanted >= 12 else 2 if wanted >= 8 else 1
    ways = [(wanted, confirm) for confirm in range(first, -1, -1)]
    fewer = sorted({max(1, wanted * 3 // 4), max(1, wanted // 2), max(1, wanted // 4), 1}, reverse=True)
    return ways + [(trials, 0) for trials in fewer if trials < wanted]


def _sized(parts: _Parts, default: float, trials: int, confirm: int) -> _Size | None:
    """None where a trial would be too short to say anything."""
    study = parts.study
    lengths = [e for e in reversed(_lengths(task_rows(study))) if default / 4 <= e <= default * _LONGER]
    space = parts.make_space(study, lengths, default)
    recipe = space.build(space.default())
    steps = sum(stage.total_steps(task_rows(study)) for stage in recipe.stages)
    if steps < _MIN_STEPS and default < _MANY_EPOCHS:
        return None
    rungs = _later(_rungs(study, space, default, steps), parts.first_look, default, steps)
    spared = spared_share(study.options.pruner, rungs, epochs=default)
    forecast = parts.price(study, recipe, rungs)
    keep_s = _FINISH_S + 2 * test_seconds(study) + confirm * forecast.seconds.high
    return _Size(space, default, forecast, rungs, spared, trials, confirm, keep_s)


def _rungs(study: Study, space: Space, epochs: float, steps: int) -> Rungs:
    """None where recipes cannot be compared before their ends."""
    assert study.data is not None
    # A step of one objective is not a step of another: between plans there is no rung to compare at.
    # Nor is a step of a few layers one of them all.
    several = any(isinstance(one, StagePlan) and len(one.options) > 1 for one in space.dimensions)
    uneven = several or 1 in study.wishes.depths
    if uneven:
        return Rungs()
    return rungs_for(study.options.pruner, epochs=epochs, steps=steps, rows=study.data.val.rows)


def _later(rungs: Rungs, first: float, epochs: float, steps: int) -> Rungs:
    """Without those before a share of the default; the last before its end stays."""
    if first <= 0 or not rungs:
        return rungs
    if rungs.epochs:
        early = [place for place in rungs.epochs if place < epochs]
        kept = [place for place in early if place >= first * epochs] or early[-1:]
        return rungs.model_copy(update={"epochs": (*kept, *rungs.epochs[len(early) :])})
    kept_steps = [step for step in rungs.steps if step >= first * steps] or list(rungs.steps[-1:])
    return rungs.model_copy(update={"steps": tuple(kept_steps)})


def _notes(study: Study, size: _Size) -> tuple[str, ...]:
    found = []
    wanted = study.budget.trials if study.budget else None
    if wanted is not None and size.trials < wanted:
        found.append(f"the time allows {size.trials} of the {wanted} trials")
    left = opening_trials(study.wishes) - size.trials
    if left > 0:
        named = ", ".join(f"{count} {word}" for word, count in compared(study.wishes).values() if count > 1)
        found.append(
            f"the brief names {named} and {size.trials} trials fit: {left} of them "
            f"{'is' if left == 1 else 'are'} not tried"
        )
    if any(dimension.name == "micro_batch" for dimension in size.space.dimensions):
        found.append("memory is tight: what keeps it low is searched too, and the default begins with it")
    if study.wishes.clients > 1:
        found.append(
            f"{study.wishes.clients:,} simulated clients train in turn: their steps together are those of a trial"
        )
    if size.confirm == 0:
        found.append("no time is kept for fresh seeds: unless some is left over, the winner rests on one training")
    return tuple(found)


def _left_out(study: Study, space: Space, price: Price) -> list[str]:
    kinds = searched_adapters(study.wishes)
    return left_out(study, space, kinds, lambda recipe: price(study, recipe, Rungs()))


def _begun_from(kin: Sequence[Kin]) -> list[str]:
    return [
        f"the search begins from {len(one.precedent.found)} trials of {one.precedent.study}, "
        f"{100 * one.likeness:.0f} % alike (--cold begins from nothing)"
        for one in kin
    ]


def _too_small(study: Study, shortest: _Size | None, now: float | None) -> TunewrightError:
    took = study.spent(now).wall_s
    if shortest is None:
        return UsageError("there are too few training rows for a single trial", "give more data")
    needed = math.ceil((took + shortest.forecast.seconds.high * 1.2 + shortest.keep_s) / 60)
    return BudgetError(
        f"the budget does not cover one short trial and the sealed test: about {needed} "
        f"minute{'' if needed == 1 else 's'} would",
        f'say for example: "... At most {needed * 2} minutes."',
    )
