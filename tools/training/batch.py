"""What a stage trains on, step by step: every row encoded once, and the order in which they come.

The whole order is laid out before the first step, epochs and mix included. So each step has a full batch, and a
resumed stage goes on at its step by leaving out the rows before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.domain.recipe import Selection, Stage
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import IGNORED, Encoded, Template, template
from tunewright.tools.training.mix_policy import Mixture
from tunewright.tools.training.registry import objective
from tunewright.tools.training.sources import Sources, weights_of


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
    admitted: Sequence[int] = ()
    """Indices of the rows that the objective can learn from, before any were chosen; general data is not among them."""
    sources: Sources | None = None
    """What ``order`` is drawn from."""
    weights: tuple[float, ...] = ()
    """Of the sources, as ``order`` has them; empty for in proportion to sizes."""
    held: Sequence[int] = ()
    """Indices of rows that the mix is measured on and that are not trained on."""

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
    General data is not among them.

    Raises:
        FaultError: ``data``: there are none.
    """
    wanted = objective(stage.objective.kind).formats
    by_format = _by_format(rows, task, general=False)
    found = next((by_format[name] for name in wanted if name in by_format), None)
    if not found:
        there = ", ".join(sorted(by_format)) or "no rows at all"
        raise FaultError(
            "data", f"there are no training rows for '{stage.objective.kind}': it learns from {', '.join(wanted)}; "
            f"there are {there}", 0,
        )  # fmt: skip
    return found


def general_rows(rows: Sequence[Row], task: TaskSpec, stage: Stage) -> list[Row]:
    """The rows of general data that the stage mixes in: of any format that its objective learns from, and raw text
    where it learns from answers. None if it mixes none in.

    Raises:
        FaultError: ``data``: it should, and there are none.
    """
    if not stage.data.replay:
        return []
    method = objective(stage.objective.kind)
    wanted = {*method.formats, *(("text",) if method.family == "supervised" else ())}
    by_format = _by_format(rows, task, general=True)
    found = [row for name in sorted(by_format) if name in wanted for row in by_format[name]]
    if not found:
        there = ", ".join(sorted(by_format)) or "none"
        raise FaultError(
            "data", f"the recipe mixes general data in, and '{stage.objective.kind}' learns from "
            f"{', '.join(sorted(wanted))}; of general rows there are {there}", 0,
        )  # fmt: skip
    return found


def _by_format(rows: Sequence[Row], task: TaskSpec, *, general: bool) -> dict[str, list[Row]]:
    forms = task.formats
    apart = {source.name for source in task.sources if source.general}
    found: dict[str, list[Row]] = {}
    for row in rows:
        if (row["source"] in apart) == general:
            found.setdefault(forms.get(row["source"], task.format), []).append(row)
    return found


Select = Callable[[Sequence[Row], Sequence[Encoded], Template], Sequence[int]]
"""Gives the indices of the rows to keep."""
Weigh = Callable[[Sources, Sequence[Encoded], Template, tuple[float, ...]], Mixture]
"""Gives the weights of the sources; the recipe's are given."""


def stage_data(
    rows: Sequence[Row],
    task: TaskSpec,
    stage: Stage,
    index: int,
    seed: int,
    tokenizer: Any,
    select: Select | None = None,
    weigh: Weigh | None = None,
    general: Sequence[Row] = (),
) -> StageData:
    """Encodes the rows and lays out the order of stage number ``index``.

    Args:
        rows: that the objective learns from.
        select: by default all rows are kept.
        weigh: by default the recipe's weights are taken.
        general: rows of general data to mix in.

    Raises:
        FaultError: ``data``: there are no rows, or none that the objective can learn from; ``config``: none is kept.
        DataError: the mix gives a weight to a source without rows.
    """
    if not rows:
        raise FaultError("data", "there are no training rows", 0)
    form = template(task, tokenizer)
    every = [*rows, *general]
    encoded = [form.encode(row) for row in every]
    size = stage.optimisation.batch_size
    wanted = stage.total_steps(len(rows)) * size
    usable, left = _admitted(every, encoded, form, stage)
    admitted = [place for place in usable if place < len(rows)]
    others = tuple(usable[len(admitted) :])
    if not admitted or (general and not others):
        reasons = "; ".join(f"{count} {reason}" for reason, count in left.items())
        which = "general" if admitted else "training"
        raise FaultError("data", f"'{stage.objective.kind}' can learn from no {which} row: {reasons}", 0)
    kept = admitted
    if select is not None:
        kept = [admitted[at] for at in select([rows[i] for i in admitted], [encoded[i] for i in admitted], form)]
        if not kept:
            raise FaultError("config", f"the selection '{stage.data.selection.kind}' keeps no row", 0)
    names = _names(rows, task)
    given = weights_of(stage.data.weights, names, task)
    sources = Sources(names, every, tuple(kept), others, stage.data.replay)
    _check_weights(given, sources, stage)
    mixture = weigh(sources, encoded, form, given) if weigh is not None else Mixture(given)
    trained = sources.without(mixture.held)
    order = trained.laid_out(mixture.weights, wanted, seed, index)
    return StageData(form, encoded, order, size, every, left, admitted, trained, mixture.weights, sorted(mixture.held))


def _check_weights(given: Sequence[float], sources: Sources, stage: Stage) -> None:
    """Raises if a source has a weight and a selection has left none of its rows."""
    kind = stage.data.selection.kind
    for name, size, weight in zip(sources.names, sources.sizes, given, strict=False):
        if weight and not size and kind != Selection().kind:
            raise FaultError(
                "config", f"the selection '{kind}' keeps no row of source '{name}', which has a weight of {weight:g}: "
                "keep more, or give it no weight", 0,
            )  # fmt: skip


def _names(rows: Sequence[Row], task: TaskSpec) -> tuple[str, ...]:
    """The sources of a stage in the task's order: those of its rows' format, whether they have rows or not."""
    forms = task.formats
    own = {forms.get(row["source"], task.format) for row in rows}
    return tuple(source.name for source in task.sources if not source.general and forms[source.name] in own)


def _admitted(
    rows: Sequence[Row], encoded: Sequence[Encoded], form: Template, stage: Stage
) -> tuple[list[int], dict[str, int]]:
    """Indices of the rows that the objective can learn from, and how many it cannot for each reason."""
    method = objective(stage.objective.kind)
    left: dict[str, int] = {}
    usable = []
    for number, (row, one) in enumerate(zip(rows, encoded, strict=True)):
        reason = method.admit(row, one, form, stage.objective)
        if reason is None:
            usable.append(number)
        else:
            left[reason] = left.get(reason, 0) + 1
    return usable, left
