"""Is it better, or is it noise: intervals of a metric, and paired comparisons item by item.

Two runs are compared on the same rows, so what is hard about a row cancels out. The answer comes from a test that
holds its error rate at any size, the interval says how large the difference is, and the two never disagree.
numpy and the standard library only: the host judges with it, and the sandbox measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tunewright.domain.outcome import Answer, Item, Verdict
from tunewright.domain.protocols import Scorer
from tunewright.domain.task import Metric
from tunewright.tools.evaluation.length import length_controlled
from tunewright.tools.evaluation.proportion import mcnemar, tango, wilson
from tunewright.tools.evaluation.resampling import Aggregate, Floats, bootstrap, each, percentiles, permutation
from tunewright.tools.evaluation.scorer import is_mean

CONFIDENCE = 0.95
RESAMPLES = 10_000
_FEWEST = 1_000
"""Resamples where a scorer cannot aggregate many at once, or where there are very many items."""
_DRAWS = 10_000_000
"""Random numbers for one interval, about a second: past 1,000 items fewer resamples are as good."""


def interval(
    scores: ArrayLike, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Where the mean score of many such rows lies, ``confidence`` of the time.

    Wilson's score interval for zeros and ones, else the bootstrap.

    Args:
        scores: (N,) one score an item.
        seed: the same scores and seed give the same interval.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise ValueError("an interval needs at least one score, got none")
    if _binary(values):
        return wilson(int(values.sum()), values.size, confidence)
    most = _affordable(resamples, values.size)
    means = bootstrap(lambda counts: counts @ values / values.size, values.size, most, seed)
    return percentiles(means, values.size, confidence)


def metric_interval(
    items: Sequence[Item], scorer: Scorer, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """``interval`` of the scorer's metric over ``items``, also where that is no mean (macro F1, perplexity).

    Raises:
        ValueError: there are no items.
    """
    if is_mean(scorer):
        return interval([item.score for item in items], confidence=confidence, resamples=resamples, seed=seed)
    if not items:
        raise ValueError("an interval needs at least one item, got none")
    aggregate, most = aggregate_of(scorer, items, _affordable(resamples, len(items)))
    return percentiles(bootstrap(aggregate, len(items), most, seed), len(items), confidence)


def compare(
    items: Sequence[Item],
    against: Sequence[Item],
    *,
    metric: Metric,
    scorer: Scorer,
    trial: str,
    against_name: str,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Verdict:
    """Whether ``trial`` is better than ``against_name`` beyond chance, on the same rows.

    Zeros and ones: exact McNemar test, Tango's interval of the paired difference (Tango 1998; Fagerland et al.
    2013). Anything else: permutation test that swaps the two answers of an item, paired bootstrap. The interval is
    widened to take in zero where the test does not reject, so that better and worse mean both.

    Args:
        items: scored rows of the trial.
        against: scored rows of the other, the same rows in any order.
        metric: says which direction is good.

    Raises:
        ValueError: the two are not of the same rows, or there are none.
    """
    mine, theirs = _paired(items, against)
    n, sign = len(mine), metric.sign
    a, b = (np.array([item.score for item in side], dtype=np.float64) for side in (mine, theirs))
    if is_mean(scorer) and _binary(a) and _binary(b):
        wins, losses = int(((a - b) * sign > 0).sum()), int(((a - b) * sign < 0).sum())
        gain, p = (wins - losses) / n, mcnemar(wins, losses)
        low, high = tango(wins, losses, n, confidence)
        method = "exact McNemar test, Tango interval"
    else:
        aggregate, resamples = aggregate_of(scorer, [*mine, *theirs], _affordable(resamples, n))
        both = _gain_of(aggregate, n, sign)
        gain = float(both(np.ones((1, n)), np.zeros((1, n)))[0])
        p = permutation(both, gain, n, resamples, seed)
        spread = bootstrap(lambda counts: both(counts, np.zeros_like(counts)), n, resamples, seed)
        low, high = percentiles(spread, n, confidence)
        method = f"paired permutation test and bootstrap, {resamples} resamples"
    if p >= 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    answer: Answer = "better" if low > 0 else "worse" if high < 0 else "undecided"
    return Verdict(
        trial=trial,
        against=against_name,
        answer=answer,
        gain=gain,
        low=low,
        high=high,
        rows=n,
        method=method,
        at_equal_length=length_controlled(mine, theirs, sign=sign) if scorer.needs == "generation" else None,
    )


def _paired(items: Sequence[Item], against: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Both sides in the order of their ids, so that the order of a file changes no digit."""
    mine, theirs = ({item.id: item for item in side} for side in (items, against))
    if len(mine) != len(items) or len(theirs) != len(against):
        raise ValueError("an item's id occurs twice on one side: rows cannot be paired")
    if mine.keys() != theirs.keys():
        only = len(mine.keys() - theirs.keys()), len(theirs.keys() - mine.keys())
        raise ValueError(
            f"the two were not scored on the same rows: {only[0]} of {len(mine)} items are only in the first, "
            f"{only[1]} of {len(theirs)} only in the second"
        )
    if not mine:
        raise ValueError("there are no items to compare")
    ids = sorted(mine)
    return [mine[i] for i in ids], [theirs[i] for i in ids]


def _binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _affordable(resamples: int, n: int) -> int:
    return min(resamples, max(_FEWEST, _DRAWS // n))


def aggregate_of(scorer: Scorer, items: Sequence[Item], resamples: int) -> tuple[Aggregate, int]:
    """The scorer's metric over weighted items, and how many resamples of it are affordable."""
    own = getattr(scorer, "resample", None)
    if own is not None:
        return lambda counts: own(items, counts), resamples

    def one_by_one(counts: Floats) -> Floats:
        return each(counts, lambda which: scorer.aggregate([items[i] for i in which]))

    return one_by_one, min(resamples, _FEWEST)


def _gain_of(aggregate: Aggregate, n: int, sign: float) -> Callable[[Floats, Floats], Floats]:
    """The gain as a function of how often each item is kept as it is and how often with its two sides swapped."""

    def gain(kept: Floats, swapped: Floats) -> Floats:
        first = aggregate(np.hstack([kept, swapped]))
        second = aggregate(np.hstack([swapped, kept]))
        difference: Floats = sign * (first - second)
        return difference

    return gain
