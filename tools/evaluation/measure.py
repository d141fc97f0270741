"""Measures a model on frozen rows: the one way a score comes about, at rungs, at the end and on the sealed test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import Item, Measurement
from tunewright.domain.paired import looks
from tunewright.domain.protocols import Scorer
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.evaluation.inference import Progress, inference
from tunewright.tools.evaluation.registry import scorer as find_scorer
from tunewright.tools.models.prompt import Template, template

Rows = Sequence[Mapping[str, Any]]
Tell = Callable[[Sequence[Item]], None]
"""Is told the items that were scored since it was told last, while there are more to come."""
_DIVERGED = "the model's outputs are not finite numbers: the training diverged, try a lower learning rate"


class _Options(TypedDict):
    """How the rows are gone through."""

    batch_tokens: int
    progress: Progress | None


def measure(
    model: Any,
    tokenizer: Any,
    rows: Rows,
    task: TaskSpec,
    *,
    step: int,
    precision: str = "fp32",
    batch_tokens: int = 4096,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> tuple[Measurement, list[Item]]:
    """The task's metric on ``rows``, with its 95 % interval, and every row's score in the order of ``rows``.

    Rows are scored a part at a time (``domain.paired.looks``), so that who is told of the parts can end it between two.
    The model is left as it was found: modes, gradients and the state of every random generator.

    Args:
        model: a transformers causal language model, in PEFT's wrapper or without.
        rows: frozen rows (``tools.data.rows``).
        step: the optimiser step the model is at, for the record.
        precision: ``bf16`` runs the layers under autocast, ``fp32`` does not.
        batch_tokens: tokens of a batch, padding included; a bound on memory.
        progress: is told rows done and rows in all after each batch.
        tell: is told each part but the last.

    Raises:
        UsageError: the metric does not fit the task, or needs a package that is not there.
        FaultError: ``data`` if there are no rows, ``config`` if the model's outputs are not numbers.
    """
    if not rows:
        raise FaultError("data", "there are no rows to score: the split is empty", step)
    began = time.perf_counter()
    scorer = find_scorer(task.metric.name)
    check(scorer, task, rows)
    form = template(task, tokenizer)
    items: list[Item] = []
    with inference(model, precision):
        for end in _ends(scorer, task, rows):
            part = rows[len(items) : end]
            options: _Options = {
                "batch_tokens": batch_tokens,
                "progress": _of_all(progress, len(items), len(part), len(rows)),
            }
            predictions = _predictions(scorer, model, part, form, step, options)
            items += [
                Item(id=row["id"], score=scorer.score(said, row), prediction=said, target=row["target"])
                for row, said in zip(part, predictions, strict=True)
            ]
            if tell is not None and end < len(rows):
                tell(items[-len(part) :])
    return summarise(items, scorer, step=step, seconds=time.perf_counter() - began), items


def _ends(scorer: Scorer, task: TaskSpec, rows: Rows) -> tuple[int, ...]:
    """Where the parts end that are scored one after the other. Judged answers are ranked among all."""
    ranked = scorer.needs == "preference" and task.format == "judged"
    return (len(rows),) if ranked else looks(len(rows))


def _of_all(progress: Progress | None, before: int, rows: int, of: int) -> Progress | None:
    """``progress`` for a part of the rows, in whatever is counted: a pair of answers is two."""
    if progress is None:
        return None
    return lambda done, part: progress(before * part // rows + done, of * part // rows)


def _predictions(scorer: Scorer, model: Any, rows: Rows, form: Template, step: int, options: _Options) -> list[str]:
    match scorer.needs:
        case "labels":
            return _labels(model, rows, form, step, options)
        case "loss":
            return _losses(model, rows, form, step, options)
        case "generation":
            return _answers(model, rows, form, options)
        case "preference":
            return _margins(model, rows, form, step, options)


def summarise(items: Sequence[Item], scorer: Scorer, *, step: int, seconds: float) -> Measurement:
    """The metric over ``items`` and its interval."""
    from tunewright.tools.evaluation.statistics import metric_interval

    low, high = metric_interval(items, scorer)
    value = scorer.aggregate(items)
    return Measurement(value=value, rows=len(items), step=step, seconds=seconds, low=low, high=high)


def check(scorer: Scorer, task: TaskSpec, rows: Rows = ()) -> None:
    """Whether the task can be scored, as far as that is known before a model runs.

    Raises:
        UsageError: the scorer needs labels and the task has none, or needs a package that is not there.
        DataError: a row lacks what the scorer reads.
    """
    if scorer.needs == "labels" and not task.labels:
        raise UsageError(
            f"the metric '{task.metric.name}' needs a closed set of labels and the task has none",
            "take exact_match for prompt and completion",
        )
    own = getattr(scorer, "check", None)
    if own is not None:
        own(task, rows)


def _labels(model: Any, rows: Rows, form: Template, step: int, options: _Options) -> list[str]:
    """The most likely label of each row; of equally likely ones the first in sorted order."""
    from tunewright.tools.evaluation.labels import label_log_likelihoods

    names = sorted(form.task.labels)
    ids = [form.completion(name)[:-1] for name in names]
    prompts = [form.encode(row).prompt for row in rows]
    scores = label_log_likelihoods(model, prompts, ids, end=form.end, **options).tolist()
    if any(math.isnan(value) for row in scores for value in row):
        raise FaultError("config", _DIVERGED, step)
    # index() finds the first of equals; torch's argmax promises no order among them.
    return [names[row.index(max(row))] for row in scores]


def _losses(model: Any, rows: Rows, form: Template, step: int, options: _Options) -> list[str]:
    """The mean token loss of each row's target, as text."""
    from tunewright.tools.evaluation.loss import mean_losses

    found = mean_losses(model, [form.encode(row) for row in rows], **options)
    if not all(math.isfinite(value) for value in found):
        raise FaultError("config", _DIVERGED, step)
    return [repr(value) for value in found]


def _margins(model: Any, rows: Rows, form: Template, step: int, options: _Options) -> list[str]:
    """How much better each row's better answer is in the model's eyes, as text; of judged rows where theirs ranks."""
    from tunewright.tools.evaluation.preference import answer_scores, margins, ranks
    from tunewright.tools.models.pair import pair

    judged = form.task.format == "judged"
    if judged:
        encoded = [form.encode(row) for row in rows]
        found = answer_scores(model, [(one.prompt, one.completion) for one in encoded], **options)
    else:
        found = margins(model, [pair(row, form, 0) for row in rows], **options)
    if not all(math.isfinite(value) for value in found):
        raise FaultError("config", _DIVERGED, step)
    return [repr(value) for value in (ranks(found, [row["good"] for row in rows]) if judged else found)]


def _answers(model: Any, rows: Rows, form: Template, options: _Options) -> list[str]:
    """What the model says to each row. The template keeps ``reserve`` positions of the context free for it."""
    from tunewright.tools.evaluation.generation import generate

    prompts = [form.encode(row).prompt for row in rows]
    most = min(form.task.max_new_tokens, form.reserve)
    return generate(model, form.tokenizer, prompts, end=form.end, max_new_tokens=most, **options)
