"""What a stage trains on, step by step: every row encoded once, and the order in which they come.

The whole order is laid out before the first step, epochs and mix included. So each step has a full batch, and a
resumed stage goes on at its step by leaving out the rows before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.domain.recipe import Stage
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.data.mix import mix
from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import IGNORED, Encoded, Template, template


@dataclass(frozen=True)
class StageData:
    """The rows of one stage."""

    form: Template
    encoded: list[Encoded]
    """Each row once."""
    order: list[int]
    """Indices into ``encoded``, one batch after the other; its length is steps times batch size."""
    batch_size: int
    rows: Sequence[Row]

    @property
    def steps(self) -> int:
        return len(self.order) // self.batch_size

    @property
    def first_pass(self) -> int:
        """Rows from the first until every row that is trained on has come once."""
        first = {index: place for place, index in reversed(list(enumerate(self.order)))}
        return 1 + max(first.values())

    @property
    def cut(self) -> int:
        """Rows that did not fit and lost the beginning of their input."""
        return sum(one.cut for one in self.encoded)

    def batches(self, count: int, device: str) -> list[Mapping[str, Any]]:
        """The first ``count`` rows in the order of training, padded on the right, in batches of the stage's size.

        Args:
            device: as a job tells it: ``cpu``, or ``cuda: NAME``.
        """
        where = device.partition(":")[0]
        chosen = [self.encoded[index] for index in self.order[:count]]
        made: list[Mapping[str, Any]] = []
        for start in range(0, len(chosen), self.batch_size):
            part = chosen[start : start + self.batch_size]
            made.append(padded([(one.input_ids, one.labels) for one in part], where, filler=self.form.end))
        return made

    def dataset(self, first_step: int) -> Any:
        """The rows from ``first_step`` on, as TRL wants them: ``input_ids`` and ``labels``."""
        from datasets import Dataset

        columns = {
            "input_ids": [one.input_ids for one in self.encoded],
            "labels": [one.labels for one in self.encoded],
        }
        rest = self.order[first_step * self.batch_size :]
        return Dataset.from_dict(columns).select(rest, keep_in_memory=True)


def padded(rows: Sequence[tuple[Sequence[int], Sequence[int]]], device: Any, *, filler: int = 0) -> dict[str, Any]:
    """One batch padded on the right: ``input_ids``, ``attention_mask`` and ``labels``, each (rows, tokens).

    Args:
        rows: ids and labels of each, equally long.
        filler: the id that stands where the mask is 0.
    """
    import torch

    width = max(len(ids) for ids, _ in rows)
    columns = {
        "input_ids": [[*ids, *[filler] * (width - len(ids))] for ids, _ in rows],
        "attention_mask": [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows],
        "labels": [[*labels, *[IGNORED] * (width - len(labels))] for _, labels in rows],
    }
    return {name: torch.tensor(column, device=device) for name, column in columns.items()}


def stage_data(rows: Sequence[Row], task: TaskSpec, stage: Stage, index: int, seed: int, tokenizer: Any) -> StageData:
    """Encodes the rows and lays out the order of stage number ``index``.

    Raises:
        FaultError: ``data``: there are no rows, or no row keeps a token to learn from.
        DataError: the mix gives a weight to a source without rows.
    """
    if not rows:
        raise FaultError("data", "there are no training rows", 0)
    form = template(task, tokenizer)
    encoded = [form.encode(row) for row in rows]
    if not any(one.completion for one in encoded):
        raise FaultError("data", f"no training row keeps a token to learn from within {form.limit} tokens", 0)
    size = stage.optimisation.batch_size
    wanted = stage.optimisation.total_steps(len(rows)) * size
    place = {row["id"]: number for number, row in enumerate(rows)}
    names = [source.name for source in task.sources]
    order: list[int] = []
    epoch = 0
    while len(order) < wanted:
        chosen = mix(rows, names, stage.data.weights, seed=_seed(seed, index, epoch))
        order += [place[row["id"]] for row in chosen]
        epoch += 1
    return StageData(form, encoded, order[:wanted], size, rows)


def _seed(*parts: int) -> int:
    """A seed of its own for each stage and epoch, without two recipes' seeds meeting by addition."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")
