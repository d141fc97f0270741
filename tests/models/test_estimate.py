"""Forecasts that grow where costs grow, and learn from what was measured."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import JobResult, Measurement
from tunewright.domain.recipe import Recipe
from tunewright.tools.models.estimate import Estimator, Speed, Trained, token_lengths
from tunewright.tools.models.facts import facts
from tunewright.tools.models.resolve import Found

BASE = JobResult(
    status="done",
    measurement=Measurement(value=0.1, rows=100, step=0, seconds=10.0),
    forward_tokens_per_s=1000.0,
    eval_s=10.0,
    peak_memory_gib=1.0,
)
SPEED = Speed(BASE, base_wall_s=15.0)
ROW_S = 1.3 * SPEED.seconds_per_row
"""Of scoring with LoRA."""


def recipe(kind: str = "lora", **optimisation: Any) -> Recipe:
    settings = {"rank": 8} if "ora" in kind else {}
    given = {"lr": 1e-3, "epochs": 1.0, "batch_size": 8, **optimisation}
    return Recipe.model_validate({"stages": [{"adapter": {"kind": kind, **settings}, "optimisation": given}]})


@pytest.fixture
def estimator(tiny: Found) -> Estimator:
    return Estimator(facts(tiny.path), [10, 20, 30, 40], train_rows=400, val_rows=50)


def test_a_batchs_tokens_are_those_of_its_longest_row(estimator: Estimator) -> None:
    chance = random.Random(0)
    drawn = [max(chance.choices([10, 20, 30, 40], k=3)) for _ in range(40_000)]
    assert estimator.batch_tokens(3) == pytest.approx(3 * sum(drawn) / len(drawn), rel=0.01)
    assert estimator.batch_tokens(1) == pytest.approx(25)


def test_longer_and_heavier_recipes_cost_more(estimator: Estimator) -> None:
    def seconds(**more: Any) -> float:
        return estimator.forecast(recipe(**more), SPEED, Rungs()).seconds.expected

    assert seconds(epochs=2.0) > 1.7 * seconds() - SPEED.overhead_s
    assert seconds(kind="dora") > seconds(kind="lora")
    looked = estimator.forecast(recipe(), SPEED, Rungs(steps=(10, 20, 5000), rows=25)).seconds.expected
    assert looked == pytest.approx(seconds() + 2 * 25 * ROW_S, rel=0.01), "5000 is past the end"


def test_scoring_with_a_slower_adapter_takes_longer(estimator: Estimator) -> None:
    """As it was measured: on short rows DoRA takes 2.2 times as long as the base model, LoRA 1.3 times."""
    looks = Rungs(steps=(10, 20), rows=50)
    lora, dora = (
        estimator.forecast(recipe(kind), SPEED, looks).seconds.expected
        - estimator.forecast(recipe(kind), SPEED, Rungs()).seconds.expected
        for kind in ("lora", "dora")
    )
    assert dora == pytest.approx(2.2 / 1.3 * lora, rel=1e-3)


def chosen(**data: Any) -> Recipe:
    made = recipe().stages[0].model_dump(mode="json")
    return Recipe.model_validate({"stages": [{**made, "data": data}]})


def test_choosing_rows_and_mixing_sources_costs_passes(estimator: Estimator) -> None:
    """A pass is 400 rows of 25 tokens on average, at 1000 tokens a second."""

    def seconds(**data: Any) -> float:
        return estimator.forecast(chosen(**data), SPEED, Rungs()).seconds.expected

    free = seconds(selection={"kind": "random"})
    assert free == pytest.approx(seconds())
    assert seconds(selection={"kind": "ifd"}) == pytest.approx(free + 2 * 10.0)
    assert seconds(selection={"kind": "loss_band"}) == pytest.approx(free + 10.0)
    assert seconds(selection={"kind": "less", "epochs": 4}) > free + 4 * 30.0
    assert seconds(policy={"kind": "doremi", "share": 0.5}) == pytest.approx(free + 7 * 0.5 * 10.0)


def test_what_choosing_took_is_no_overhead_of_other_trials(estimator: Estimator) -> None:
    result = BASE.model_copy(update={"train_s": 20.0, "eval_s": 5.0})
    plain = Trained(recipe(), result, wall_s=27.0)
    dear = Trained(chosen(selection={"kind": "ifd"}), result, wall_s=47.0)
    for trials in ((plain,), (dear,)):
        forecast = estimator.forecast(recipe(), Speed(BASE, base_wall_s=15.0, trials=trials), Rungs())
        assert forecast.seconds.expected == pytest.approx(
            estimator.forecast(recipe(), Speed(BASE, base_wall_s=15.0, trials=(plain,)), Rungs()).seconds.expected
        )


def test_ranges_hold_their_expectation_and_the_high_end_is_reserved(estimator: Estimator) -> None:
    for kind in ("lora", "dora", "ia3", "full"):
        forecast = estimator.forecast(recipe(kind), SPEED, Rungs())
        for one in (forecast.seconds, forecast.memory_gib):
            assert 0 < one.low < one.expected < one.high
        assert forecast.cost.wall_s == forecast.seconds.high and forecast.cost.trials == 1


def test_a_finished_trial_corrects_its_own_kind_and_less_surely_the_others(estimator: Estimator) -> None:
    before = estimator.forecast(recipe(), SPEED, Rungs())
    predicted_train = before.seconds.expected - SPEED.overhead_s - 50 * ROW_S
    result = BASE.model_copy(update={"train_s": 3 * predicted_train, "eval_s": 6.5, "peak_memory_gib": 2.0})
    slow = Trained(recipe(), result, wall_s=3 * predicted_train + 6.5 + 2.0)
    after = Speed(BASE, base_wall_s=15.0, trials=(slow,))
    same, other = (estimator.forecast(recipe(kind), after, Rungs()) for kind in ("lora", "dora"))
    assert same.seconds.expected == pytest.approx(3 * predicted_train + 50 * 0.1 + 2.0, rel=0.1)
    assert other.seconds.expected > 2 * estimator.forecast(recipe("dora"), SPEED, Rungs()).seconds.expected
    assert same.memory_gib.expected == pytest.approx(2.0, rel=0.05)

    def doubt(forecast: Any) -> float:
        return float(forecast.seconds.high / forecast.seconds.expected)

    assert doubt(same) < doubt(other) < doubt(before)


def test_full_fine_tuning_pays_for_adam(tiny: Found) -> None:
    known = facts(tiny.path).model_copy(update={"parameters": 10**9})
    forecast = Estimator(known, [20], train_rows=400, val_rows=50).forecast(recipe("full"), SPEED, Rungs())
    assert forecast.memory_gib.expected > 16 * 10**9 / 2**30


def test_tokens_are_counted_by_the_models_tokenizer(tiny: Found, tmp_path: Any) -> None:
    assert token_lengths(tiny.path, ["abc", "", "x" * 50], 20) == [5, 2, 20]  # bytes, <bos> and the end token
    assert token_lengths(tmp_path, ["abcdefgh"], 20) == [3], "without a tokenizer, four characters a token"
    assert len(token_lengths(tiny.path, ["a"] * 10_000, 20)) == 4000


def test_steps_of_fewer_layers_cost_less(estimator: Estimator) -> None:
    layers = estimator.facts.layers
    made = recipe(epochs=20.0).stages[0].model_dump(mode="json")

    def seconds(**depth: Any) -> float:
        given = Recipe.model_validate({"stages": [{**made, "depth": depth}]})
        return estimator._steps_s(given, SPEED)

    assert seconds(clients=2) == seconds(), "all clients' steps are the stage's"
    assert layers == 2
    step_s = seconds(stages=2) / 1000
    assert step_s == pytest.approx((seconds() / 1000 - 0.01) * 0.75 + 0.01), "half of the steps go through one of two"
    assert seconds(stages=2, full_share=0.75) > seconds(stages=2) > seconds(stages=2, full_share=0.25)


def test_a_trial_that_was_paused_tells_what_its_steps_cost(estimator: Estimator) -> None:
    steps_s = estimator._steps_s(recipe(), SPEED)
    half = JobResult(status="paused", steps=25, total_steps=50, train_s=steps_s, eval_s=1.0, peak_memory_gib=1.5)
    paused = Trained(recipe(), half, wall_s=steps_s + 1.0 + 10.0, attempts=2)
    assert paused.share == 0.5
    found = estimator.forecast(recipe(), Speed(BASE, base_wall_s=15.0, trials=(paused,)), Rungs())
    expected = 2 * steps_s + 50 * ROW_S + 5.0
    assert found.seconds.expected == pytest.approx(expected, rel=0.1), "each attempt has its own overhead"
    unknown = Trained(recipe(), half.model_copy(update={"total_steps": 0}), wall_s=1.0)
    assert unknown.share == 0, "a part of what is not known says nothing"


def test_first_steps_and_limits_that_were_passed_correct_memory(estimator: Estimator) -> None:
    def memory(**seen: Any) -> Any:
        return estimator.forecast(recipe(), Speed(BASE, base_wall_s=15.0, **seen), Rungs()).memory_gib

    before = memory()
    tried = memory(peaks=((recipe(lr=2e-3), 3.0),))
    assert tried.expected == pytest.approx(3.0, rel=0.05) and tried.high - tried.low < before.high - before.low
    passed = memory(passed=((recipe(lr=2e-3), 3.0),))
    assert passed.low < 3.0 < passed.high, "at least that much, so it is open whether the next one fits"
    assert memory(passed=((recipe(lr=2e-3), 0.1),)).expected == pytest.approx(before.expected, rel=0.05)


def test_first_steps_are_priced_by_the_longest_rows(estimator: Estimator, tiny: Found) -> None:
    found = estimator.forecast(recipe(epochs=20.0), SPEED, Rungs())
    assert found.preflight_s is not None and SPEED.overhead_s < found.preflight_s < found.seconds.expected
    longer = Estimator(facts(tiny.path), [10, 20, 30, 4000], train_rows=400, val_rows=50)
    after = longer.forecast(recipe(), SPEED, Rungs()).preflight_s
    assert after is not None and after > found.preflight_s + 2 * 8 * 3
