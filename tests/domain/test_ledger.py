"""The ledger: nothing is launched that the rest of the budget does not cover, nothing is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stories import Story, small_space, task

from tunewright.domain import event as ev
from tunewright.domain.budget import CURRENCIES, Budget, Cost, Prices
from tunewright.domain.errors import BudgetError
from tunewright.domain.job_event import Role
from tunewright.domain.ledger import refusals, require, wall_left
from tunewright.domain.outcome import Failed, Fault
from tunewright.domain.study import Study

NOTHING = Cost()


def study(usd_per_device_hour: float | None = None, **budget: float) -> Study:
    """A study at work since second 0, with that budget."""
    story = Story(space=small_space(), task=task(), budget=Budget.model_validate(budget), started=-7.0)
    found = Study(one for one in story.events if not isinstance(one, ev.PlanProposed))
    prices = Prices(usd_per_device_hour=usd_per_device_hour)
    created = found.created
    assert created is not None
    found.fold(created.model_copy(update={"options": created.options.model_copy(update={"prices": prices})}))
    found.fold(ev.SessionClosed(at=0.0, reason="so that the clock stands at what is known"))
    return found


def launch(into: Study, job: str = "t0", *, role: Role = "trial", at: float = 0.0, **reserved: float) -> None:
    cost = Cost.model_validate(reserved)
    into.fold(ev.JobLaunched(at=at, job=job, role=role, binding="0", reserved=cost, proposal=job))


def end(into: Study, job: str = "t0", *, at: float = 0.0, **cost: float) -> None:
    fault = Fault(kind="config", message="m")
    into.fold(ev.JobEnded(at=at, job=job, outcome=Failed(fault=fault, cost=Cost.model_validate(cost))))


class TestRefusals:
    def test_each_currency_that_falls_short_is_named(self) -> None:
        into = study(1.0, device_s=100, usd=0.5, llm_tokens=1000, trials=2)
        asked = Cost(device_s=101, usd=0.6, llm_tokens=1001, trials=3)
        said = refusals(into, asked, keep=NOTHING, now=0)
        assert [line.split(":")[0] for line in said] == ["device_s", "usd", "llm_tokens", "trials"]
        assert said[0] == "device_s: 101 asked, 100 left of 100"

    def test_exactly_what_is_left_fits(self) -> None:
        into = study(device_s=100, trials=1)
        assert refusals(into, Cost(device_s=100, trials=1), keep=NOTHING, now=0) == []

    def test_what_is_not_capped_is_free(self) -> None:
        assert refusals(study(trials=5), Cost(device_s=1e9, llm_tokens=10**9), keep=NOTHING, now=0) == []

    def test_what_is_kept_back_is_out_of_reach(self) -> None:
        into, keep = study(device_s=100), Cost(device_s=30)
        assert refusals(into, Cost(device_s=70), keep=keep, now=0) == []
        assert refusals(into, Cost(device_s=71), keep=keep, now=0) != []

    def test_the_plan_says_what_is_kept_back(self) -> None:
        story = Story(space=small_space(), task=task(), budget=Budget(device_s=1000))
        assert refusals(story.study, Cost(device_s=760), now=story.now) == []
        assert refusals(story.study, Cost(device_s=761), now=story.now) != []

    def test_without_a_budget_nothing_runs(self) -> None:
        assert refusals(Study(), NOTHING) == ["no budget is set"]
        assert wall_left(Study()) == 0

    def test_dollars_of_unknown_price_are_refused(self) -> None:
        into = study(usd=10)
        assert "price" in refusals(into, Cost(device_s=1), keep=NOTHING, now=0)[0]
        with pytest.raises(BudgetError, match="price of a device hour is not known"):
            require(into, Cost(device_s=1), keep=NOTHING, now=0)

    def test_require_passes_what_fits(self) -> None:
        require(study(device_s=10), Cost(device_s=10), keep=NOTHING, now=0)


class TestReservation:
    def test_what_a_running_job_holds_is_out_of_reach_and_comes_back(self) -> None:
        into = study(device_s=100)
        launch(into, device_s=60)
        assert refusals(into, Cost(device_s=41), keep=NOTHING, now=0) != []
        end(into, device_s=10)
        assert refusals(into, Cost(device_s=90), keep=NOTHING, now=0) == []
        assert refusals(into, Cost(device_s=91), keep=NOTHING, now=0) != []

    def test_a_running_job_s_time_is_not_counted_beside_its_reservation(self) -> None:
        into = study(device_s=100)
        into.fold(ev.SessionOpened(at=0.0, pid=1, host="h"))
        launch(into, device_s=60)
        assert refusals(into, Cost(device_s=40), keep=NOTHING, now=50) == []
        assert refusals(into, Cost(device_s=41), keep=NOTHING, now=50) != []
        assert refusals(into, Cost(device_s=31), keep=NOTHING, now=70) != []  # it runs longer than was thought

    def test_a_launched_trial_is_one_trial(self) -> None:
        into = study(trials=2)
        launch(into, "t0", trials=1)
        assert refusals(into, Cost(trials=1), keep=NOTHING, now=0) == []
        launch(into, "t1", trials=1)
        assert refusals(into, Cost(trials=1), keep=NOTHING, now=0) != []
        end(into, "t0", trials=1)
        end(into, "t1", trials=1)
        assert into.spent(0).trials == 2

    def test_a_second_attempt_is_the_same_trial(self) -> None:
        into = study(trials=1)
        launch(into, "t0", trials=1)
        end(into, "t0", device_s=5)
        launch(into, "t0")
        assert into.spent(0).trials == 1 and into.spent(0).device_s == 5

    def test_confirmations_and_evaluations_are_no_trials(self) -> None:
        into = study(trials=1)
        roles: tuple[Role, ...] = ("base", "confirm", "test")
        for role in roles:
            launch(into, role, role=role)
        assert into.spent(0).trials == 0

    @given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), max_size=8))
    def test_launching_only_what_fits_never_passes_the_cap(self, jobs: list[tuple[float, float]]) -> None:
        into = study(device_s=100)
        for number, (high, actual) in enumerate(jobs):
            if not refusals(into, Cost(device_s=high), keep=NOTHING, now=0):
                launch(into, f"t{number}", device_s=high)
                end(into, f"t{number}", device_s=min(actual, high))
        assert into.spent(0).device_s <= 100 + 1e-6


class TestWallLeft:
    def test_the_first_cap_decides(self) -> None:
        assert wall_left(study(device_s=100), keep=NOTHING, now=0) == 100
        assert wall_left(study(2.0, usd=1.0), keep=NOTHING, now=0) == 1800
        assert wall_left(study(2.0, usd=1.0, device_s=100), keep=NOTHING, now=0) == 100
        assert wall_left(study(trials=3), keep=NOTHING, now=0) == float("inf")

    def test_it_is_never_negative(self) -> None:
        into = study(device_s=10)
        end_cost = {"device_s": 50.0}
        launch(into)
        end(into, **end_cost)
        assert wall_left(into, keep=NOTHING, now=0) == 0


class TestCost:
    @given(st.floats(0, 1e6), st.integers(0, 10**6), st.floats(0.01, 10))
    def test_scaling_never_rounds_tokens_down(self, seconds: float, tokens: int, factor: float) -> None:
        scaled = Cost(wall_s=seconds, llm_tokens=tokens, trials=3).scaled(factor)
        assert tokens * factor <= scaled.llm_tokens < tokens * factor + 1 and scaled.trials == 3

    def test_it_adds_up_in_every_currency(self) -> None:
        one = Cost(wall_s=1, device_s=2, usd=3, llm_tokens=4, trials=5)
        assert [getattr(one + one, name) for name in CURRENCIES] == [2, 4, 6, 8, 10]

    def test_a_budget_of_nothing_is_no_budget(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            Budget()
        for name in CURRENCIES:
            with pytest.raises(ValueError, match="greater than 0"):
                Budget.model_validate({name: 0})

    def test_what_is_left_is_never_below_zero(self) -> None:
        assert Budget(wall_s=10, trials=1).left(Cost(wall_s=11)) == {"wall_s": 0.0, "trials": 1}

    def test_an_unknown_price_is_not_zero(self) -> None:
        assert Prices().device(3600) is None and Prices(usd_per_device_hour=0).device(3600) == 0.0
        assert Prices(usd_per_device_hour=2).device(1800) == 1.0
