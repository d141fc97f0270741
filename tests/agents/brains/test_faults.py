"""Every way a server can fail, over real HTTP and through real litellm: what is asked again, what it costs, how it
ends."""

from __future__ import annotations

import pytest
from tests.agents.brains.conftest import KEY, Asker
from tests.conformance.brain import GOOD, Answer
from tests.support.openai_server import OpenAiServer, Reply

from tunewright.agents.brains.bucket import Bucket
from tunewright.domain.budget import Budget
from tunewright.domain.errors import AccessError, AnswerError, BrainError, BudgetError, ServerError

WHOLE = Reply(GOOD)


def ask(asker: Asker, **options: object) -> Answer:
    return asker.brain(**options).structured("planner", "How many?", Answer)


def held(asker: Asker) -> int:
    return asker.study.reserved().llm_tokens


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_asked_again_with_the_same_key(server: OpenAiServer, asker: Asker, status: int) -> None:
    server.replies = [Reply(status=status), Reply(status=status), WHOLE]
    assert ask(asker).count == 2
    assert len(set(server.keys())) == 1 and len(server.keys()[0]) == 32
    assert [round(wait) for wait in asker.waits] in ([1, 4], [1, 3])
    assert [call.attempt for call in asker.kept] == [1, 2, 3] and held(asker) == 0


def test_two_questions_and_two_tries_have_keys_of_their_own(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply("no"), WHOLE, WHOLE]
    brain = asker.brain()
    brain.structured("planner", "How many?", Answer)
    brain.structured("planner", "How many?", Answer)
    assert len(set(server.keys())) == 3


def test_a_call_that_a_crash_cut_off_has_the_same_key_again(server: OpenAiServer) -> None:
    for _ in range(2):
        server.replies.append(WHOLE)
        Asker().brain(nonce=lambda role: f"route-01 {role} 7").structured("planner", "How many?", Answer)
    assert len(set(server.keys())) == 1


@pytest.mark.parametrize("said", ["7", "Wed, 01 Jan 2020 00:00:00 GMT"])
def test_retry_after_is_kept_to(server: OpenAiServer, asker: Asker, said: str) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": said}), WHOLE]
    ask(asker)
    assert asker.waits == ([7.0] if said == "7" else [])


def test_a_longer_wait_than_the_bound_is_silence_and_gives_back_what_was_held(
    server: OpenAiServer, asker: Asker
) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(ServerError, match="3600 s away"):
        ask(asker)
    assert (asker.waits, asker.tokens, held(asker)) == ([], 0, 0)
    assert [one.answered for one in asker.asked] == [False] and asker.study.model_calls["planner"] == 0


def test_a_server_that_stays_busy_is_silence_after_four_attempts(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply(status=503)] * 9
    with pytest.raises(ServerError, match="did not answer"):
        ask(asker)
    assert len(server.requests) == 4 and asker.tokens == 0 == held(asker)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(breaks="before", billed=True),
        Reply(GOOD, breaks="half"),
        Reply(hang_s=1.5, content=GOOD),
        Reply(status=504, billed=True),
        Reply(body=b"{oops"),
        Reply(body=b"<html>gateway</html>", headers={"Content-Type": "text/html"}),
        Reply(body=b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"cont'),
        Reply(body=b""),
    ],
    ids=["dropped", "half", "time-out", "gateway time-out", "not json", "html", "truncated", "empty"],
)
def test_what_may_have_been_billed_counts_in_full(server: OpenAiServer, asker: Asker, reply: Reply) -> None:
    server.replies = [reply, WHOLE]
    assert ask(asker, timeout_s=1.0).count == 2
    first, second = asker.asked
    assert not first.answered and first.cost == asker.intents[0].reserved and first.cost.llm_tokens > 2048
    assert second.answered and second.cost.llm_tokens == 100
    assert sum(server.billed) <= asker.tokens == first.cost.llm_tokens + 100
    assert held(asker) == 0 and asker.study.model_calls["planner"] == 1


def test_what_never_left_this_machine_was_not_billed(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ServerError):
        ask(asker)
    assert asker.tokens == 0 == held(asker) and len(asker.kept) == 4


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "bad key"),
        (402, "pay"),
        (403, "no"),
        (404, "no such model"),
        (429, "insufficient_quota: check your plan and billing details"),
    ],
)
def test_a_refusal_is_no_silence_and_is_not_repeated(
    server: OpenAiServer, asker: Asker, status: int, said: str
) -> None:
    server.replies = [Reply(f"{said} {KEY}", status=status)] * 3
    with pytest.raises(AccessError) as caught:
        ask(asker)
    assert len(server.requests) == 1 and asker.tokens == 0 == held(asker)
    assert caught.value.hint and KEY not in str(caught.value) and KEY not in asker.kept[0].why


