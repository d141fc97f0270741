"""What a server can do, found out by asking it: servers that enforce a schema, ignore it, refuse it, or think long."""

from __future__ import annotations

from typing import Any

import pytest
from tests.agents.brains.conftest import Asker
from tests.support.openai_server import OpenAiServer, Reply, Request

from tunewright.agents.brains.probe import probe
from tunewright.domain.budget import Budget
from tunewright.domain.errors import AccessError, BudgetError, ServerError

FITS = Reply('{"hue": "red", "size": 3}')
FREE = Reply('{"color": "red", "number": 3}')
CALL = Reply(None, calls=[("note", '{"word": "ready"}')])
NO_TOOLS = Reply("tools are not supported", status=400)


def form(request: Request) -> str:
    return "tools" if "tools" in request else str(request.get("response_format", {}).get("type", "plain"))


def answers(**by_form: Reply) -> Any:
    return lambda request: by_form[form(request)]


def found(asker: Asker, monkeypatch: pytest.MonkeyPatch, script: Any) -> tuple[str, bool, int]:
    with OpenAiServer(script) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        event = probe(asker.brain())
        return event.form, event.tools, len(server.requests)


REFUSED = Reply("response_format is not supported", status=400)
LONG = Reply("", finish="length")


@pytest.mark.parametrize(
    ("schema", "loose", "tools", "expected"),
    [
        (FITS, FITS, CALL, ("schema", True, 2)),
        (FREE, FITS, CALL, ("object", True, 3)),
        (REFUSED, FITS, NO_TOOLS, ("object", False, 3)),
        (REFUSED, REFUSED, NO_TOOLS, ("plain", False, 3)),
        (Reply("red, 3"), Reply("red, 3"), Reply("I note: ready"), ("plain", False, 3)),
        (LONG, FITS, LONG, ("schema", True, 2)),
        (FITS, FITS, Reply(None, calls=[("note", "{")]), ("schema", False, 2)),
        (FITS, FITS, Reply(None, calls=[("shell", '{"word": "ready"}')]), ("schema", False, 2)),
        (FITS, FITS, Reply("tools param requires --jinja flag", status=500), ("schema", False, 3)),
        (FITS, FITS, Reply("No endpoints found that support tool use", status=404), ("schema", False, 2)),
        (FITS, FITS, Reply("not implemented", status=501), ("schema", False, 2)),
    ],
)
def test_the_strongest_form_that_holds(
    asker: Asker,
    monkeypatch: pytest.MonkeyPatch,
    schema: Reply,
    loose: Reply,
    tools: Reply,
    expected: tuple[str, bool, int],
) -> None:
    script = answers(json_schema=schema, json_object=loose, tools=tools)
    assert found(asker, monkeypatch, script) == expected


def test_it_is_cheap_and_paid_for(asker: Asker, server: OpenAiServer) -> None:
    server.replies = [FITS, CALL]
    probe(asker.brain())
    assert [one.role for one in asker.asked] == ["probe", "probe"] and asker.tokens == 200
    assert all(one.reserved.llm_tokens < 500 for one in asker.intents)
    assert all(request["max_tokens"] <= 200 for request in server.requests)


def test_what_is_found_is_kept_to(asker: Asker, server: OpenAiServer) -> None:
    from tests.conformance.brain import GOOD, Answer, Shelf

    server.replies = [REFUSED, FITS, NO_TOOLS, *[Reply(GOOD)] * 2]
    brain = asker.brain()
    probe(brain)
    brain.structured("planner", "How many?", Answer)
    brain.converse("planner", "How many?", Answer, [Shelf().tool])
    assert server.forms()[3:] == ["json_object", "json_object"]


def test_a_server_that_is_not_there_or_lets_us_not_in_is_told(asker: Asker, server: OpenAiServer) -> None:
    server.replies = [Reply("bad key", status=401)]
    with pytest.raises(AccessError):
        probe(asker.brain())
    server.replies = [Reply(status=503)] * 4
    with pytest.raises(ServerError):
        probe(asker.brain())


def test_a_budget_that_does_not_cover_it(server: OpenAiServer) -> None:
    with pytest.raises(BudgetError):
        probe(Asker(Budget(llm_tokens=50)).brain())
    assert server.requests == []
