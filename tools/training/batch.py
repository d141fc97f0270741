"""What a stage trains on, step by step: every row encoded once, and the order in which they come.

The whole order is laid out before the first step, epochs and mix included. So each step has a full batch, and a
resumed stage goes on at its step by leaving out the rows before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.domain.recipe import Stage
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.data.mix import mix
from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import IGNORED, Encoded, Template, template
from tunewright.tools.training.registry import objective


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
    left: Mapping[str, int] = field(default_factory=dict)
    """Why rows are not trained on -> how many."""

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
        """From ``first_step`` on, what TRL goes through: the index of a row as ``place``."""
        from datasets import Dataset

        return Dataset.from_dict({"place": self.order[first_step * self.batch_size :]})


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


def stage_rows(rows: Sequence[Row], task: TaskSpec, stage: Stage) -> list[Row]:
    """The training rows that the stage's objective learns from: those of the first of its formats that there are.

    Raises:
        FaultError: ``data``: there are none.
    """
    wanted = objective(stage.objective.kind).formats
    by_format: dict[str, list[Row]] = {}
    forms = {source.name: source.format or task.format for source in task.sources}
    for row in rows:
        by_format.setdefault(forms.get(row["source"], task.format), []).append(row)
    found = next((by_format[name] for name in wanted if name in by_format), None)
    if not found:
        there = ", ".join(sorted(by_format)) or "no rows at all"
        raise FaultError(
            "data", f"there are no training rows for '{stage.objective.kind}': it learns from {', '.join(wanted)}; "
            f"there are {there}", 0,
        )  # fmt: skip
    return found


def stage_data(
    rows: Sequence[Row],
    task: TaskSpec,
    stage: Stage,
    index: int,
    seed: int,
    tokenizer: Any,
    select: Callable[[Sequence[Row], Sequence[Encoded], Template], Sequence[int]] | None = None,
) -> StageData:
    """Encodes the rows and lays out the order of stage number ``index``.

    Args:
        rows: that the objective learns from.
        select: gives the indices of those to keep; by default all are.

    Raises:
        FaultError: ``data``: there are no rows, or none that the objective can learn from.
        DataError: the mix gives a weight to a source without rows.
    """
    if not rows:
        raise FaultError("data", "there are no training rows", 0)
    form = template(task, tokenizer)
    encoded = [form.encode(row) for row in rows]
    size = stage.optimisation.batch_size
    wanted = stage.total_steps(len(rows)) * size
    usable, left = _admitted(rows, encoded, form, stage)
    if select is not None:
        chosen = select([rows[place] for place in usable], [encoded[place] for place in usable], form)
        usable = [usable[place] for place in chosen]
        if not usable:
            raise FaultError("config", f"the selection '{stage.data.selection.kind}' keeps no row", 0)
    place = {rows[number]["id"]: number for number in usable}
    present = {rows[number]["source"] for number in usable}
    names = [source.name for source in task.sources if source.name in present or len(task.sources) == 1]
    order: list[int] = []
    epoch = 0
    while len(order) < wanted:
        kept = [rows[number] for number in usable]
        chosen_rows = mix(kept, names, stage.data.weights, seed=_seed(seed, index, epoch))
        order += [place[row["id"]] for row in chosen_rows]
        epoch += 1
    return StageData(form, encoded, order[:wanted], size, rows, left)


def _admitted(
    rows: Sequence[Row], encoded: Sequence[Encoded], form: Template, stage: Stage
) -> tuple[list[int], dict[str, int]]:
    """Indices of the rows that the objective can learn from, and how many it cannot for each reason.

    Raises:
        FaultError: ``data``: none is left.
    """
    method = objective(stage.objective.kind)
    left: dict[str, int] = {}
    usable = []
    for number, (row, one) in enumerate(zip(rows, encoded, strict=True)):
        reason = method.admit(row, one, form, stage.objective)
        if reason is None:
            usable.append(number)
        else:
            left[reason] = left.get(reason, 0) + 1
    if not usable:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left.items())
        raise FaultError("data", f"'{method.kind}' can learn from no training row: {reasons}", 0)
    return usable, left


def _seed(*parts: int) -> int:
    """A seed of its own for each stage and epoch, without two recipes' seeds meeting by addition."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")
