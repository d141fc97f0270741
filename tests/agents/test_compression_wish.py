"""A brief that wants a small adapter and names no number has compression searched."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.briefs import START, facts, read

from tunewright.agents.brief.compression import read_compression
from tunewright.agents.brief.text import Text


@pytest.mark.parametrize(
    "said",
    [
        "Compress the adapter.",
        "Compress it afterwards.",
        "Keep the adapter small.",
        "Keep the adapter as small as possible.",
        "The result should be as small as possible!",
        "I want the smallest adapter that works.",
        "Train LoRA with compression.",
        "Try compression too.",
        "The adapter has to be compact.",
        "The adapter should be compressed.",
        "Maximise accuracy and keep the adapters tiny.",
        "Use as small an adapter as possible.",
        "Do not use DoRA; compress the adapter.",
    ],
)
def test_it_is_searched(said: str) -> None:
    text = Text(f"Teach tiny to label rows.jsonl. {said}")
    assert read_compression(text)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Do not compress the adapter.",
        "No adapter compression.",
        "Train without compression.",
        "Teach it to compress sentences.",
        "Label small adapters and large chargers.",
        "Keep the loss as small as possible.",
        "Keep the adapter under 5 MB.",
        "The adapter must be smaller than 5 MB.",
        "Use a small learning rate.",
    ],
)
def test_it_is_not_searched(said: str) -> None:
    assert not read_compression(Text(f"Teach tiny to label rows.jsonl. {said}"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "up 1", "label": "a"}\n{"text": "down 2", "label": "b"}\n' * 20)
    return tmp_path


def test_a_whole_brief(folder: Path) -> None:
    reading = read(START + "Only LoRA; keep the adapter as small as possible. At most 3 trials.")
    assert reading.wishes.compress and reading.wishes.adapters == ("lora",)
    assert facts(reading)["trials"] == 3 and reading.unused == ()
    assert "only lora; compression after training" in [line.text for line in reading.understood]
