"""No cap is ever passed, whatever the server does and whenever the process dies: random faults over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.agents.brains.conftest import Asker
from tests.conformance.brain import GOOD, Answer, Shelf
from tests.support.openai_server import OpenAiServer, Reply

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.study import Study

FAULTS = [
    Reply(GOOD),
    Reply("nonsense"),
    Reply('{"name": "a", "count": ', finish="length"),
    Reply(GOOD, usage=False),
    Reply(GOOD, usage={"prompt_tokens": 700, "completion_tokens": 600, "total_tokens": 1300}),
    Reply(None, calls=[("history", '{"trial": "t1"}')]),
    Reply(None, calls=[("history", '{"trial": "t2"}'), ("none", "{")]),
    Reply(status=429, headers={"Retry-After": "1"}),
    Reply(status=500),
    Reply(status=504, billed=True),
    Reply("json_schema is not supported", status=400),
    Reply(GOOD, breaks="half"),
    Reply(breaks="before", billed=True),
    Reply(body=b"{", billed=True),
]


class Died(BaseException):
    """kill -9: nothing is written any more."""


@pytest.fixture(scope="module")
def shared() -> Iterator[OpenAiServer]:
    """One server for all examples."""
    with OpenAiServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_BASE", server.base)
        patch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        yield server


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=14),
    cap=st.integers(1, 20_000),
    dollars=st.booleans(),
    talks=st.lists(st.booleans(), min_size=1, max_size=4),
    dies_at=st.one_of(st.none(), st.integers(0, 12)),
)
def test_no_cap_is_passed(
    shared: OpenAiServer, script: list[Reply], cap: int, dollars: bool, talks: list[bool], dies_at: int | None
) -> None:
    shared.replies, shared.billed, shared.requests = list(script), [], []
    asker = Asker(Budget(llm_tokens=cap, usd=cap * 1e-6 if dollars else None))
    begun = len(asker.story.events)

    def tell(one: ev.Event) -> None:
        if dies_at is not None and len(asker.story.events) - begun >= dies_at:
            raise Died
        asker.story.tell(one)
        now = asker.study.spent() + asker.study.reserved().model_copy(update={"wall_s": 0.0})
        assert asker.budget.shortfalls(now, Cost()) == [], "what is spent and held passes a cap"

    def talk() -> None:
        brain = asker.brain(tell, model="openai/gpt-4o-mini" if dollars else "openai/stub", timeout_s=2.0)
        for tools in talks:
            try:
                if tools:
                    brain.converse("planner", "How many?", Answer, [Shelf().tool], rounds=2)
                else:
                    brain.structured("planner", "How many?", Answer)
            except (BrainError, BudgetError):
                pass

    try:
        talk()
    except Died:
        asker.story.tell(ev.SessionOpened(pid=2, host="h"))
        dies_at = None
        talk()
    spent = Study(asker.story.events).spent()
    assert sum(shared.billed) <= spent.llm_tokens <= cap, "whoever bills more than is counted has been overlooked"
    assert asker.study.reserved().llm_tokens == 0
