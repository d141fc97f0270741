"""What a model makes of a whole row, as one vector, and which rows are nearly the same by that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded

_BATCH_TOKENS = 4096


def embeddings(model: Any, encoded: Sequence[Encoded], precision: str, check: Callable[[int, int], None]) -> Any:
    """(rows, width) in fp32, each of length 1: the last layer's state at the row's last token.

    Args:
        check: called with rows done and rows in all; may raise.
    """
    import torch

    from tunewright.tools.evaluation.inference import batches, causal_lm, device_of, inference
    from tunewright.tools.training.batch import padded

    lengths = [len(one.input_ids) for one in encoded]
    order = sorted(range(len(encoded)), key=lambda index: (lengths[index], index))
    more = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(causal_lm(model).forward).parameters else {}
    found: dict[int, Any] = {}
    with inference(model, precision):
        for batch in batches(order, lambda some: len(some) * max(lengths[i] for i in some) <= _BATCH_TOKENS):
            inputs = padded([(encoded[index].input_ids, encoded[index].labels) for index in batch], device_of(model))
            inputs.pop("labels")
            states = model(**inputs, output_hidden_states=True, use_cache=False, **more).hidden_states[-1]
            states = states[:, -inputs["input_ids"].shape[1] :].float()  # a trained prompt's positions come first
            for place, index in enumerate(batch):
                found[index] = torch.nn.functional.normalize(states[place, lengths[index] - 1], dim=0).cpu()
            check(len(found), len(encoded))
    return torch.stack([found[index] for index in range(len(encoded))])


def apart(vectors: Any, threshold: float) -> list[int]:
    """Indices of the vectors whose cosine with every one kept before them is at most the threshold, ascending.

    Args:
        vectors: (rows, width), each of length 1.
        threshold: 1 keeps all.
    """
    if threshold >= 1:
        return list(range(len(vectors)))
    kept: list[int] = []
    those = vectors.clone()
    for index, vector in enumerate(vectors):
        if not kept or float((those[: len(kept)] @ vector).max()) <= threshold:
            those[len(kept)] = vector
            kept.append(index)
    return kept
