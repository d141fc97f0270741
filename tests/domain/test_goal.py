"""Several goals: what is measured, which trials no other beats, and in which order goals decide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.stories import task

from tunewright.domain.budget import Cost
from tunewright.domain.goal import by_goals, front, measured, standings
from tunewright.domain.outcome import Completed, JobResult, Measurement
from tunewright.domain.task import Goal

SMALL, FAST = Goal(quantity="adapter_bytes"), Goal(quantity="latency_s")


def trial(score: float, *, size: int = 100, seconds: float = 2.0) -> Completed:
    final = Measurement(value=score, rows=100, step=10, seconds=seconds)
    result = JobResult(status="done", measurement=final, adapter_bytes=size, peak_memory_gib=1.5)
    return Completed(result=result, cost=Cost(wall_s=30))


def test_what_a_trial_measured_is_found_by_name() -> None:
    one = trial(0.5)
    found = [
        measured(one, name) for name in ("adapter_bytes", "latency_s", "seconds", "peak_memory_gib", "device", "x")
    ]
    assert found == [100, 0.02, 30, 1.5, None, None]


def test_the_front_holds_what_nothing_beats_and_both_of_equals() -> None:
    points = {"a": (0.9, -5.0), "b": (0.8, -1.0), "c": (0.8, -2.0), "d": (0.9, -5.0), "e": (0.1, -0.5)}
    assert front(points) == ("a", "b", "d", "e")
    assert front({}) == ()


@given(st.dictionaries(st.integers(0, 50).map(str), st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_each_trial_is_on_the_front_or_beaten_by_one_that_is(points: dict[str, tuple[float, float]]) -> None:
    on = front(points)
    for name, mine in points.items():
        beaten = any(points[o] != mine and all(a >= b for a, b in zip(points[o], mine, strict=True)) for o in on)
        assert (name in on) != beaten


def test_standings_turn_every_goal_to_more_is_better_and_leave_out_what_has_no_number() -> None:
    wanted = task(direction="min").model_copy(update={"goals": (SMALL,)})
    trials = {"t0": trial(0.5, size=10), "t1": trial(float("nan"))}
    assert standings(wanted, trials) == {"t0": (-0.5, -10.0)}
    strange = wanted.model_copy(update={"goals": (Goal(quantity="nothing_like_it"),)})
    assert standings(strange, trials) == {}


def test_goals_decide_in_their_order_and_times_within_five_per_cent_are_the_same() -> None:
    trials = {
        "t0": trial(0.5, size=30, seconds=2.0),
        "t1": trial(0.5, size=20, seconds=2.04),
        "t2": trial(0.5, seconds=1),
    }
    assert by_goals([FAST, SMALL], trials) == ["t2", "t1", "t0"]
    assert by_goals([SMALL, FAST], trials) == ["t1", "t0", "t2"]
    assert by_goals([FAST], trials) == ["t2", "t0", "t1"], "in a tie the order given"
    assert by_goals([Goal(quantity="adapter_bytes", direction="max")], trials)[0] == "t2"
    assert by_goals([Goal(quantity="nothing_like_it")], trials) == ["t0", "t1", "t2"]
