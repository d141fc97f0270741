"""Guesses of settings: they are followed at first and forgotten with the trials, whether they were good or not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from tests.search.test_tree import optimised
from tests.stories import Story, play, space, task

from tunewright.domain import event as ev
from tunewright.domain.prior import Prior
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.own import own_samplers, unused_priors
from tunewright.search.prior import Guess, Guesses, Leaning, guesses_of, holds
from tunewright.search.samplers import samplers
from tunewright.search.tree import TreeSampler

RATE = FloatDistribution(1e-5, 1e-1, log=True)
KIND = CategoricalDistribution(["a", "b", "c"])


def guessing(*priors: Prior, sampler: str = "tree") -> Story:
    """A study whose plan has these priors."""
    story = Story(space=space(sources=("x", "y")), task=task(sources=("x", "y")), sampler=sampler)
    assert story.study.plan is not None
    story.study.fold(ev.PlanProposed(at=story.tick(), plan=story.study.plan.model_copy(update={"priors": priors})))
    return story


def believed(weight: float, value: object, at: float, of: BaseDistribution = RATE, power: float = 1.0) -> float:
    leaning = Leaning({"x": Guess(value, weight)}, power)
    return float(leaning.of_settings(["x"], [of], np.array([[at]]))[0])


@given(weight=st.floats(0.01, 1), at=st.floats(0, 1), other=st.floats(0, 1), power=st.floats(0, 40))
def test_the_nearer_a_number_is_to_its_guess_the_more_it_is_believed_and_nothing_is_impossible(
    weight: float, at: float, other: float, power: float
) -> None:
    near, far = sorted((at, other), key=lambda one: abs(one - 0.5))
    assert believed(weight, 1e-3, 0.5, power=power) == 0
    assert believed(weight, 1e-3, near, power=power) >= believed(weight, 1e-3, far, power=power)
    assert believed(weight, 1e-3, far, power=power) >= -4 * power


def test_a_sure_guess_says_more_of_what_is_not_it_than_a_doubtful_one() -> None:
    for value, at, of in ((1e-3, 0.9, RATE), ("b", 2.0, KIND)):
        told = [believed(weight, value, at, of) for weight in (0.2, 0.6, 1.0)]
        assert told == sorted(told, reverse=True) and told[0] < 0 and math.isfinite(told[-1])
    assert believed(0.7, "b", 1.0, KIND) == 0


def test_guesses_count_less_with_every_trial_and_none_are_none() -> None:
    guesses = Guesses({"x": Guess(1e-3, 0.7)}, 4.0)
    powers = [leaning.power for trials in (0, 1, 2, 8, 100) if (leaning := guesses.after(trials)) is not None]
    assert powers == [4.0, 4.0, 2.0, 0.5, 0.04]
    assert Guesses({}, 4.0).after(3) is None


def test_priors_without_a_place_in_the_space_change_nothing(tmp_path: Path) -> None:
    priors = (Prior(name="nothing", value=1, weight=1), Prior(name="lr.lora", value=7.0, weight=1))
    assert not guesses_of(priors, space(), 40).found
    ideas = [
        play(story, OptunaStrategy(tmp_path / str(number), sampler="tree").ask, trials=8)
        for number, story in enumerate((guessing(*priors), guessing()))
    ]
    assert ideas[0] == ideas[1]


def test_the_parts_of_a_mix_count_as_one_setting() -> None:
    found = guesses_of([Prior(name="mix", value=[0.8, 0.2], weight=0.5)], space(sources=("x", "y")), 40)
    assert [guess.part for guess in found.found.values()] == [0.5, 0.5] and found.strength == 4


@pytest.mark.parametrize("sampler", ["tree", "model"])
def test_what_a_plan_guesses_is_tried_next_to_the_default(tmp_path: Path, sampler: str) -> None:
    wanted = {"adapter": "dora", "rank": 16, "lr.dora": 6e-4, "batch": 8, "mix": [0.75, 0.25], "targets": "qv"}
    story = guessing(*(Prior(name=name, value=value, weight=0.8) for name, value in wanted.items()), sampler=sampler)
    ideas = play(story, OptunaStrategy(tmp_path / "j", sampler=sampler).ask, trials=10)
    assert story.study.plan is not None
    points = [story.study.plan.space.assignment(idea.recipe) for idea in ideas]
    assert points[0] == story.study.plan.space.default()
    if sampler == "tree":
        mix, rate = points[1]["mix"], points[1]["lr.dora"]
        assert mix == pytest.approx([0.75, 0.25], abs=0.02) and rate == pytest.approx(6e-4)
        assert {name: points[1][name] for name in wanted} == wanted | {"mix": mix, "lr.dora": rate}
    assert sum(point["adapter"] == "dora" for point in points) >= 3
    assert len({idea.recipe.fingerprint for idea in ideas}) == 10


def test_a_good_guess_helps_at_once_and_a_wrong_one_is_forgotten() -> None:
    shared = {"lr.a": "lr", "lr.b": "lr"}

    def best(guesses: Guesses | None, trials: int) -> float:
        samplers = [TreeSampler(["kind"], shared=shared, guesses=guesses, seed=seed) for seed in range(2)]
        return sum(optimised(one, trials).best_value for one in samplers) / len(samplers)

    good = Guesses({"kind": Guess("b", 0.8), "lr.b": Guess(1e-3, 0.8), "batch": Guess(16, 0.8)}, 4.0)
    wrong = Guesses({"kind": Guess("a", 0.8), "lr.b": Guess(1e-1, 0.8), "batch": Guess(8, 0.8)}, 4.0)
    assert best(good, 4) > 0.299 > best(None, 4)
    assert best(wrong, 20) > 0.25


def test_as_long_as_guesses_count_for_all_the_model_searches_around_them() -> None:
    shared = {"lr.a": "lr", "lr.b": "lr"}
    found = {"kind": Guess("a", 0.9), "lr.a": Guess(1e-4, 0.9), "lr.b": Guess(1e-4, 0.9)}
    away = {}
    for strength in (1e4, 1e-9):
        study = optimised(TreeSampler(["kind"], shared=shared, guesses=Guesses(found, strength), seed=4), 12)
        late = [trial.params for trial in study.trials[6:]]
        rates = [value for one in late for name, value in one.items() if name.startswith("lr.")]
        away[strength] = sum(abs(math.log10(rate) + 4) for rate in rates)
        assert (strength < 1) or all(one["kind"] == "a" for one in late), "a decision is followed too"
    assert away[1e4] < 0.5 * 6 and away[1e-9] > away[1e4]


def test_a_value_that_a_distribution_does_not_have_is_no_guess() -> None:
    assert holds(RATE, 1e-3) and holds(KIND, "a")
    assert not holds(RATE, 7.0) and not holds(KIND, "z") and not holds(RATE, "much")
    study = optuna.create_study(sampler=TreeSampler(["kind"], guesses=Guesses({"kind": Guess("z", 1.0)}, 4.0), seed=0))
    assert study.ask().suggest_categorical("kind", KIND.choices) in KIND.choices


def test_other_samplers_say_that_they_do_not_use_guesses() -> None:
    assert unused_priors("tree") == unused_priors("model") == ""
    assert all(name in unused_priors(name) for name in samplers() if name not in ("tree", "model"))
    assert all("branches alone" in unused_priors(name) for name in own_samplers() if "-" in name)
