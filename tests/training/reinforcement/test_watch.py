"""When a rollout says that a policy has collapsed or learns nothing, and when it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from tunewright.tools.contract import FaultError
from tunewright.tools.training.reinforcement.watch import PATIENCE, Watch

WELL = {
    "reward": 0.5,
    "unanimous": 0.4,
    "length": 6.0,
    "ended": 0.9,
    "masked": 0.1,
    "entropy": 2.0,
    "kl": 0.1,
    "clipped": 0.1,
}
SIGNS: dict[str, tuple[dict[str, float], str]] = {
    "unanimous": ({"unanimous": 1.0}, "earn the same .0.5 on average."),
    "masked": ({"masked": 1.0}, "no answer comes to its end"),
    "entropy": ({"entropy": 0.0199}, "entropy is 0.02 nats a token, from 2,"),
    "kl": ({"kl": 20.1}, "run away: 20.1 nats a token"),
    "clipped": ({"clipped": 0.81}, "81% of the tokens"),
    "empty": ({"length": 1.0}, "answers are empty"),
    "endless": ({"ended": 0.0}, "no longer come to an end"),
}
"""Name -> what is wrong, what is said."""
JUST_WELL = {
    "unanimous": {"unanimous": 0.99}, "masked": {"masked": 0.99}, "entropy": {"entropy": 0.0201}, "kl": {"kl": 19.9},
    "clipped": {"clipped": 0.79}, "empty": {"length": 1.1}, "endless": {"ended": 0.01},
}  # fmt: skip


def follow(watch: Watch, *rounds: Mapping[str, float], first: int = 1) -> int | None:
    """The step at which a fault comes, if one does."""
    for step, facts in enumerate(rounds, first):
        try:
            watch.look({**WELL, **facts}, step)
        except FaultError as error:
            assert error.fault.kind == "config"
            return error.fault.step
    return None


@pytest.mark.parametrize("sign", SIGNS)
def test_what_is_wrong_for_too_long_is_a_fault_that_says_what_and_when(sign: str) -> None:
    wrong, said = SIGNS[sign]
    watch = Watch(1.0)
    watch.look(WELL, 10)
    for step in range(11, 10 + PATIENCE):
        watch.look({**WELL, **wrong}, step)
    with pytest.raises(FaultError, match=said) as raised:
        watch.look({**WELL, **wrong}, 10 + PATIENCE)
    assert raised.value.fault.kind == "config" and raised.value.fault.step == 10 + PATIENCE
    assert f"{PATIENCE} rollouts in a row" in str(raised.value)


@pytest.mark.parametrize("sign", SIGNS)
def test_what_is_just_well_is_no_fault(sign: str) -> None:
    assert follow(Watch(1.0), {}, *[JUST_WELL[sign]] * 3 * PATIENCE) is None


@pytest.mark.parametrize("sign", SIGNS)
def test_once_well_between_begins_anew(sign: str) -> None:
    wrong, _ = SIGNS[sign]
    watch = Watch(1.0)
    assert follow(watch, {}, *[wrong] * (PATIENCE - 1), {}, *[wrong] * (PATIENCE - 1)) is None
    assert follow(watch, wrong, first=100) == 100


@pytest.mark.parametrize("sign", SIGNS)
def test_a_reward_that_has_risen_excuses_what_a_policy_that_has_learned_looks_like(sign: str) -> None:
    wrong, _ = SIGNS[sign]
    found = follow(Watch(1.0), {}, *[{**wrong, "reward": 0.51}] * 2 * PATIENCE)
    assert found == (None if sign in ("entropy", "empty", "endless") else 1 + PATIENCE)


@pytest.mark.parametrize(("best", "reward", "fault"), [(1.0, 1.0, False), (1.0, 0.99, True), (math.inf, 9.0, True)])
def test_all_may_earn_the_most_there_is(best: float, reward: float, fault: bool) -> None:
    rounds = [{"unanimous": 1.0, "reward": reward}] * 2 * PATIENCE
    assert (follow(Watch(best), *rounds) is not None) == fault


def test_what_was_so_from_the_first_on_is_no_collapse() -> None:
    for facts in ({"length": 1.0}, {"ended": 0.0}, {"entropy": 0.001}):
        assert follow(Watch(1.0), *[facts] * 2 * PATIENCE) is None


def test_what_is_not_told_is_not_missed() -> None:
    watch = Watch(1.0)
    for step in range(2 * PATIENCE):
        watch.look({"reward": 0.5, "unanimous": 0.4, "length": 6.0, "ended": 0.9}, step)


def test_it_goes_on_after_a_stop() -> None:
    before = Watch(1.0)
    assert follow(before, {}, *[{"entropy": 0.01}] * (PATIENCE - 1)) is None
    after = Watch(1.0)
    after.restore(before.state())
    assert follow(after, {"entropy": 0.01}, first=40) == 40
    forgot = Watch(1.0)
    assert follow(forgot, {"entropy": 0.01}, first=40) is None
