"""The drawing of the graph in the documentation is that of the code."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from tunewright.agents.brains.choice import roles
from tunewright.agents.drawing import edges, page
from tunewright.agents.routing import WHEN, Step

PAGE = Path(__file__).parents[2] / "docs" / "agents" / "graph.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_every_step_says_when_it_is_due() -> None:
    assert set(WHEN) == set(get_args(Step))


def test_every_node_hands_back_to_the_routing() -> None:
    steps = set(get_args(Step)) - {"end"}
    assert edges() == {(source, to) for source in {*steps, "__start__"} for to in {*steps, "__end__"}}


def test_every_role_that_a_model_can_have_is_in_the_drawing() -> None:
    drawing = page().partition("```mermaid")[2].partition("```")[0]
    assert [role for role in roles() if role not in drawing] == []
