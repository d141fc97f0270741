"""Looks at the first batch as the model will see it, before the first step is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.models.adapter import prompted
from tunewright.tools.models.prompt import IGNORED, encode_prompt
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.learning import Learning

_SHOWN = 60


def preflight(model: Any, learning: Learning, first_step: int) -> str:
    """What the first batch holds, in one line.

    Checks the collated tensors, so that nothing between the template and the model goes unseen.

    Raises:
        FaultError: ``config`` if nothing is trainable or a trained prompt fills the context; ``data`` if the batch
            holds no labels or no row trains its end token; ``infra`` if what is trained on is not what evaluation
            will ask.
    """
    data = learning.data
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if not trained:
        raise FaultError("config", "the recipe trains no parameter", 0)
    _check_room(model, data)
    places = data.order[first_step * data.batch_size :][: data.batch_size]
    batch = learning.collate(places)
    rows = [data.rows[place] for place in places]
    shown = f"first of {data.steps} steps: "
    if "labels" not in batch:
        row = rows[0]
        prompt = data.form.tokenizer.decode(data.encoded[places[0]].prompt)
        return shown + f"{_short(prompt)}, answer {_short(row['target'])}; {trained:,} parameters are trained"
    ids, labels = batch["input_ids"].tolist(), batch["labels"].tolist()
    if not any(label != IGNORED for line in labels for label in line):
        raise FaultError("data", "the first batch has no token to learn from: every label is masked", 0)
    if not any(data.form.end in line for line in labels) and not all(row.get("raw") for row in rows):
        raise FaultError(
            "data",
            f"no row of the first batch trains its end token: every target is longer than {data.form.limit} tokens",
            0,
        )
    if learning.prompts_masked:
        _check_prompts(rows, ids, labels, data)
    decode = data.form.tokenizer.decode
    target = [value for value in labels[0] if value != IGNORED]
    prompt_text = decode(ids[0][: labels[0].index(target[0])]) if target else ""
    carrying = sum(label != IGNORED for line in labels for label in line)
    return (
        f"{shown}{_short(prompt_text)} -> {_short(decode(target))}; "
        f"{carrying} of {int(batch['attention_mask'].sum())} tokens carry loss; {trained:,} parameters are trained"
    )


def _check_prompts(rows: Sequence[Row], ids: list[list[int]], labels: list[list[int]], data: StageData) -> None:
    """Whether each sequence begins with the prompt that evaluation gives the model, and has its loss after it."""
    for row, line, label in zip(rows, ids, labels, strict=False):
        prompt = encode_prompt(row, data.form.task, data.form.tokenizer)
        first = next((at for at, value in enumerate(label) if value != IGNORED), len(prompt))
        if line[: len(prompt)] != prompt or first != len(prompt):
            raise FaultError("infra", f"row {row['id']} is trained on another prompt than it is evaluated with", 0)


def _check_room(model: Any, data: StageData) -> None:
    """Whether a trained prompt leaves room for the longest row: beyond its context a model fails, or guesses."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is None or not prompted(model):
        return
    virtual = model.active_peft_config.num_virtual_tokens
    longest = max(len(one.input_ids) for one in data.encoded)
    if virtual + longest > positions:
        raise FaultError(
            "config",
            f"{virtual} trained positions and a row of {longest} tokens are more than the model's context of "
            f"{positions}: take fewer trained positions, or a smaller max_length",
            0,
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN // 2] + "..." + text[-_SHOWN // 2 :])
