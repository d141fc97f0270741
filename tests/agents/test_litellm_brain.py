"""The litellm brain against a server on this machine that speaks the OpenAI protocol, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.support.openai_server import OpenAiServer, Reply

from tunewright.agents.brains.litellm import LitellmBrain
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.event import ModelAsked

KEY = "sk-test-0123456789abcdef"


class Answer(BaseModel):
    name: str
    count: int = Field(gt=0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiServer]:
    with OpenAiServer() as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


Asked = list[ModelAsked]


def brain(asked: Asked, **options: Any) -> LitellmBrain:
    return LitellmBrain(options.pop("model", "openai/local"), record=asked.append, **options)


GOOD = Reply('{"name": "a", "count": 2}')


def test_a_valid_answer_is_asked_for_once_and_paid(server: OpenAiServer) -> None:
    server.replies = [GOOD]
    asked: Asked = []
    assert brain(asked).structured("planner", "How many?", Answer) == Answer(name="a", count=2)
    assert [(one.role, one.valid, one.cost.llm_tokens) for one in asked] == [("planner", True, 100)]
    assert server.forms() == ["json_schema"]
    assert server.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["name", "count"]


def test_what_does_not_fit_is_sent_back_with_the_reason_and_weaker_forms_are_tried(server: OpenAiServer) -> None:
    server.replies = [
        Reply("not json"),
        Reply('{"name": "a", "count": 0}'),
        Reply('Sure!\n```json\n{"name": "a", "count": 3,}\n```'),
    ]
    asked: Asked = []
    assert brain(asked).structured("planner", "How many?", Answer).count == 3
    assert [one.valid for one in asked] == [False, False, True]
    assert server.forms() == ["json_schema", "json_object", "plain"]
    assert "no complete JSON object" in server.requests[1]["messages"][-1]["content"]
    assert "count: Input should be greater than 0" in server.requests[2]["messages"][-1]["content"]
    assert '"exclusiveMinimum": 0' in server.requests[2]["messages"][0]["content"]


def test_three_bad_answers_are_an_error_and_are_paid_for(server: OpenAiServer) -> None:
    server.replies = [Reply("no"), Reply("never"), Reply('{"name": 3}'), GOOD]
    asked: Asked = []
    with pytest.raises(BrainError, match="3 tries"):
        brain(asked).structured("planner", "How many?", Answer)
    assert sum(one.cost.llm_tokens for one in asked) == 300
    assert len(server.replies) == 1


def test_a_refused_form_is_no_try_and_is_not_asked_for_again(server: OpenAiServer) -> None:
    refused = Reply("response_format json_schema is not supported", status=400)
    server.replies = [refused, Reply("bad"), Reply("bad"), GOOD, GOOD]
    mind = brain([])
    assert mind.structured("planner", "How many?", Answer).count == 2
    mind.structured("planner", "How many?", Answer)
    assert server.forms() == ["json_schema", "json_object", "plain", "plain", "json_object"]


def test_a_busy_server_is_waited_for_as_long_as_it_asks(server: OpenAiServer) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "1"}), Reply(status=500), GOOD]
    began = time.monotonic()
    asked: Asked = []
    assert brain(asked).structured("planner", "How many?", Answer).count == 2
    assert 2.0 <= time.monotonic() - began < 30
    assert len(asked) == 1


def test_a_longer_wait_than_patience_is_an_error_at_once(server: OpenAiServer) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "3600"})]
    began = time.monotonic()
    with pytest.raises(BrainError, match="did not answer"):
        brain([], patience_s=60).structured("planner", "How many?", Answer)
    assert time.monotonic() - began < 30


def test_a_hanging_server_is_given_up(server: OpenAiServer) -> None:
    server.replies = [Reply(hang_s=60) for _ in range(4)]
    began = time.monotonic()
    with pytest.raises(BrainError, match="did not answer"):
        brain([], timeout_s=1, patience_s=2).structured("planner", "How many?", Answer)
    assert time.monotonic() - began < 30


def test_a_dead_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(BrainError) as caught:
        brain([], patience_s=1).structured("planner", "How many?", Answer)
    assert "\n" not in caught.value.message and "api base" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_repeated_and_shows_no_key(server: OpenAiServer, status: int) -> None:
    server.replies = [Reply(f"no entry with {KEY}, and not with sk-other-987654321", status=status)]
    with pytest.raises(BrainError) as caught:
        brain([]).structured("planner", "How many?", Answer)
    chain = [caught.value, caught.value.__cause__]
    assert not any("987654321" in str(one) or KEY in str(one) for one in chain)
    assert len(server.requests) == 1 and caught.value.hint


def test_a_name_without_provider_is_explained() -> None:
    with pytest.raises(BrainError) as caught:
        brain([], model="nonsense").structured("planner", "How many?", Answer)
    assert "PROVIDER/MODEL" in caught.value.hint


def test_a_server_that_counts_no_tokens_is_not_free(server: OpenAiServer) -> None:
    server.replies = [Reply('{"name": "a", "count": 2}', usage=False)]
    asked: Asked = []
    brain(asked).structured("planner", "x" * 3000, Answer)
    assert asked[0].cost.llm_tokens >= 700


def test_a_cut_off_answer_is_asked_for_again_and_shorter(server: OpenAiServer) -> None:
    server.replies = [Reply('{"name": "aaaa', finish="length"), GOOD]
    assert brain([]).structured("planner", "How many?", Answer).count == 2
    assert "shorter" in server.requests[1]["messages"][-1]["content"]


def test_the_guard_is_asked_before_the_call_with_price_or_none(server: OpenAiServer) -> None:
    seen: list[tuple[int, float | None]] = []

    def guard(tokens: int, usd: float | None) -> None:
        seen.append((tokens, usd))
        raise BudgetError("no")

    for model in ("openai/local", "openai/gpt-4o-mini"):
        with pytest.raises(BudgetError):
            brain([], model=model, guard=guard).structured("planner", "How many?", Answer)
    assert server.requests == []
    assert seen[0][1] is None and seen[0][0] > 2048
    assert seen[1][1] is not None and 0 < seen[1][1] < 0.01


def test_a_known_price_is_charged(server: OpenAiServer) -> None:
    server.replies = [GOOD]
    asked: Asked = []
    brain(asked, model="openai/gpt-4o-mini").structured("planner", "How many?", Answer)
    assert asked[0].cost.usd == pytest.approx(70 * 0.15e-6 + 30 * 0.60e-6)
