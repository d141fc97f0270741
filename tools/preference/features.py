"""What a language model makes of an answer: the vector that a reward is linear in.

The last hidden layer, after its norm, is what the model itself puts a linear head on; a reward model puts its own
there (the paper's setting, arXiv 2511.04286). Taking the layer as it is, without training it, is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.inference import Progress, batches, device_of, inference
from tunewright.tools.models.precision import Computed
from tunewright.tools.models.prompt import template
from tunewright.tools.preference.candidate import Candidates
from tunewright.tools.preference.laplace import Array
from tunewright.tools.preference.options import Pooling

if TYPE_CHECKING:
    import torch

_BATCH_TOKENS = 4096


def hidden_features(
    model: Any,
    tokenizer: Any,
    candidates: Sequence[Candidates],
    task: TaskSpec,
    *,
    pooling: Pooling = "mean",
    precision: Computed = "fp32",
    progress: Progress | None = None,
) -> Array:
    """(N, H) states of the last hidden layer for N answers, in the order of the candidates and their answers.

    Args:
        pooling: ``mean`` over the answer's tokens and its end, or the state at the end alone.
    """
    form = template(task, tokenizer)
    rows = [form.encode({"input": one.prompt, "target": text}) for one in candidates for text in one.answers]
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].input_ids), i))

    def fits(batch: list[int]) -> bool:
        return len(batch) * len(rows[batch[-1]].input_ids) <= _BATCH_TOKENS

    found: dict[int, Array] = {}
    with inference(model, precision):
        for batch in batches(order, fits):
            chosen = [rows[i] for i in batch]
            starts = [len(row.prompt) if pooling == "mean" else len(row.input_ids) - 1 for row in chosen]
            found.update(zip(batch, _pooled(model, [row.input_ids for row in chosen], starts), strict=True))
            if progress is not None:
                progress(len(found), len(rows))
    return np.stack([found[i] for i in range(len(rows))])


def standardised(features: Array, answers: Sequence[int], *, dimensions: int | None = None, seed: int = 0) -> Array:
    """(N, D) features of which a difference between two answers to one prompt has about the length 1.

    What answers to the same prompt have in common says nothing about which is better and is taken out; each feature
    is then measured in its own spread. With more features than ``dimensions`` they are projected at random, which
    keeps lengths nearly as they are (Johnson and Lindenstrauss 1984): a posterior over few weights is quick, and few
    labels cannot tell many weights apart.

    Args:
        features: (N, H).
        answers: how many there are to each prompt, in their order; N in all.
        dimensions: at most so many features; None for all.
        seed: of the projection.
    """
    prompts = np.repeat(np.arange(len(answers)), answers)
    sums = np.zeros((len(answers), features.shape[1]))
    np.add.at(sums, prompts, features)
    centred = features - (sums / np.array(answers)[:, None])[prompts]
    spread = np.sqrt(np.square(centred).mean(axis=0))
    # A feature that moves by rounding alone is none.
    moves = spread > 1e-9 * max(1.0, float(np.abs(features).max(initial=0.0)))
    scaled: Array = centred[:, moves] / spread[moves]
    if dimensions is not None and scaled.shape[1] > dimensions:
        drawn = np.random.default_rng(seed).standard_normal((scaled.shape[1], dimensions))
        scaled = scaled @ drawn / np.sqrt(dimensions)
    length = float(np.sqrt(2 * np.square(scaled).sum(axis=1).mean())) if scaled.size else 0.0
    return scaled / length if length else np.zeros((len(features), 1))


def _pooled(model: Any, ids: Sequence[Sequence[int]], starts: Sequence[int]) -> list[Array]:
    """The mean state of each row from its start to its end."""
    import torch

    longest = max(map(len, ids))
    padded = torch.zeros((len(ids), longest), dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, tokens in enumerate(ids):  # on the right: a causal model does not see it
        padded[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    device = device_of(model)
    with _before_the_head(model) as kept:
        model(input_ids=padded.to(device), attention_mask=mask.to(device), use_cache=False)
    states = kept[0].float()
    return [
        np.asarray(states[row, start : len(tokens)].mean(0).double().cpu())
        for row, (tokens, start) in enumerate(zip(ids, starts, strict=True))
    ]


@contextmanager
def _before_the_head(model: Any) -> Iterator[list[torch.Tensor]]:
    """Keeps what the head would see, (B, T, H), and spares it the work."""
    kept: list[torch.Tensor] = []

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        kept.append(args[0])
        return (args[0][:, :0], *args[1:])

    # First of all: under bf16 another hook sees to the head's precision.
    hook = model.get_output_embeddings().register_forward_pre_hook(enter, prepend=True)
    try:
        yield kept
    finally:
        hook.remove()
