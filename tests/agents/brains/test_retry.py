"""What errors mean, how long is waited, and the token bucket: no server, and a clock that is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewright.agents.brains.bucket import Bucket
from tunewright.agents.brains.retry import LONGEST_S, backoff, retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("inf", None),
        ("9" * 400, None),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
    ],
)
def test_both_forms_of_retry_after(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}, now=NOW) == seconds


@given(st.text(max_size=40))
def test_no_header_is_more_than_a_wait(said: str) -> None:
    wait = retry_after({"retry-after": said})
    assert wait is None or (wait >= 0 and math.isfinite(wait))


@given(st.integers(1, 50), st.text(alphabet="0123456789abcdef", max_size=8))
def test_waits_grow_and_stay_within_their_bound(attempt: int, key: str) -> None:
    wait = backoff(attempt, key)
    assert 0 < wait <= LONGEST_S and wait >= 0.75 * min(LONGEST_S, 4.0 ** (attempt - 1))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bucket(clock: Clock, **limits: float) -> Bucket:
    return Bucket(limits.get("requests"), limits.get("tokens"), clock=clock)


def test_without_limits_nothing_waits() -> None:
    assert [bucket(Clock()).take(10**9) for _ in range(3)] == [0, 0, 0]


def test_requests_and_tokens_are_held_to_a_minute() -> None:
    clock = Clock()
    one = bucket(clock, requests=60, tokens=1000)
    assert one.take(900) == 0
    assert one.take(400) == pytest.approx(18)  # 300 tokens are missing, 1000 come a minute
    clock.now = 60.0
    assert one.take(100) == 0
    many = bucket(Clock(), requests=2)
    assert [many.take(1), many.take(1), many.take(1)] == [0, 0, pytest.approx(30)]


def test_more_than_a_minute_holds_waits_for_a_full_bucket_and_no_longer() -> None:
    clock = Clock()
    one = bucket(clock, tokens=100)
    assert one.take(5000) == 0
    one.give_back(4950)
    assert one.take(5000) == pytest.approx(30)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-tokens": "600", "x-ratelimit-remaining-tokens": "100", "x-ratelimit-reset-tokens": "6m0s"},
        {"llm_provider-x-ratelimit-limit-tokens": "600", "llm_provider-x-ratelimit-remaining-tokens": "100"},
        {"anthropic-ratelimit-tokens-limit": "600", "anthropic-ratelimit-tokens-remaining": "100"},
    ],
)
def test_limits_are_learned_from_responses(headers: dict[str, str]) -> None:
    one = bucket(Clock())
    one.learn(headers)
    assert one.limits == {"requests": None, "tokens": 600.0}
    assert one.take(160) == pytest.approx(6.0)


def test_a_learned_limit_takes_the_place_of_a_configured_one() -> None:
    one = bucket(Clock(), tokens=1_000_000)
    one.learn({"x-ratelimit-limit-tokens": "60"})
    assert one.take(60) == 0 and one.take(60) == pytest.approx(60)


def test_nothing_left_and_a_reset_alone_are_waited_for() -> None:
    one = bucket(Clock())
    one.learn({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12s"})
    assert one.take(1) == pytest.approx(12)


@settings(suppress_health_check=[HealthCheck.too_slow])  # where the machine is, draws are
@given(
    st.dictionaries(
        st.sampled_from([f"x-ratelimit-{kind}-{name}" for kind in ("limit", "remaining", "reset")
                         for name in ("requests", "tokens")]),
        st.one_of(st.text(max_size=12), st.floats().map(str), st.integers().map(str)),
    ),
    st.lists(st.integers(0, 10**6), max_size=6),
)  # fmt: skip
def test_headers_of_no_sense_do_no_harm(headers: dict[str, str], asked: list[int]) -> None:
    one = bucket(Clock())
    one.learn(headers)
    waits = [one.take(tokens) for tokens in asked]
    assert all(wait >= 0 and not math.isnan(wait) for wait in waits)
