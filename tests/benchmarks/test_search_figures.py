"""The figures of the search benchmark: hand-made courses, and recipes that are all the same."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


def course(bench: Any, *points: tuple[float, float], launched: int = 10, infeasible: int = 0) -> Any:
    made = bench("course").Course(launched=launched, infeasible=infeasible)
    made.points, made.launches = list(points), list(range(1, len(points) + 1))
    return made


def test_costs_are_shares_of_the_budget_and_what_is_not_reached_is_infinite(bench: Any) -> None:
    ground = bench("figures").Ground(budget_s=100.0, base=0.2, top=0.6)
    studies = {
        "random": {("t", seed): course(bench, (10, 0.3), (80, 0.4)) for seed in range(3)},
        "ours": {("t", seed): course(bench, (5, 0.3), (20, 0.4), (90, 0.6), infeasible=1) for seed in range(3)},
    }
    figures = bench("figures").Figures({"t": ground}, studies)
    assert figures.cost_to("ours", "random").value == pytest.approx(0.2)
    assert figures.cost_to("random", "random").value == pytest.approx(0.8)
    assert math.isinf(figures.cost_to("random", "ours").value)
    assert figures.height("ours", 0.5).value == pytest.approx(0.5)
    assert figures.height("random", 0.05).value == 0.0, "before anything was scored it is the untouched model"
    assert figures.infeasible("ours") == pytest.approx(0.1)
    cost, reached = figures.cost_to_top("ours")
    assert cost.value == pytest.approx(0.9) and reached == 1.0
    assert figures.cost_to_top("random")[1] == 0.0
    mean, low, high = figures.curve("ours", "t")
    assert len(mean) == 50 and mean == low == high, "three studies that are the same"
    assert str(figures.cost_to("random", "ours")) == "> 1 [> 1, > 1]"


def test_trials_are_counted_to_where_a_score_is_reached(bench: Any) -> None:
    cold, warm = course(bench, (5, 0.3), (20, 0.4), (90, 0.6)), course(bench, (5, 0.6))
    assert bench("warm").Warmth(cold, warm).ratio == pytest.approx(1 / 3)
    assert math.isinf(bench("warm").Warmth(warm, course(bench, (5, 0.3))).ratio)


def test_recipes_that_are_the_same_seldom_give_a_winner_and_a_better_one_does(bench: Any) -> None:
    rng, same = np.random.default_rng(0), bench("same")
    chance = rng.random(300) * 0.6 + 0.2
    runs = [SimpleNamespace(rungs=[SimpleNamespace(items=rng.random(300) < chance)]) for _ in range(40)]
    table = SimpleNamespace(same=lambda: runs)
    assert same.false_winners(table, 60) <= 3
    better = np.array([rng.random(300) < chance for _ in range(same.TRIALS + 12)], dtype=np.float64)
    better[1] = better[same.TRIALS : same.TRIALS + 9] = 1.0
    assert same._claims(better)
