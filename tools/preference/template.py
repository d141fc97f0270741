"""How candidates are put to a model: the project's one template, for a task of prompts and answers."""

from __future__ import annotations

from typing import Literal

from tunewright.domain.task import DataSource, Metric, TaskSpec

MAX_LENGTH = 1024


def task_of(model: str, data: str, *, template: Literal["plain", "chat"], max_new_tokens: int) -> TaskSpec:
    """The task whose rows have ``prompt`` and ``chosen``, as a study on the labelled pairs would have it."""
    return TaskSpec(
        model=model,
        sources=(DataSource(path=data, name="candidates"),),
        format="completion",
        input_field="prompt",
        target_field="chosen",
        metric=Metric(name="loss", direction="min"),
        prompt="{input}" if template == "chat" else "{input}\n",
        template=template,
        max_length=MAX_LENGTH,
        max_new_tokens=max_new_tokens,
    )
