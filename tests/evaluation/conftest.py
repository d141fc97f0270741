"""The tiny model and rows to score with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found

LABELS = ("billing", "bill", "travel", "weather")


def make_task(metric: str, **changes: Any) -> TaskSpec:
    """A task of labels, or of completions where the metric is none of labels."""
    labels = metric in ("accuracy", "macro_f1")
    return TaskSpec(
        model="tiny",
        sources=(DataSource(path="d.jsonl", name="d"),),
        format="label" if labels else "completion",
        input_field="text",
        target_field="label",
        metric=Metric(name=metric, direction="min" if metric in ("loss", "perplexity") else "max"),
        labels=LABELS if labels else (),
        max_new_tokens=8,
    ).model_copy(update=changes)


def make_rows(count: int = 12) -> list[dict[str, Any]]:
    texts = ["pay", "is it going to rain tomorrow?", "", "I would like to book a flight to Oslo"]
    return [
        {
            "id": f"{i:016x}",
            "source": "d",
            "input": f"{texts[i % 4]} {i}",
            "target": LABELS[i * 7 % 4],
            "meta": {},
        }
        for i in range(count)
    ]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are faster without threads, most of all beside other work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def loaded(tiny: Found) -> tuple[Any, Any]:
    return load_model(Path(tiny.path), device="cpu")
