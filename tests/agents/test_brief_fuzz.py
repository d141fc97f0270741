"""No words at all make the reader fail but by its own errors, or hang."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from tests.agents.briefs import START, read

from tunewright.domain.errors import UsageError

_PIECES = (
    "teach tiny to label rows.jsonl ( field label ) . , ; - # * | ` \" ' $ 5 1,000 1,5 half a an hour and minutes "
    "30 trials twelve at most no more than rank 16 lora dora full fine-tuning not only maximise accuracy f1 loss "
    "model : = dataset hub: a/b ./x ~/y .jsonl a.csv 3 MB adapter under tokens 200k GPU-hours gpu 1h30 1:30 h budget "
    "of zero -5 \u00bd \u2014 \u00e9 \u4e2d\u6587 1e5 % / -> text topic question each per"
)
PIECES = [*_PIECES.split(" "), "\n", "\n\n", "\u200b", "\0"]


@pytest.mark.parametrize("seed", range(4))
def test_no_words_make_the_reader_fail_but_by_its_own_errors(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        words = " ".join(rng.choice(PIECES) for _ in range(rng.randint(1, 40)))
        try:
            reading = read((START if rng.random() < 0.5 else "") + words + " 3 trials")
        except UsageError as error:
            assert error.message and error.hint
        else:
            assert any(cap is not None for cap in reading.budget.model_dump().values())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["word ", "1,", "a, ", "no ", "- x\n", "column ", "12 of 5 and "])
def test_a_long_brief_does_not_hang_the_reader(folder: Path, piece: str) -> None:
    with contextlib.suppress(UsageError):
        read(START + piece * (20_000 // len(piece)) + " At most 3 trials.")
