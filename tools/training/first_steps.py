"""The first steps of a training on its longest rows, and a measurement of the longest rows there are: what they take of
memory is about the most that the whole training takes. Nothing that they learn is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from tunewright.domain.outcome import JobResult
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.progress import Progress

_MEASURED = 16
"""Rows of validation that are scored."""


def longest_first(data: StageData, steps: int) -> StageData:
    """The stage's data with its longest rows in the first so many steps."""
    longest = sorted(dict.fromkeys(data.order), key=lambda place: len(data.encoded[place].input_ids), reverse=True)
    count = min(steps * data.batch_size, len(data.order))
    return replace(data, order=[*islice(cycle(longest[:count]), count), *data.order[count:]])


def weighed(progress: Progress, model: Any) -> JobResult:
    """What the steps took, once some long rows are measured too. Without a score: that of so few rows means nothing."""
    rows = sorted(progress.val, key=_characters, reverse=True)[:_MEASURED]
    measure(
        model,
        progress.tokenizer,
        rows,
        progress.spec.task,
        step=progress.counters.step,
        precision=progress.precision,
        progress=progress.stop.check,
    )
    for name in ("adapter", "checkpoint"):
        shutil.rmtree(progress.folder / name, ignore_errors=True)
    return progress.result("done")


def _characters(row: Row) -> int:
    return len(row["input"]) + len(row["target"])


def limited(totals: Sequence[int], most: int | None) -> list[int]:
    """Steps of each stage, at most ``most``."""
    return [total if most is None else min(total, most) for total in totals]
