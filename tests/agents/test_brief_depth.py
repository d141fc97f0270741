"""Progressive depth and clients, as briefs say them."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.agents.brief.depth import ALPHA, CLIENTS, DEPTHS, read_depth
from tunewright.agents.brief.text import Text
from tunewright.domain.errors import BriefError


@pytest.mark.parametrize(
    ("words", "wishes"),
    [
        ("Use progressive depth.", {"depths": DEPTHS}),
        ("Use DevFT with 4 clients.", {"depths": DEPTHS, "clients": 4}),
        ("developmental fine-tuning", {"depths": DEPTHS}),
        ("developmental federated tuning over 5 clients", {"depths": DEPTHS, "clients": 5}),
        ("progressive depth in 3 stages", {"depths": (3,)}),
        ("a two-stage progressive depth", {"depths": (2,)}),
        ("Try progressive depth.", {"depths": (*DEPTHS, 1)}),
        ("compare DevFT in 2 stages with full depth", {"depths": (2, 1)}),
        ("progressive depth against the whole model", {"depths": (*DEPTHS, 1)}),
        ("train with and without progressive depth", {"depths": (*DEPTHS, 1)}),
        ("without progressive depth", {}),
        ("Do not use DevFT.", {}),
        ("train with 4 clients, non-IID", {"clients": 4, "alpha": ALPHA}),
        ("federated averaging over 8 clients, Dirichlet 0.3", {"clients": 8, "alpha": 0.3}),
        ("a Dirichlet partition with alpha = 0.1 over 5 clients", {"clients": 5, "alpha": 0.1}),
        ("federated learning", {"clients": CLIENTS}),
        ("no federated learning", {}),
        ("sort the messages of our 12 clients", {}),
        ("complaints from 300 clients", {}),
        ("use a deep model", {}),
    ],
)
def test_what_is_wished_for(words: str, wishes: dict[str, Any]) -> None:
    assert read_depth(Text(words), []) == wishes


def test_what_is_assumed_is_said() -> None:
    notes: list[str] = []
    read_depth(Text("federated learning"), notes)
    assert notes == [f"how many clients train is not said; {CLIENTS} are assumed"]


def test_the_words_are_claimed() -> None:
    text = Text("Use DevFT in 3 stages with 4 clients, Dirichlet 0.3.")
    read_depth(text, [])
    assert text.unused() == ()


@pytest.mark.parametrize(
    "words",
    ["progressive depth in 7 stages", "DevFT in 1 stage", "federated averaging with 5000 clients",
     "with 4 clients, Dirichlet 0"],
)  # fmt: skip
def test_what_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(BriefError, match="cannot be"):
        read_depth(Text(words), [])
