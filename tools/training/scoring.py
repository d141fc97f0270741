"""What a model says of the tokens it is trained on, with gradients, at the positions that matter alone.

The output head is the largest matrix of a small model and its product the largest tensor of a step. It is run on the
wanted positions only, and where even those are many, in chunks whose logits are computed again in the backward pass
instead of being kept: memory is one chunk, whatever the batch. The value and the gradients are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tunewright.tools.training.learning import Batch

HEAD_ELEMENTS = 2**25
"""Logits held at a time, 128 MiB in fp32."""

Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(chunk, vocabulary) logits in fp32 and (chunk,) token ids -> (chunk,) or (chunk, k) numbers."""


def log_likelihood(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(chunk,) natural logarithms of the probabilities of ``ids``."""
    return -torch.nn.functional.cross_entropy(logits, ids, reduction="none")


def with_entropy(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(chunk, 2): the log-likelihood and, without a gradient, the entropy in nats."""
    likely = log_likelihood(logits, ids)
    with torch.no_grad():
        all_of = torch.log_softmax(logits, -1)
        entropy = -(all_of.exp() * all_of).sum(-1)
    return torch.stack([likely, entropy], dim=1)


def token_scores(model: Any, batch: Batch, wanted: Any, score: Score = log_likelihood) -> torch.Tensor:
    """``score`` at the wanted positions of a batch, in the order of rows and positions.

    Args:
        model: a causal language model, adapted or not.
        batch: ``input_ids`` and ``attention_mask``, each (rows, tokens); ``position_ids`` if rows are packed.
        wanted: (rows, tokens - 1) truth values: whether the token after this position is scored.

    Returns:
        (n,) or (n, k) in fp32 with a graph, n the number of wanted positions.
    """
    head = model.get_output_embeddings()
    ids = batch["input_ids"][:, 1:][wanted]
    given = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}
    chunk = max(1, HEAD_ELEMENTS // int(model.config.get_text_config().vocab_size))
    if len(ids) <= chunk:
        with _at(head, wanted):
            logits = model(**given, use_cache=False).logits
        return score(logits.float(), ids)
    hidden: list[torch.Tensor] = []
    with _at(head, wanted, hidden):
        model(**given, use_cache=False)

    def part(states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return score(head(states).float(), tokens)

    found = [
        torch.utils.checkpoint.checkpoint(part, states, tokens, use_reentrant=False, preserve_rng_state=False)
        for states, tokens in zip(hidden[0].split(chunk), ids.split(chunk), strict=True)
    ]
    return torch.cat(found)


def sums(values: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(rows,) sums of (n,) values over the wanted positions of each of the (rows, tokens - 1)."""
    rows = torch.arange(wanted.shape[0], device=wanted.device).repeat_interleave(wanted.sum(1))
    return torch.zeros(wanted.shape[0], device=values.device, dtype=values.dtype).index_add(0, rows, values)


def spread(values: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(rows, tokens - 1): (n,) values at their positions, zero elsewhere."""
    grid = torch.zeros(wanted.shape, device=values.device, dtype=values.dtype)
    return grid.masked_scatter(wanted, values)


@contextmanager
def _at(head: torch.nn.Module, wanted: torch.Tensor, kept: list[torch.Tensor] | None = None) -> Iterator[None]:
    """Within the block ``head`` sees the wanted positions alone, in its weights' precision; or none, which are kept.

    Few positions are cheap in fp32; casting the whole head to bf16 at every step would not be. Prompt adapters put
    positions before the input's own, which are left out.
    """
    inside: list[torch.autocast] = []

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states = args[0][:, -wanted.shape[1] - 1 : -1][wanted].to(module.weight.dtype)
        if kept is not None:
            kept.append(states)
            states = states[:0]
        inside.append(torch.autocast(states.device.type, enabled=False))
        inside[-1].__enter__()
        return (states,)

    def leave(module: Any, args: Any, output: Any) -> None:
        inside.pop().__exit__(None, None, None)

    hooks = [head.register_forward_pre_hook(enter), head.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
