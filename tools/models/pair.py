"""A better and a worse answer after one prompt, as training and evaluation both see them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.domain.task import TaskSpec
from tunewright.tools.models.prompt import Template


@dataclass(frozen=True)
class Pair:
    """A prompt with two answers, as token ids; the answers end in the end token unless they had to be cut."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def pair(row: Mapping[str, Any], form: Template, seed: int) -> Pair:
    """The row with the worse answer that it has or is given. Both answers follow the same prompt."""
    better = form.encode(row)
    worse = form.encode({**row, "target": worse_answer(row, form.task, seed)})
    # The longer answer may have cost the prompt its beginning.
    return Pair(min(better.prompt, worse.prompt, key=len), better.completion, worse.completion)


def worse_answer(row: Mapping[str, Any], task: TaskSpec, seed: int) -> str:
    """The row's rejected answer. Where its answer is a label, another label, drawn by a hash of seed and row (ours)."""
    if "rejected" in row:
        return str(row["rejected"])
    others = [label for label in task.labels if label != row["target"]]
    drawn = hashlib.sha256(f"{seed} {row['id']}".encode()).digest()
    return others[int.from_bytes(drawn[:8], "big") % len(others)]
