"""A brief that wants adapters only: nothing that trains the model itself is searched, and a size is still read."""

from __future__ import annotations

import pytest

from tunewright.agents.brief import spoken_goals, spoken_wishes
from tunewright.agents.known import menu
from tunewright.domain.task import Brief, Wishes

IN_PLACE = ("full", "last_k")


def wishes(said: str, notes: list[str] | None = None) -> Wishes:
    brief = Brief(text=f"Teach tiny to label rows.jsonl. Maximise accuracy. {said} At most 10 minutes.")
    return spoken_wishes(brief, menu(), notes if notes is not None else [])


@pytest.mark.parametrize(
    "said",
    [
        "Adapters only.",
        "Train adapters only.",
        "Only train an adapter.",
        "Use small adapters\nonly under 5 MB.",
        "Parameter-efficient methods only.",
        "Do not touch the base weights.",
        "The model's weights stay frozen.",
    ],
)
def test_adapters_only_rules_out_what_trains_the_model_itself(said: str) -> None:
    notes: list[str] = []
    found = wishes(said, notes)
    assert found.without == IN_PLACE and found.adapters == ()
    assert notes == ["adapters only: full, last_k would train the model's own weights"]


@pytest.mark.parametrize(
    "said", ["Only lora adapters.", "Compare lora and full fine-tuning.", "Keep the adapter under 5 MB only.", ""]
)
def test_what_does_not_say_so_does_not(said: str) -> None:
    assert not set(IN_PLACE) & set(wishes(said).without)


def test_a_size_in_the_same_words_is_still_read() -> None:
    _, (limit,) = spoken_goals(Brief(text="Teach tiny with rows.jsonl. Use adapters only, and an adapter under 5 MB."))
    assert (limit.quantity, limit.value) == ("adapter_bytes", 5e6)
    assert wishes("Adapters only, no dora.").without == ("dora", *IN_PLACE)
