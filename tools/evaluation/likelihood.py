"""Log-likelihood of a continuation after a prompt: one plain row each, as any causal model takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunewright.tools.evaluation.inference import HEAD_ELEMENTS, Progress, batches, device_of, last_logits

if TYPE_CHECKING:
    import torch

Pair = tuple[Sequence[int], Sequence[int]]
"""Prompt and continuation, as token ids; neither is empty."""


def log_likelihoods(
    model: Any, pairs: Sequence[Pair], *, batch_tokens: int, progress: Progress | None = None
) -> list[float]:
    """The sum of each continuation's token log-likelihoods in nats, in the order of ``pairs``.

    Rows are padded on the right, so nothing is asked of the model but to be causal. Call it inside ``inference``.
    """
    vocabulary = int(model.config.get_text_config().vocab_size)

    def fits(batch: list[int]) -> bool:
        longest, keep = _longest_and_kept([pairs[i] for i in batch])
        return len(batch) * longest <= batch_tokens and len(batch) * keep * vocabulary <= HEAD_ELEMENTS

    sums = [0.0] * len(pairs)
    done = 0
    # By length of the prompt first: the head then runs on little else than the continuations.
    order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i][0]), len(pairs[i][1]), i))
    for batch in batches(order, fits):
        found = _batch([pairs[i] for i in batch], model).tolist()
        for i, value in zip(batch, found, strict=True):
            sums[i] = value
        done += len(batch)
        if progress is not None:
            progress(done, len(pairs))
    return sums


def _longest_and_kept(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Length of the longest row, and the positions from the first that predicts something to the end."""
    longest = max(len(prompt) + len(rest) for prompt, rest in pairs)
    return longest, longest - min(len(prompt) for prompt, _ in pairs) + 1


def _batch(pairs: Sequence[Pair], model: Any) -> torch.Tensor:
    import torch

    device = device_of(model)
    longest, keep = _longest_and_kept(pairs)
    ids = torch.zeros((len(pairs), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    wanted = torch.zeros_like(ids, dtype=torch.bool)  # positions whose next token is part of the continuation
    for row, (prompt, rest) in enumerate(pairs):
        length = len(prompt) + len(rest)
        ids[row, :length] = torch.tensor([*prompt, *rest])
        mask[row, :length] = 1
        wanted[row, len(prompt) - 1 : length - 1] = True
    following = ids.roll(-1, dims=1)[:, -keep:].to(device)
    logits = last_logits(model, keep, input_ids=ids.to(device), attention_mask=mask.to(device))
    chosen = logits.gather(-1, following.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
    return chosen.masked_fill(~wanted[:, -keep:].to(device), 0.0).double().sum(1)
