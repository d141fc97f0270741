"""The benchmark of advice plays a study with each adviser, and none has more than its share."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tunewright.agents.risk.share import MOST

SECONDS = 45.0
"""Of recorded trainings: a dozen trials and a few more."""


@pytest.fixture
def advice(bench: Any) -> Any:
    return bench("advice")


def test_a_study_with_each_adviser_keeps_the_share_and_a_table_says_how_it_went(bench: Any, advice: Any) -> None:
    world = advice.world_of("concept", 0)
    played = {arm: advice.play(arm, world, SECONDS, 0) for arm in advice.ARMS}
    assert played["off"].advised == 0
    assert all(played[arm].advised for arm in ("good", "useless", "harmful", "infeasible"))
    for one in played.values():
        assert one.proposals == one.course.launched
        assert one.advised <= MOST * one.proposals
        assert all(0 <= share <= MOST for share in one.shares)
        assert one.course.spent_s > 0 and math.isfinite(one.course.best_score)
    assert played["infeasible"].course.infeasible >= played["infeasible"].advised
    ground = bench("figures").Ground(SECONDS, world.table.base.score, 0.6)
    found = {arm: {("concept", 0): one} for arm, one in played.items()}
    figures = bench("figures").Figures(
        {"concept": ground}, {arm: {("concept", 0): one.course} for arm, one in played.items()}
    )
    assert len(advice.table(found, figures).splitlines()) == 2 + len(advice.ARMS)


def test_scripted_advice_is_as_good_as_its_name(advice: Any) -> None:
    world = advice.world_of("concept", 0)
    worth = {name: [world.truth(one) for one in advice.advice(world, name)] for name in ("good", "useless", "harmful")}
    assert min(worth["good"]) > sum(worth["useless"]) / len(worth["useless"]) > max(worth["harmful"])
    assert all(
        all(world.play(one, seed).fault for seed in world.table.seeds) for one in advice.advice(world, "infeasible")
    )


def test_a_study_that_was_kept_is_read_as_it_was(advice: Any, tmp_path: Any) -> None:
    heard = advice.play("useless", advice.world_of("concept", 0), SECONDS / 3, 0)
    for seed in range(2):
        advice.write(tmp_path / "kept", ("useless", "concept", seed), heard)
    assert advice.read(tmp_path / "kept") == {("useless", "concept", seed): heard for seed in range(2)}
    assert advice.read(tmp_path / "nothing") == {}