def test_an_account_without_money_is_told_apart_from_a_busy_server(server: OpenAiServer, asker: Asker) -> None:
    busy = "Limit: 3 a minute. To raise it, see https://platform.openai.com/account/billing"
    server.replies = [Reply(busy, status=429, headers={"Retry-After": "1"}), WHOLE]
    assert ask(asker).count == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "I cannot help with that.",
        '{"name": "a", "count": ',
        '{"name": "a"}',
        '{"name": "a", "count": "many"}',
        '["a", 2]',
        "True",
        '{"name": "\\ud800", "count": 0}',
        "```json\n{]\n```",
        "[" * 5000,
    ],
)
def test_three_bad_answers_end_it_whatever_is_bad(server: OpenAiServer, asker: Asker, content: str) -> None:
    server.replies = [Reply(content)] * 3
    with pytest.raises(AnswerError):
        ask(asker)
    assert [one.valid for one in asker.asked] == [False] * 3 and asker.tokens == 300
    assert server.forms() == ["json_schema", "json_object", "plain"]


def test_a_refusal_of_the_model_is_a_bad_answer(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply(None, refusal="I will not."), WHOLE]
    assert ask(asker).count == 2 and [one.valid for one in asker.asked] == [False, True]


def test_calls_where_an_answer_is_due_are_a_bad_answer(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply(None, calls=[("shell", '{"command": "rm -rf /"}')]), WHOLE]
    assert ask(asker).count == 2
    assert "functions cannot be called" in server.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("usage", "least", "most"),
    [
        (False, 10, 2048),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, 10, 2048),
        ({"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10}, 10, 2048),
        ({"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 7}, 100, 100),
        ({"prompt_tokens": 10**9, "completion_tokens": 0, "total_tokens": 10**9}, 10**9, 10**9),
    ],
)
def test_what_a_server_says_of_tokens_is_never_less_than_nothing(
    server: OpenAiServer, asker: Asker, usage: dict[str, int] | bool, least: int, most: int
) -> None:
    server.replies = [Reply(GOOD, usage=usage)]
    ask(asker)
    assert least <= asker.tokens <= most


def test_a_server_that_answers_slowly_is_waited_for(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply(GOOD, hang_s=0.5)]
    assert ask(asker).count == 2 and len(asker.asked) == 1


def test_limits_that_a_response_tells_pace_the_next_call(server: OpenAiServer, asker: Asker) -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    server.replies = [Reply(GOOD, headers=headers), WHOLE]
    brain = asker.brain()
    brain.structured("planner", "How many?", Answer)
    assert asker.waits == []
    brain.structured("planner", "How many?", Answer)
    assert asker.waits == [pytest.approx(1.0, abs=0.3)]


def test_a_configured_limit_that_cannot_be_waited_for_is_silence(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [WHOLE, WHOLE]
    brain = asker.brain(bucket=Bucket(requests=0.1))
    brain.structured("planner", "How many?", Answer)
    with pytest.raises(ServerError, match="rate limit"):
        brain.structured("planner", "How many?", Answer)
    assert len(server.requests) == 1 and held(asker) == 0


def test_a_budget_that_a_time_out_has_used_up_ends_the_repetitions(server: OpenAiServer) -> None:
    asker = Asker(Budget(llm_tokens=4000))
    server.replies = [Reply(breaks="before", billed=True), WHOLE]
    with pytest.raises(BudgetError):
        ask(asker)
    assert len(server.requests) == 1 and asker.tokens <= 4000


def test_a_call_is_not_begun_when_the_time_of_the_budget_is_over(server: OpenAiServer, asker: Asker) -> None:
    from tunewright.agents.brains.litellm import LitellmBrain
    from tunewright.agents.brains.sending import Patience

    brain = LitellmBrain("openai/stub", record=asker.story.tell, patience=Patience(left=lambda: 0.4))
    with pytest.raises(BudgetError, match="time"):
        brain.structured("planner", "How many?", Answer)
    assert server.requests == []


def test_an_unknown_price_fails_closed_under_a_dollar_cap(server: OpenAiServer) -> None:
    asker = Asker(Budget(usd=5.0))
    with pytest.raises(BudgetError, match="price"):
        ask(asker)
    assert server.requests == []
    server.replies = [WHOLE]
    assert ask(asker, model="openai/gpt-4o-mini").count == 2
    assert asker.intents[0].reserved.usd > asker.asked[0].cost.usd > 0


def test_a_prompt_that_is_too_long_is_neither_silence_nor_a_refused_form(server: OpenAiServer, asker: Asker) -> None:
    server.replies = [Reply("This model's maximum context length is 8192 tokens", status=400)]
    with pytest.raises(BrainError) as caught:
        ask(asker)
    assert not isinstance(caught.value, ServerError) and len(server.requests) == 1 and held(asker) == 0


def test_whatever_stops_a_wait_gives_back_what_was_held(server: OpenAiServer, asker: Asker) -> None:
    from tunewright.agents.brains.litellm import LitellmBrain
    from tunewright.agents.brains.sending import Patience

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    tell, patience = asker.story.tell, Patience(sleep=stopped)
    server.replies = [Reply(status=500)]
    with pytest.raises(KeyboardInterrupt):
        LitellmBrain("openai/stub", record=tell, intend=tell, patience=patience).structured("planner", "?", Answer)
    assert held(asker) == 0 == asker.tokens
