"""Verdicts keep their error rate, intervals their coverage, and the two agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tunewright.domain.outcome import Item, Verdict
from tunewright.domain.task import Metric
from tunewright.tools.evaluation.proportion import mcnemar, tango, wilson
from tunewright.tools.evaluation.registry import scorer
from tunewright.tools.evaluation.resampling import _student
from tunewright.tools.evaluation.statistics import compare, interval, metric_interval

ACCURACY, LOSS = Metric(name="accuracy"), Metric(name="loss", direction="min")


def items(scores: Sequence[float]) -> list[Item]:
    return [Item(id=f"{i:04}", score=float(s), prediction=str(s), target="1.0") for i, s in enumerate(scores)]


def judge(
    a: Sequence[float], b: Sequence[float], metric: Metric = ACCURACY, resamples: int = 2_000, name: str = ""
) -> Verdict:
    return compare(
        items(a),
        items(b),
        metric=metric,
        scorer=scorer(name or metric.name),
        trial="a",
        against_name="b",
        resamples=resamples,
    )


binary = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)
real = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=30)


@settings(deadline=None)
@given(binary)
def test_swapping_the_sides_flips_a_verdict_on_zeros_and_ones(pairs: list[tuple[bool, bool]]) -> None:
    a, b = zip(*pairs, strict=True)
    _flipped(judge(a, b), judge(b, a))


@settings(max_examples=30, deadline=None)
@given(real)
def test_swapping_the_sides_flips_a_verdict_on_losses(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    _flipped(judge(a, b, LOSS, 500), judge(b, a, LOSS, 500))


def _flipped(one: Verdict, other: Verdict) -> None:
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    assert other.answer == opposite[one.answer]
    for mine, theirs in ((one.gain, other.gain), (one.low, other.high), (one.high, other.low)):
        assert mine == pytest.approx(-theirs, abs=1e-9)


@settings(deadline=None)
@given(binary)
def test_answer_and_interval_never_disagree(pairs: list[tuple[bool, bool]]) -> None:
    a, b = zip(*pairs, strict=True)
    verdict = judge(a, b)
    wins, losses = sum(x > y for x, y in pairs), sum(x < y for x, y in pairs)
    assert verdict.low <= verdict.gain <= verdict.high
    assert (verdict.answer == "undecided") == (verdict.low <= 0 <= verdict.high)
    assert (verdict.answer != "undecided") == (mcnemar(wins, losses) < 0.05)


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_a_run_is_not_told_apart_from_itself(metric: Metric) -> None:
    scores = [0, 1, 1, 0, 1] if metric is ACCURACY else [0.3, 2.0, 1.1, 0.9, 5.0]
    verdict = judge(scores, scores, metric)
    assert (verdict.answer, verdict.gain) == ("undecided", 0.0)
    assert verdict.low <= 0 <= verdict.high


def test_lower_is_better_for_a_loss() -> None:
    verdict = judge([0.5] * 20, [1.0] * 20, LOSS)
    assert verdict.answer == "better"
    assert verdict.gain == pytest.approx(0.5)


def test_order_of_the_items_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    a, b = items(rng.random(40)), items(rng.random(40))
    told = [
        compare(x, y, metric=LOSS, scorer=scorer("loss"), trial="a", against_name="b")
        for x, y in ((a, b), (a[::-1], b))
    ]
    assert told[0] == told[1]


def test_too_few_items_decide_nothing() -> None:
    assert judge([1] * 5, [0] * 5).answer == "undecided"  # 2 / 2**5 is more than 5 %
    assert judge([1] * 6, [0] * 6).answer == "better"
    assert judge([0.1] * 5, [0.7] * 5, LOSS).answer == "undecided"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([Item(id="x", score=1, prediction="", target="")], "same rows"),
        (items([1, 1]) + items([1]), "twice"),
        ([], "same rows"),
    ],
)
def test_other_rows_cannot_be_compared(other: list[Item], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compare(items([1, 0]), other, metric=ACCURACY, scorer=scorer("accuracy"), trial="a", against_name="b")


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no items"):
        compare([], [], metric=ACCURACY, scorer=scorer("accuracy"), trial="a", against_name="b")


# Error rates. Each bound leaves three standard errors of the simulation.


def _right(rng: np.random.Generator) -> tuple[list[float], list[float]]:
    hard = rng.random(150)
    a, b = (rng.random(150) < hard for _ in range(2))
    return a.astype(float).tolist(), b.astype(float).tolist()


def _skewed(rng: np.random.Generator) -> tuple[list[float], list[float]]:
    base = rng.exponential(1.0, 25)
    return (base + rng.exponential(0.5, 25)).tolist(), (base + rng.exponential(0.5, 25)).tolist()


@pytest.mark.parametrize(("draw", "metric"), [(_right, ACCURACY), (_skewed, LOSS)])
def test_equal_runs_are_told_apart_one_time_in_twenty_at_most(
    draw: Callable[[np.random.Generator], tuple[list[float], list[float]]], metric: Metric
) -> None:
    rng, rounds = np.random.default_rng(1), 400
    false = sum(judge(*draw(rng), metric, 400).answer != "undecided" for _ in range(rounds))
    assert false / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


def test_equal_macro_f1_is_told_apart_one_time_in_twenty_at_most() -> None:
    rng, rounds, wrong = np.random.default_rng(2), 150, 0
    names = list("abcd")
    for _ in range(rounds):
        targets = rng.choice(names, 60, p=[0.55, 0.25, 0.15, 0.05])
        sides = [np.where(rng.random(60) < 0.6, targets, rng.choice(names, 60)) for _ in range(2)]
        runs = [
            [
                Item(id=str(i), score=float(s == t), prediction=str(s), target=str(t))
                for i, (s, t) in enumerate(zip(side, targets, strict=True))
            ]
            for side in sides
        ]
        verdict = compare(
            *runs,
            metric=Metric(name="macro_f1"),
            scorer=scorer("macro_f1"),
            trial="a",
            against_name="b",
            resamples=400,
        )
        wrong += verdict.answer != "undecided"
    assert wrong / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    b = rng.random(300) < 0.5
    a = b | (rng.random(300) < 0.15)
    verdict = judge(a.astype(float).tolist(), b.astype(float).tolist())
    assert verdict.answer == "better"
    assert "Tango" in verdict.method


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    rng, rounds = np.random.default_rng(4), 500
    shares = sum(_holds(interval(rng.random(40) < 0.9), 0.9) for _ in range(rounds))
    means = sum(_holds(interval(rng.gamma(2.0, 1.0, 20), resamples=1_000), 2.0) for _ in range(rounds))
    gains = sum(_holds(tango(*_discordant(rng), 80, 0.95), 0.15) for _ in range(rounds))
    for covered in (shares, means, gains):
        assert 0.90 <= covered / rounds <= 0.99


def _holds(bounds: tuple[float, float], truth: float) -> bool:
    return bounds[0] <= truth <= bounds[1]


def _discordant(rng: np.random.Generator) -> tuple[int, int]:
    wins, losses, _ = rng.multinomial(80, [0.25, 0.10, 0.65])
    return int(wins), int(losses)


# Against other people's code


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (3, 10), (245, 304)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_mcnemar_is_the_binomial_test() -> None:
    for wins, losses in itertools.product(range(0, 40, 3), repeat=2):
        expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
        assert mcnemar(wins, losses) == pytest.approx(expected)


def test_tango_has_the_published_bounds() -> None:
    # Fagerland, Lydersen and Laake 2014, table 2: airway hyper-responsiveness, 1 and 7 discordant of 21.
    assert tango(7, 1, 21, 0.95) == pytest.approx((0.026, 0.517), abs=1e-3)


@pytest.mark.parametrize("freedom", [5, 9, 24, 100])
def test_student_is_scipys(freedom: int) -> None:
    assert _student(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


# Shapes of input


def test_constant_scores_have_a_point_for_an_interval() -> None:
    assert interval([0.7] * 9) == pytest.approx((0.7, 0.7))


def test_all_right_is_not_certain() -> None:
    low, high = interval([1.0] * 30)
    assert high == 1.0
    assert 0.85 < low < 0.95


def test_no_scores_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([])
    with pytest.raises(ValueError, match="at least one"):
        metric_interval([], scorer("macro_f1"))


def test_interval_of_perplexity_is_on_its_own_scale() -> None:
    run = items(np.random.default_rng(0).normal(2.0, 0.3, 50).tolist())
    low, high = metric_interval(run, scorer("perplexity"))
    assert low < math.exp(np.mean([item.score for item in run])) < high
    assert math.exp(1.7) < low < high < math.exp(2.3)


class Spread:
    """A scorer of another package that knows nothing of resampling."""

    name = "spread"
    direction = "max"
    needs = "generation"

    def score(self, prediction: str, row: object) -> float:
        return float(prediction)

    def aggregate(self, run: Sequence[Item]) -> float:
        return max(item.score for item in run) - min(item.score for item in run)


def test_a_scorer_without_resampling_is_judged_too() -> None:
    rng = np.random.default_rng(0)
    wide, narrow = items(rng.normal(0, 3, 40).tolist()), items(rng.normal(0, 0.2, 40).tolist())
    verdict = compare(
        wide, narrow, metric=Metric(name="spread"), scorer=Spread(), trial="a", against_name="b", resamples=300
    )
    assert verdict.answer == "better"
    assert verdict.gain == pytest.approx(Spread().aggregate(wide) - Spread().aggregate(narrow))
    assert "300 resamples" in verdict.method
    low, high = metric_interval(narrow, Spread(), resamples=300)
    assert 0 < low <= high <= Spread().aggregate(narrow)
