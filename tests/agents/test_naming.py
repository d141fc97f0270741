"""How a brief may name an adapter, and where an everyday word is none."""

from __future__ import annotations

import pytest

from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.naming import Naming
from tunewright.agents.brief.text import Text
from tunewright.agents.brief.wish import read_wishes

KINDS = {
    "lora": Naming(),
    "dora": Naming(("DoRA",)),
    "sdslora": Naming(("SDS-LoRA",)),
    "loraplus": Naming(("LoRA+", "LoRA plus")),
    "prefix_tuning": Naming(("prefix tuning",)),
    "matryoshka": Naming(("MatryoshkaLoRA",)),
    "miss": Naming(("MiSS",), plain_word=True),
    "road": Naming(("RoAd",), plain_word=True),
    "full": Naming(("full fine-tuning",), plain_word=True),
}


def found(brief: str) -> tuple[set[str], set[str]]:
    wishes = read_wishes(Text(brief), Menu(adapters=KINDS), [])
    return set(wishes.adapters), set(wishes.without)


@pytest.mark.parametrize(
    ("brief", "wanted"),
    [
        ("Try SDS-LoRA and DoRA.", {"sdslora", "dora"}),
        ("Compare lora, dora, sdslora, matryoshka.", {"lora", "dora", "sdslora", "matryoshka"}),
        ("Try sds lora against LoRA+.", {"sdslora", "loraplus"}),
        ("Try LoRA and LoRA plus.", {"lora", "loraplus"}),
        ("Use prefix-tuning.", {"prefix_tuning"}),
        ("Try Matryoshka LoRA only.", {"matryoshka"}),
        ("Try lora, miss and road.", {"lora", "miss", "road"}),
        ("Try miss, lora or dora.", {"miss", "lora", "dora"}),
        ("Try MiSS.", {"miss"}),
        ("Use the road adapter.", {"road"}),
        ("Try LoRA and full.", {"lora", "full"}),
        ("Full fine-tuning against LoRA.", {"lora", "full"}),
    ],
)
def test_names_are_found_however_they_are_written(brief: str, wanted: set[str]) -> None:
    assert found(brief) == (wanted, set())


@pytest.mark.parametrize(
    "brief",
    [
        "Teach the model to route road reports; do not miss any.",
        "Use the full data set of road accidents.",
        "It must miss no complaint and use a full stop.",
    ],
)
def test_everyday_words_are_no_wish(brief: str) -> None:
    assert found(brief) == (set(), set())


def test_a_name_may_be_refused() -> None:
    assert found("Try anything but no full fine-tuning and without SDS-LoRA.") == (set(), {"full", "sdslora"})
