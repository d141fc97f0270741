"""Which layers and which client each step belongs to, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tunewright.domain.depth import Depth
from tunewright.domain.errors import UsageError
from tunewright.tools.training.depth.cost import copied, exchanged_bytes, mean_depth
from tunewright.tools.training.depth.course import course, depths, shares


@st.composite
def any_depth(draw: st.DrawFn) -> Depth:
    stages, clients = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    growth = {"full_share": draw(st.sampled_from([None, 0.25, 0.6]))} if stages > 1 else {}
    federation = {"local_steps": draw(st.integers(1, 20))} if clients > 1 else {}
    return Depth(stages=stages, clients=clients, **growth, **federation)


@pytest.mark.parametrize(
    ("given_", "layers", "expected"),
    [
        ({}, 32, (32,)),
        ({"stages": 4}, 32, (4, 8, 16, 32)),
        ({"stages": 3, "start_layers": 2}, 32, (2, 8, 32)),
        ({"stages": 2}, 9, (4, 9)),
        ({"stages": 4, "start_layers": 5}, 6, (5, 6)),
        ({"stages": 4}, 3, (1, 2, 3)),
        ({"stages": 2}, 1, (1,)),
        ({"stages": 4, "start_layers": 2}, 30, (2, 5, 12, 30)),
    ],
)
def test_depths_double_as_in_the_paper_or_grow_from_a_start(
    given_: dict[str, Any], layers: int, expected: tuple[int, ...]
) -> None:
    assert depths(Depth(**given_), layers) == expected


def test_a_start_that_is_no_shallower_is_refused() -> None:
    with pytest.raises(UsageError, match="first depth of 6 layers is no shallower"):
        depths(Depth(stages=2, start_layers=6), 6)


@given(depth=any_depth(), layers=st.integers(1, 40), steps=st.integers(1, 300))
def test_each_step_belongs_to_one_turn(depth: Depth, layers: int, steps: int) -> None:
    try:
        found = course(depth, layers, steps)
    except UsageError:
        assert steps < 60, "there are steps enough"
        return
    assert found.steps == steps and found.depths[-1] == layers
    at = 0
    for turn in found.turns:
        assert turn.first == at and turn.steps > 0
        assert all(found.at(step) is turn for step in (turn.first, turn.end - 1))
        at = turn.end
    assert [turn.phase for turn in found.turns] == sorted(turn.phase for turn in found.turns)
    for phase in range(len(found.depths)):
        own = [turn for turn in found.turns if turn.phase == phase]
        assert [turn.client for turn in own] == list(range(depth.clients)) * (len(own) // depth.clients)
        assert own[0].opens and own[-1].ends_phase and sum(turn.ends_phase for turn in own) == 1


@given(depth=any_depth(), steps=st.integers(60, 300))
def test_clients_of_a_round_have_the_same_learning_rates(depth: Depth, steps: int) -> None:
    found = course(depth, 8, steps)
    if depth.clients == 1:
        assert [found.due(step) for step in range(steps)] == list(range(steps))
    for turn in found.turns:
        due = [found.due(step) for step in range(turn.first, turn.end)]
        assert due[0] == turn.round_first and due == sorted(due) and due[-1] < turn.round_first + turn.round_steps
    assert found.due(steps) == steps


def test_a_federated_course_by_hand() -> None:
    found = course(Depth(stages=2, clients=2, local_steps=2), 4, 16)
    assert found.depths == (2, 4)
    assert [(turn.first, turn.phase, turn.round, turn.client) for turn in found.turns] == [
        (0, 0, 0, 0), (2, 0, 0, 1), (4, 0, 1, 0), (6, 0, 1, 1),
        (8, 1, 0, 0), (10, 1, 0, 1), (12, 1, 1, 0), (14, 1, 1, 1),
    ]  # fmt: skip
    assert [found.due(step) for step in range(4)] == [0, 2, 0, 2]
    assert [turn.last_round for turn in found.turns] == [False, False, True, True] * 2


@pytest.mark.parametrize(("stages", "rungs"), [(2, {40}), (4, {20, 40})])
def test_depths_end_where_a_plan_has_its_rungs(stages: int, rungs: set[int]) -> None:
    """A quarter and a half of the steps: what is measured there has cost a fraction of the whole model's steps."""
    found = course(Depth(stages=stages), 8, 80)
    ends = {turn.end for turn in found.turns if turn.ends_phase}
    assert rungs <= ends
    assert sum(found.depths[found.at(step).phase] for step in range(20)) <= 20 * 8 / 2


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="5 steps are too few for 2 depths and 3 clients"):
        course(Depth(stages=2, clients=3), 4, 5)


def test_shares_are_the_steps() -> None:
    assert shares(Depth(stages=3), 3) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert shares(Depth(stages=3, full_share=0.5), 3) == pytest.approx((0.25, 0.25, 0.5))
    assert shares(Depth(stages=3, full_share=0.5), 1) == (1.0,), "a model of one layer has one depth"


def test_what_steps_cost_is_the_layers_they_go_through() -> None:
    assert mean_depth(Depth(), 8) == 1.0
    assert mean_depth(Depth(stages=2), 8) == 0.75
    assert mean_depth(Depth(stages=4), 32) == pytest.approx((4 + 8 + 16 + 32) / 128)
    depth = Depth(stages=3, full_share=0.2)
    turns = course(depth, 8, 100).turns
    assert mean_depth(depth, 8) == pytest.approx(sum(turn.steps * (2, 4, 8)[turn.phase] for turn in turns) / 800)


def test_what_is_held_beside() -> None:
    assert [copied(8, count) for count in (1, 4, 7)] == [1, 4, 1]
    assert exchanged_bytes(Depth(stages=2), 100) == 0
    held = [exchanged_bytes(Depth(clients=5, average=average), 100) for average in ("ab", "share_a", "product_svd")]
    assert held == [1200, 1800, 2400]


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"beta": 0.2}, "set stages to 2"),
        ({"full_share": 0.5, "start_layers": 2}, "start_layers, full_share are for progressive depth"),
        ({"local_steps": 5}, "set clients to 2"),
        ({"clients": 2, "alpha": 0.1}, "partition 'dirichlet'"),
        ({"stages": 2, "grouping": "even", "contiguous": True}, "contiguous already"),
        ({"stages": 5}, "less than or equal to 4"),
        ({"stages": 2, "start_layers": 0}, "greater than 0"),
        ({"stages": 2, "beta": -0.1}, "greater than or equal to 0"),
        ({"stages": 2, "full_share": 1.0}, "less than 1"),
        ({"clients": 0}, "greater than or equal to 1"),
        ({"rounds": 3}, "Extra inputs"),
    ],
)
def test_settings_that_nothing_reads_or_that_cannot_be(given_: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Depth(**given_)
