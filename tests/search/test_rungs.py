"""Where rungs are, and what they are counted on to spare: hand-computed."""

from __future__ import annotations

import pytest

from tunewright.domain.job import Rungs
from tunewright.domain.recipe import Optimisation, Recipe, Stage
from tunewright.search.pruning import pruners
from tunewright.search.rungs import rungs_for, spared_share


def test_a_scheduler_that_pauses_looks_at_passes_over_the_data_a_factor_apart() -> None:
    assert rungs_for("halving", epochs=3.0, steps=180, rows=304) == Rungs(epochs=(1 / 3, 1.0, 3.0), rows=96)
    assert rungs_for("halving", epochs=3.0, steps=60, rows=50) == Rungs(epochs=(1.0, 3.0), rows=50)
    assert rungs_for("median", epochs=3.0, steps=180, rows=304) == Rungs(steps=(45, 90), rows=96)
    assert all(not rungs_for(name, epochs=1.0, steps=7, rows=304) for name in pruners())
    assert not rungs_for("median", epochs=1.0, steps=20, rows=304)
    assert not rungs_for("none", epochs=3.0, steps=180, rows=304)


def test_where_the_default_is_short_longer_trials_are_looked_at_when_they_have_had_its_length() -> None:
    rungs = rungs_for("promising", epochs=0.5, steps=16, rows=112)
    assert rungs == Rungs(epochs=(0.5,), rows=96) and spared_share("promising", rungs, epochs=0.5) == 0.0
    stage = Stage(optimisation=Optimisation(lr=1e-4, batch_size=16, epochs=1.0))
    assert rungs.looks(Recipe(stages=(stage,)), 33) == {16: 0}


def test_half_of_what_halving_spares_is_counted_on() -> None:
    rungs = rungs_for("halving", epochs=3.0, steps=180, rows=304)
    spent = 1 / 9 + (1 / 3 - 1 / 9) / 3 + (1 - 1 / 3) / 9
    assert spared_share("halving", rungs, epochs=3.0) == pytest.approx((1 - spent) / 2)
    assert spared_share("median", rungs_for("median", epochs=3.0, steps=180, rows=304), epochs=3.0) == 0.0
    assert spared_share("halving", Rungs(), epochs=3.0) == 0.0


@pytest.mark.parametrize(
    ("batch", "epochs", "expected"),
    [(16, 3.0, {20: 0, 60: 1}), (8, 3.0, {40: 0, 120: 1}), (16, 6.0, {20: 0, 60: 1, 180: 2}), (16, 0.5, {20: 0})],
)
def test_at_a_rung_every_recipe_has_seen_the_same_data(batch: int, epochs: float, expected: dict[int, int]) -> None:
    """960 rows; the default's three passes end where the third rung is."""
    recipe = Recipe(stages=(Stage(optimisation=Optimisation(lr=1e-4, batch_size=batch, epochs=epochs)),))
    rungs = Rungs(epochs=(1 / 3, 1.0, 3.0))
    assert rungs.looks(recipe, round(960 * epochs / batch)) == expected


def test_recipes_without_a_length_in_passes_have_the_steps_and_rungs_past_the_end_are_left_out() -> None:
    recipe = Recipe(stages=(Stage(optimisation=Optimisation(lr=1e-4, steps=50)),))
    assert Rungs(steps=(10, 50, 70), epochs=(1.0,)).looks(recipe, 50) == {10: 0}
    assert Rungs(epochs=(1.0,)).looks(recipe, 50) == {}
