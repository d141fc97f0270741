"""Columns, observations and expectations: what a model is fitted to and what it answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.search.acquisition import improvement
from tunewright.search.curve import Curves
from tunewright.search.decision import ObservedTree
from tunewright.search.encoding import ABSENT, MIDDLE, ordered, place, value_at
from tunewright.search.evidence import COST, NOISE, clipped, gather
from tunewright.search.model import Model
from tunewright.search.pace import Pace
from tunewright.search.warp import Warp

LR, KIND = FloatDistribution(1e-5, 1e-1, log=True), CategoricalDistribution(["a", "b"])


@pytest.mark.parametrize(
    ("distribution", "value", "where"),
    [
        (LR, 1e-3, 0.5),
        (FloatDistribution(0, 4), 1.0, 0.25),
        (IntDistribution(1, 100, log=True), 10, 0.5),
        (CategoricalDistribution([8, 16, 32]), 16, 0.5),
        (CategoricalDistribution(["a", "b", "c"]), "c", 2.0),
        (CategoricalDistribution([32, 8]), 8, 1.0),
        (CategoricalDistribution([True, 1]), 1, 1.0),
        (FloatDistribution(3, 3), 3.0, 0.5),
    ],
)
def test_a_value_has_a_place_and_the_place_has_the_value(
    distribution: BaseDistribution, value: object, where: float
) -> None:
    assert place(distribution, value) == pytest.approx(where)
    found = value_at(distribution, place(distribution, value))
    assert found == pytest.approx(value) and type(found) is type(value)


@given(st.floats(0, 1), st.sampled_from([LR, FloatDistribution(-2, 3, step=0.5), IntDistribution(2, 9)]))
def test_every_place_is_a_value_of_the_distribution(at: float, distribution: BaseDistribution) -> None:
    value = value_at(distribution, at)
    assert distribution._contains(distribution.to_internal_repr(value))


def test_only_what_ascends_is_ordered() -> None:
    assert ordered(CategoricalDistribution([1, 2.5, 3])) and ordered(LR)
    assert not ordered(CategoricalDistribution([2, 1])) and not ordered(CategoricalDistribution([False, True]))
    assert not ordered(CategoricalDistribution([1])) and not ordered(KIND)


def trial(
    number: int,
    value: float | None,
    *,
    kind: str = "a",
    lr: float = 1e-3,
    rungs: dict[int, float] | None = None,
    state: TrialState = TrialState.COMPLETE,
    excess: float | None = None,
    cost_s: float | None = None,
) -> FrozenTrial:
    found = create_trial(
        state=state,
        values=None if value is None else [value],
        params={"kind": kind, f"lr.{kind}": lr},
        distributions={"kind": KIND, f"lr.{kind}": LR},
        intermediate_values=rungs or {},
        constraints=None if excess is None else {"limits": excess},
        user_attrs={} if cost_s is None else {COST: cost_s},
    )
    found.number = number
    return found


def test_rungs_and_ends_are_shares_and_what_is_nobodys_fault_is_left_out() -> None:
    found = gather(
        [
            trial(0, 0.6, rungs={1: 0.2, 2: 0.4}),
            trial(1, None, rungs={1: 0.3}, state=TrialState.RUNNING),
            trial(2, None, state=TrialState.FAIL),
            trial(3, None, state=TrialState.PRUNED, excess=1.0),
            trial(4, 0.3, rungs={1: 0.3}, state=TrialState.PRUNED),
        ],
        maximise=False,
    )
    assert [one.number for one in found] == [0, 1, 3, 4]
    assert found[0].seen == ((1 / 3, -0.2), (2 / 3, -0.4), (1.0, -0.6))
    assert found[1].running and found[1].seen == ((1 / 3, -0.3),)
    assert found[2].faulty and not found[2].seen
    assert found[3].seen == ((1 / 3, -0.3),), "stopped at a rung: not its end"


def test_what_a_rung_says_of_the_end_is_a_line_through_those_that_went_on() -> None:
    went = [trial(i, 0.3 + 0.1 * i, rungs={1: 0.1 + 0.1 * i}) for i in range(4)]
    waiting = [trial(10 + i, None, rungs={1: at}, state=TrialState.RUNNING) for i, at in enumerate((0.25, 0.05))]
    found = gather([*went, *waiting], maximise=True)
    curves = Curves(found)
    (middle, doubt), (low, _) = (curves.end(one) or (0.0, 0.0) for one in found[4:])
    assert middle == pytest.approx(0.45, abs=0.01) and low == pytest.approx(0.25, abs=0.01)
    assert 0 < doubt < 0.05
    uneven = gather([*went[:-1], trial(3, 0.2, rungs={1: 0.4}), *waiting], maximise=True)
    assert (Curves(uneven).end(uneven[4]) or (0.0, 0.0))[1] > 2 * doubt
    assert Curves(gather([*went[:2], *waiting], maximise=True)).end(found[4]) is None, "too few went on"
    assert Curves([]).end(found[4]) is None


def test_scores_are_modelled_by_how_far_they_are_above_the_worst() -> None:
    scores = np.array([0.17, 0.23, 0.5, 0.55])
    warp = Warp.of(scores, 0.02)
    places = warp.to(scores)
    assert warp.back(places) == pytest.approx(scores)
    steps = np.diff(places)
    assert steps[0] > steps[2], "the same difference is more near the worst"
    assert np.isfinite(warp.to(np.array([-3.0]))).all() and np.isfinite(Warp.of(np.zeros(3), 0.0).to(np.zeros(3))).all()
    near = (warp.to(scores + 1e-6) - places) / 1e-6
    assert warp.slope(scores) == pytest.approx(near, rel=1e-3)


def test_a_short_recipes_end_is_where_a_long_ones_rung_is() -> None:
    pace = Pace(0.25, 4.0, frozenset(["epochs", "epochs.other"]), (0.25, 1.0))
    spaces = {"epochs": CategoricalDistribution([1.0, 4.0])}

    def of(number: int, epochs: float, value: float, rungs: dict[int, float]) -> FrozenTrial:
        found = create_trial(
            values=[value], params={"epochs": epochs}, distributions=spaces, intermediate_values=rungs,
            user_attrs={NOISE: {"1": 0.04, "0": 0.02}},
        )  # fmt: skip
        found.number = number
        return found

    short, long = gather([of(0, 1.0, 0.3, {1: 0.2}), of(1, 4.0, 0.5, {1: 0.2, 2: 0.31})], maximise=True, pace=pace)
    assert short.seen == ((0.0, 0.2), (0.5, 0.3)) and short.end == 0.5 and short.ended
    assert long.seen == ((0.0, 0.2), (0.5, 0.31), (1.0, 0.5)) and long.ended
    assert short.noises == (0.04, 0.02) and long.noises == (0.04, None, 0.02)
    assert pace.at_end({}) == 1.0 and pace.length(["epochs", "epochs.other"]) is None
    assert pace.amount(pace.at(1.7)) == pytest.approx(1.7)
    assert pace.at_step(3) is None and Pace(1, 16, frozenset()).at_step(4) == pytest.approx(0.5)


def test_ruined_scores_are_brought_nearer_and_others_left() -> None:
    scores = np.array([0.5, 0.52, 0.55, 0.53, -40.0])
    assert clipped(scores)[:4].tolist() == scores[:4].tolist()
    assert 0.3 < clipped(scores)[4] < 0.5
    assert clipped(np.array([1.0, 1.0])).tolist() == [1.0, 1.0]


def fitted(*more: FrozenTrial) -> Model:
    rng = np.random.default_rng(0)
    trials = [
        trial(
            i,
            float((i % 2) * 0.2 - (np.log10(lr) + 3) ** 2 / 10),
            kind="ab"[i % 2],
            lr=float(lr),
            cost_s=10.0 if i % 2 else 40.0,
        )
        for i, lr in enumerate(10 ** rng.uniform(-5, -1, 16))
    ]
    both = [*trials, *more]
    shared = {"lr.a": "lr", "lr.b": "lr"}
    return Model(ObservedTree(["kind"], both, shared), gather(both, maximise=True))


def test_siblings_share_what_they_have_in_common() -> None:
    model = fitted()
    assert model.frame.numeric == ("lr",) and model.frame.nominal == ("kind",)
    mean, _ = model.scores(np.array([[0.5, 0.0], [0.5, 1.0], [0.05, 1.0]]))
    assert mean[1] > mean[0] + 0.1 and mean[1] > mean[2] + 0.2
    assert model.costs(np.array([[0.5, 0.0], [0.5, 1.0]])) == pytest.approx([40, 10], rel=0.2)
    assert model.best == pytest.approx(np.nanmax(model.worths))


def test_a_rung_says_something_of_the_end() -> None:
    early = [trial(100 + i, 0.1 + 0.1 * i, lr=1e-3 * (1 + i), rungs={1: 0.05 + 0.1 * i}) for i in range(4)]
    waiting = trial(200, None, kind="b", lr=3e-2, rungs={1: 0.15}, state=TrialState.RUNNING)
    model = fitted(*early, waiting)
    untold = fitted(*early)
    row = model.rows[-1:]
    assert model.scores(row)[0][0] > untold.scores(row)[0][0] + 0.01


def test_what_broke_is_kept_away_from_and_nothing_else() -> None:
    broken = [
        trial(300 + i, None, lr=lr, state=TrialState.PRUNED, excess=1.0) for i, lr in enumerate((0.05, 0.08, 0.03))
    ]
    chance = fitted(*broken).feasible(np.array([[0.9, 0.0], [0.3, 0.0]]))
    assert chance[0] < 0.5 and chance[1] > 0.9
    assert fitted().feasible(np.array([[0.9, 0.0]]))[0] == 1.0


def test_improvement_prefers_the_cheap_of_equals_as_much_as_cost_weighs() -> None:
    model = fitted()
    rows = np.array([[0.5, 1.0], [0.05, 1.0]])
    free, weighed = (improvement(model, model.expect(rows), cost_weight=weight) for weight in (0.0, 1.0))
    assert free[0] > free[1]
    assert weighed == pytest.approx(free - np.log(model.costs(rows)))


def test_a_recipe_without_a_setting_is_in_the_middle_of_its_column() -> None:
    model = fitted()
    row = model.frame.row({}, {}, {})
    assert row.tolist() == [MIDDLE, ABSENT]
