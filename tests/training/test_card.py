"""Cards say what the files say, and the documentation is what ``make docs`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.tools.training.card import adapter_card, page, write_pages
from tunewright.tools.training.registry import adapters

DOCS = Path(__file__).parents[2] / "docs" / "methods"


@pytest.mark.parametrize("kind", adapters())
def test_a_card_is_whole_and_its_page_is_in_the_docs(kind: str) -> None:
    card = adapter_card(kind)
    assert json.loads(json.dumps(card))["kind"] == kind and card["about"] and card["paper"] and card["lr"]["source"]
    assert all(setting["about"] for setting in card["settings"]), "a setting without a word on what it means"
    assert (DOCS / f"{kind}.md").read_text(encoding="utf-8") == page(kind), "run: make docs"


def test_the_docs_list_every_method_and_no_other() -> None:
    assert {file.stem for file in DOCS.glob("*.md")} == {*adapters(), "README"}


def test_the_lora_card_knows_its_numbers() -> None:
    card = adapter_card("lora")
    assert card["parameters"]["count"] == 8 * 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    assert {"name": "rank", "default": 8, "about": "Rank r of the update."} in card["settings"]
    assert next(one for one in card["search"] if one["name"] == "rank")["values"] == "4, 8, 16, 32"


def test_pages_of_methods_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("# gone")
    written = write_pages(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)
