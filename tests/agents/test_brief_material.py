"""Parts of the data, and data mixed in, as briefs say it."""

from __future__ import annotations

import pytest

from tunewright.agents.brief.material import read_named, read_replay, read_share
from tunewright.agents.brief.naming import Naming
from tunewright.agents.brief.text import Text
from tunewright.domain.errors import BriefError


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ("keep half of the data", 0.5),
        ("Keep 30 % of the rows.", 0.3),
        ("train on a third of my data", 1 / 3),
        ("use only the best 25% of the training data", 0.25),
        ("select two thirds of the examples", 2 / 3),
        ("keep half the data", 0.5),
        ("use data.jsonl", None),
        ("keep the adapter under 5 MB", None),
        ("train for half an hour", None),
    ],
)
def test_a_share_of_the_rows(words: str, share: float | None) -> None:
    text = Text(words)
    assert read_share(text) == (pytest.approx(share) if share is not None else None)
    assert ("data" in text.rest or "rows" in text.rest or "examples" in text.rest) == (words == "use data.jsonl")


@pytest.mark.parametrize("words", ["keep 0 % of the rows", "keep 150% of the data"])
def test_no_part_is_refused(words: str) -> None:
    with pytest.raises(BriefError, match="no part"):
        read_share(Text(words))


def test_replay() -> None:
    assert read_replay(Text("mix in 10 % general data")) == pytest.approx(0.1)
    assert read_replay(Text("10 % of the rows")) == 0
    with pytest.raises(BriefError, match="no room"):
        read_replay(Text("100 % general data"))


def test_names_are_found_in_the_order_of_the_text() -> None:
    shelf = {"ifd": Naming(("IFD",)), "less": Naming(("LESS",), plain_word=True), "dsir": Naming(("DSIR",))}
    text = Text("Select rows by DSIR and IFD. Use less memory.")
    assert read_named(text, shelf) == ("dsir", "ifd")
    assert "DSIR" not in text.rest
