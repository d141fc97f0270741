"""Looks at the first batch as the model will see it, before the first step is paid for."""

from __future__ import annotations

from typing import Any

from tunewright.tools.contract import FaultError
from tunewright.tools.models.adapter import prompted
from tunewright.tools.models.prompt import IGNORED, encode_prompt
from tunewright.tools.training.batch import StageData

_SHOWN = 60


def preflight(model: Any, collator: Any, dataset: Any, data: StageData, first_step: int) -> str:
    """What the first batch holds, in one line.

    Checks the collated tensors, so that nothing between the template and the model goes unseen.

    Raises:
        FaultError: ``config`` if nothing is trainable or a trained prompt fills the context; ``data`` if the batch
            holds no labels or no row trains its end token; ``infra`` if what is trained on is not what evaluation
            will ask.
    """
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if not trained:
        raise FaultError("config", "the recipe trains no parameter", 0)
    _check_room(model, data)
    size = min(data.batch_size, len(dataset))
    batch = collator([dataset[index] for index in range(size)])
    rows = [data.rows[index] for index in data.order[first_step * data.batch_size :][:size]]
    ids, labels = batch["input_ids"].tolist(), batch["labels"].tolist()
    carrying = [sum(label != IGNORED for label in line) for line in labels]
    if not any(carrying):
        raise FaultError("data", "the first batch has no token to learn from: every label is masked", 0)
    if not any(data.form.end in line for line in labels):
        raise FaultError(
            "data",
            f"no row of the first batch trains its end token: every target is longer than {data.form.limit} tokens",
            0,
        )
    for row, line, label in zip(rows, ids, labels, strict=True):
        prompt = encode_prompt(row, data.form.task, data.form.tokenizer)
        first = next((at for at, value in enumerate(label) if value != IGNORED), len(prompt))
        if line[: len(prompt)] != prompt or first != len(prompt):
            raise FaultError("infra", f"row {row['id']} is trained on another prompt than it is evaluated with", 0)
    decode = data.form.tokenizer.decode
    target = [value for value in labels[0] if value != IGNORED]
    prompt_text = decode(ids[0][: labels[0].index(target[0])]) if target else ""
    return (
        f"first of {data.steps} steps: {_short(prompt_text)} -> {_short(decode(target))}; "
        f"{sum(carrying)} of {int(batch['attention_mask'].sum())} tokens carry loss; {trained:,} parameters are trained"
    )


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
