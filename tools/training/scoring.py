"""What a model says of the tokens it is trained on, with gradients, at the positions that matter alone.

The output head is the largest matrix of a small model and its product the largest tensor of a step. It is run on the
wanted positions only, and where even those are many, in chunks whose logits are computed again in the backward pass
instead of being kept: memory is one chunk, whatever the batch. The value and the gradients are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from tunewright.tools.contract import FaultError
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


def token_scores(
    model: Any, batch: Batch, wanted: Any, score: Score = log_likelihood, within: torch.Tensor | None = None
) -> torch.Tensor:
    """``score`` at the wanted positions of a batch, in the order of rows and positions.

    Args:
        model: a causal language model, adapted or not.
        batch: ``input_ids`` and ``attention_mask``, each (rows, tokens), and ``position_ids`` where positions do not
            just count up; or ``row_positions`` in their place, where several rows share a sequence.
        wanted: (rows, tokens - 1) truth values: whether the token after this position is scored.
        within: (c,) token ids, ascending: the only ones that there are, all wanted tokens among them. The head must
            have no adapter.

    Returns:
        (n,) or (n, k) in fp32 with a graph, n the number of wanted positions.

    Raises:
        FaultError: ``config``: the model does with its logits what is not known here, and they are to be of some
            tokens only.
    """
    head = model.get_output_embeddings()
    ids = batch["input_ids"][:, 1:][wanted]
    given = _given(batch)
    if within is not None:
        return _among(model, head, given, wanted, ids, score, within)
    chunk = max(1, HEAD_ELEMENTS // int(model.config.get_text_config().vocab_size))
    if len(ids) > chunk:
        with _at(head, wanted, first_only=True) as seen:
            logits = model(**given, use_cache=False).logits
        ended = _ending(model)
        # Where a model does with its logits what is not known here, they are taken from it in one piece.
        if torch.allclose(ended(seen.logits).float(), logits.float(), rtol=1e-3, atol=1e-5):
            return _in_chunks(head, seen.states, ids, lambda states: ended(head(states)), score, chunk)
    with _at(head, wanted):
        logits = model(**given, use_cache=False).logits
    return score(logits.float(), ids)


def _among(
    model: Any, head: Any, given: Batch, wanted: Any, ids: torch.Tensor, score: Score, within: torch.Tensor
) -> torch.Tensor:
    """``score`` where the vocabulary is ``within`` alone: the logits of no other token are computed."""
    with _at(head, wanted, first_only=True) as seen:
        logits = model(**given, use_cache=False).logits
    ended = _ending(model)
    if not torch.allclose(ended(seen.logits).float(), logits.float(), rtol=1e-3, atol=1e-5):
        raise FaultError(
            "config", "the loss cannot be taken over a part of the vocabulary: what this model does with its logits is "
            "not known. Set vocabulary to 0", 0,
        )  # fmt: skip
    rows = head.weight[within]
    bias = None if head.bias is None else head.bias[within]

    def some(states: torch.Tensor) -> torch.Tensor:
        return ended(torch.nn.functional.linear(states, rows, bias))

    chunk = max(1, HEAD_ELEMENTS // len(within))
    return _in_chunks(head, seen.states, torch.searchsorted(within, ids), some, score, chunk)


def _given(batch: Batch) -> Batch:
    """What the model is called with. A mask would keep transformers from telling packed rows apart by positions."""
    if "row_positions" in batch:
        return {"input_ids": batch["input_ids"], "attention_mask": None, "position_ids": batch["row_positions"]}
    return {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}


def _in_chunks(
    head: torch.nn.Module,
    hidden: torch.Tensor,
    ids: torch.Tensor,
    logits: Callable[[torch.Tensor], torch.Tensor],
    score: Score,
    chunk: int,
) -> torch.Tensor:
    """``score`` of ``logits`` of (n, width) hidden states; a chunk's logits are made again in the backward pass."""

    def part(states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return score(logits(states).float(), tokens)

    # An adapter on the head may drop at random, and has to drop the same again.
    random = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in head.modules())
    found = [
        torch.utils.checkpoint.checkpoint(part, states, tokens, use_reentrant=False, preserve_rng_state=random)
        for states, tokens in zip(hidden.split(chunk), ids.split(chunk), strict=True)
    ]
    return torch.cat(found)


def _ending(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the model does with its head's logits: scales them (Cohere, Granite), caps them (Gemma), or nothing."""
    config = model.config.get_text_config()
    times, over, cap = (
        getattr(config, name, None) for name in ("logit_scale", "logits_scaling", "final_logit_softcapping")
    )

    def ended(logits: torch.Tensor) -> torch.Tensor:
        logits = logits if times is None else logits * times
        logits = logits if over is None else logits / over
        return logits if cap is None else cap * torch.tanh(logits / cap)

    return ended


def sums(values: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(rows,) sums of (n,) values over the wanted positions of each of the (rows, tokens - 1)."""
    return torch.zeros(len(wanted), device=values.device, dtype=values.dtype).index_add(0, rows_of(wanted), values)


def rows_of(wanted: torch.Tensor) -> torch.Tensor:
    """(n,): of each of the n wanted positions, the row that it is in."""
    return torch.arange(len(wanted), device=wanted.device).repeat_interleave(wanted.sum(1))


def spread(values: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(rows, tokens - 1): (n,) values at their positions, zero elsewhere."""
    grid = torch.zeros(wanted.shape, device=values.device, dtype=values.dtype)
    return grid.masked_scatter(wanted, values)


@contextmanager
def states_at(model: Any, wanted: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Within the block, what ``token_scores`` runs the head on is put into the list, once for each call: (n, width)
    hidden states of the wanted positions, with a graph."""
    seen: list[torch.Tensor] = []

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> None:
        seen.append(args[0][:, -wanted.shape[1] - 1 : -1][wanted])

    hook = model.get_output_embeddings().register_forward_pre_hook(enter)
    try:
        yield seen
    finally:
        hook.remove()


@dataclass
class _Seen:
    """What passes a head: hidden states of all wanted positions, and logits of those that it was run on."""

    states: torch.Tensor = field(default_factory=torch.Tensor)
    logits: torch.Tensor = field(default_factory=torch.Tensor)


@contextmanager
def _at(head: torch.nn.Module, wanted: torch.Tensor, *, first_only: bool = False) -> Iterator[_Seen]:
    """Within the block ``head`` is run on the wanted positions alone, or on the first of them, in its own precision.

    Few positions are cheap in fp32; casting the whole head to bf16 at every step would not be. Prompt adapters put
    positions before the input's own, which are left out.
    """
    inside: list[torch.autocast] = []
    seen = _Seen()

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        seen.states = args[0][:, -wanted.shape[1] - 1 : -1][wanted].to(module.weight.dtype)
        inside.append(torch.autocast(seen.states.device.type, enabled=False))
        inside[-1].__enter__()
        return (seen.states[:1] if first_only else seen.states,)

    def leave(module: Any, args: Any, output: torch.Tensor) -> None:
        seen.logits = output
        inside.pop().__exit__(None, None, None)

    hooks = [head.register_forward_pre_hook(enter), head.register_forward_hook(leave, always_call=True)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
