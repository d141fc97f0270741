"""Which rows a model does not answer as its data say: what a method that learns from its failures looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunewright.tools.evaluation.inference import HEAD_ELEMENTS, batches, device_of, inference, last_logits
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded

Labelled = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids and labels of one row, without padding."""
_BATCH_TOKENS = 4096


def distinct(given: Iterable[Mapping[str, Any]]) -> list[Labelled]:
    """The different rows of some batches in the order in which they come; those without a label are left out."""
    found: dict[Labelled, None] = {}
    for batch in given:
        lengths = batch["attention_mask"].sum(1).tolist()
        for ids, labels, length in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), lengths, strict=True):
            if any(label != IGNORED for label in labels[1:length]):
                found[tuple(ids[:length]), tuple(labels[:length])] = None
    return list(found)


def held_out(rows: Sequence[Labelled]) -> list[int]:
    """Indices of a tenth of the rows, one at least where there are two; which ones depends on no order of them."""
    by_hash = sorted(range(len(rows)), key=lambda index: hashlib.sha256(repr(rows[index]).encode()).digest())
    return sorted(by_hash[: max(1, len(rows) // 10)] if len(rows) > 1 else [])


def answered(model: Any, rows: Sequence[Labelled]) -> list[bool]:
    """Whether the most likely token at each labelled position is the label, given the row's own tokens before it.

    With one label at a time this is what greedy decoding would say: it differs from the row as soon as one argmax
    does. So one pass over the rows tells the same as generating every answer. The model is left as it was.
    """
    first = [next(at for at, label in enumerate(labels) if at and label != IGNORED) - 1 for _, labels in rows]
    found = [False] * len(rows)
    vocabulary = int(model.config.get_text_config().vocab_size)

    def kept(batch: list[int]) -> int:
        return max(len(rows[index][0]) for index in batch) - min(first[index] for index in batch)

    def fits(batch: list[int]) -> bool:
        longest = max(len(rows[index][0]) for index in batch)
        return len(batch) * longest <= _BATCH_TOKENS and len(batch) * kept(batch) * vocabulary <= HEAD_ELEMENTS

    with inference(model, "fp32"):  # a trainer's own autocast is inside the model's forward pass
        for batch in batches(sorted(range(len(rows)), key=lambda index: (len(rows[index][0]), index)), fits):
            inputs = padded([rows[index] for index in batch], device_of(model))
            labels, keep = inputs.pop("labels"), kept(batch)
            said = last_logits(model, keep, **inputs)[:, :-1].argmax(-1)
            wanted = labels[:, -keep + 1 :] if keep > 1 else labels[:, :0]
            right = ((said == wanted) | (wanted == IGNORED)).all(1).tolist()
            for index, value in zip(batch, right, strict=True):
                found[index] = bool(value)
    return found
