"""Cards say what the files say, and the documentation is what ``make docs`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.tools.training.card import SHELVES, card, page, pages, write_pages
from tunewright.tools.training.registry import Shelf, adapters, kinds

DOCS = Path(__file__).parents[2] / "docs" / "methods"
EVERY = [pytest.param(shelf, kind, id=f"{shelf}-{kind}") for shelf in SHELVES for kind in kinds(shelf)]


@pytest.mark.parametrize(("shelf", "kind"), EVERY)
def test_a_card_is_whole_and_its_page_is_in_the_docs(shelf: Shelf, kind: str) -> None:
    made = card(shelf, kind)
    assert json.loads(json.dumps(made, allow_nan=False))["kind"] == kind
    assert made["about"] and made["summary"] and made["source"]
    assert all(setting["about"] for setting in made["settings"]), "a setting without a word on what it means"
    assert all(one["values"] and one["default"] is not None for one in made["search"])
    assert (DOCS / shelf / f"{kind}.md").read_text(encoding="utf-8") == page(shelf, kind), "run: make docs"


def test_the_docs_list_every_method_and_no_other() -> None:
    assert {str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md")} == set(pages()), "run: make docs"
    for name in ("README.md", *(f"{shelf}/README.md" for shelf in SHELVES)):
        assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


def test_the_lists_lead_to_pages() -> None:
    made = pages()
    for shelf in SHELVES:
        assert f"({shelf}/README.md)" in made["README.md"]
        assert all(f"[{kind}]({kind}.md)" in made[f"{shelf}/README.md"] for kind in kinds(shelf))


def test_the_lora_card_knows_its_numbers() -> None:
    made = card("adapters", "lora")
    assert made["parameters"]["count"] == 8 * 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    assert made["source"] == "arXiv 2106.09685" and made["lr"]["source"] and "placements" in made
    assert {"name": "rank", "default": 8, "about": "Rank r of the update."} in made["settings"]
    assert next(one for one in made["search"] if one["name"] == "rank")["values"] == "4, 8, 16, 32"


def test_cards_of_other_shelves_have_their_own_facts() -> None:
    sft, length = card("objectives", "sft"), card("rewards", "length")
    assert sft["family"] == "supervised" and "label" in sft["formats"] and sft["search"] and "placements" not in sft
    assert length["span"] == [-1.0, 0.0] and length["apart"] is False and length["search"] == []
    assert next(one for one in length["settings"] if one["name"] == "limit")["default"] is None


def test_pages_of_methods_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "gone.md").write_text("# gone")
    (tmp_path / "adapters" / "gone.md").write_text("# gone")
    written = write_pages(tmp_path)
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted(written)
    assert len(written) > len(adapters())


def test_a_method_needs_little_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "small-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tunewright.selectors]\nsmall = small_selector:METHOD\n")
    (tmp_path / "small_selector.py").write_text(
        '"""Takes the small ones. Nobody, arXiv 0000.00000."""\n'
        "from tunewright.tools.training.method import MethodConfig\n"
        "class SmallConfig(MethodConfig):\n"
        "    most: tuple[int, ...] = (3, 4)\n"
        '    """How small | is small."""\n'
        "class Small:\n"
        '    kind, summary, paper, Config = "small", "the small ones", "arXiv 0000.00000", SmallConfig\n'
        "METHOD = Small()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = card("selectors", "small")
    assert made["source"] == "arXiv 0000.00000" and made["search"] == [] and made["names"] == []
    assert made["settings"] == [{"name": "most", "default": [3, 4], "about": "How small | is small."}]
    text = page("selectors", "small")
    assert "| `most` | [3, 4] | How small \\| is small. |" in text and "## Searched" not in text
