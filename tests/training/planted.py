"""Rows of sources of which one is noise, or hides what is not to be trained on."""

from __future__ import annotations

import random
from typing import Any

LETTERS = "".join(chr(code) for code in range(33, 127))
WORDS = {"sky": ("blue", "cloud", "rain"), "sea": ("wave", "salt", "fish"), "sun": ("warm", "gold", "noon")}
COMPLETION = {"format": "completion", "labels": (), "metric": {"name": "exact_match"}, "max_new_tokens": 6}
"""What a job's task says of them."""


def row(number: int, source: str, text: str, target: str) -> dict[str, Any]:
    return {"id": f"{number:016x}", "source": source, "input": text, "target": target, "meta": {}}


def mixed(clean: int = 24, noise: int = 24, *, sources: tuple[str, ...] = ("one", "two")) -> list[dict[str, Any]]:
    """``clean`` rows of each source, whose answers follow from their words, and ``noise`` of random characters."""
    chance, rows = random.Random(5), []
    for source in sources:
        for number in range(clean):
            label = sorted(WORDS)[number % 3]
            rows.append(row(len(rows), source, f"{source} {WORDS[label][number // 3 % 3]} {number}", label))
    for number in range(noise):
        target = "".join(chance.choices(LETTERS, k=4))
        rows.append(row(len(rows), "noise", f"noise {number}", target))
    return rows
