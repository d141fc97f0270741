"""Whether a job's numbers are its items': the host counts again what a job says of itself.

A job runs code of methods that may come from other packages. What it reports counts only if there is a scored item for
each row of the split, in order, each with that row's target, and if the metric over them is what was reported. That
predictions are the model's own is beyond this: it is what the sealed test is for, which another job scores from the
saved weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tunewright.agents.judging import read_items
from tunewright.domain.errors import DataError
from tunewright.domain.job import EvaluationSpec, TrialSpec
from tunewright.domain.outcome import Item, JobResult
from tunewright.domain.protocols import Scorer
from tunewright.domain.study import Study

_EXACT = ("labels", "loss", "preference")
"""Metrics whose items the host scores again: their scorers read a short text and run nothing."""
_SAME = {"rel_tol": 1e-6, "abs_tol": 1e-9}


def forged(study: Study, folder: Path, spec: TrialSpec | EvaluationSpec, result: JobResult) -> str:
    """Why what a finished job reports cannot be taken for measured; nothing if it holds.

    A preflight is not looked at, as nothing is made of its score; nor is a replayed job, which runs no code.

    Args:
        folder: the study's; what is not on its disk is not compared.
    """
    preflight = isinstance(spec, TrialSpec) and spec.preflight_steps is not None
    if result.status != "done" or preflight or spec.sandbox == "replay" or study.task is None:
        return ""
    from tunewright.tools.evaluation.registry import scorer

    said, found = result.measurement, scorer(study.task.metric.name)
    if said is None:
        return "it reports no score"
    try:
        items = read_items(folder, spec.id)
    except DataError:
        return "it reports a score and left no scored items that can be read"
    name = spec.split if isinstance(spec, EvaluationSpec) else "val"
    path = folder / ("sealed" if name == "test" else "data") / f"{name}.jsonl"
    approved = getattr(study.data, name).digest if study.data is not None else ""
    if path.is_file() and path.stat().st_size:
        rows = _rows(path, path.stat().st_mtime_ns, path.stat().st_ctime_ns)
        wrong = _strange(items, rows.rows, found) if rows.digest == approved else f"{path.name} is not as it was frozen"
        if wrong:
            return wrong
    value = found.aggregate(items) if items else math.nan
    if said.rows != len(items) or not math.isclose(value, said.value, **_SAME):
        return f"it reports {said.value:.6g} over {said.rows} rows; its {len(items)} items come to {value:.6g}"
    return ""


def _strange(items: Sequence[Item], rows: Sequence[Mapping[str, Any]], scorer: Scorer) -> str:
    """The first item that is not its row's, or has a score that is not its own."""
    for number, (item, row) in enumerate(zip_longest(items, rows)):
        if item is None or row is None:
            return f"it scored {len(items)} rows of {len(rows)}"
        if (item.id, item.target) != (row["id"], row["target"]):
            return f"item {number} is not that of row {number}: its id or target differs"
        if not math.isfinite(item.score):
            return f"item {number} has no finite score"
        if scorer.needs in _EXACT and not math.isclose(scorer.score(item.prediction, row), item.score, **_SAME):
            return f"item {number} has a score that its prediction does not earn"
    return ""


@dataclass(frozen=True)
class _Rows:
    digest: str
    rows: tuple[Mapping[str, Any], ...]


@lru_cache(maxsize=4)
def _rows(path: Path, *changed: int) -> _Rows:
    """The rows of a split as they are now; read again when the file has changed."""
    from tunewright.tools.data.rows import load_rows

    try:
        return _Rows(hashlib.sha256(path.read_bytes()).hexdigest(), tuple(load_rows(path)))
    except (DataError, OSError):
        return _Rows("", ())
