"""Likelihood of every label given the prompt, in one forward pass a batch.

The labels form a token tree that follows the prompt in the same row: each token of the tree sees the prompt and its
own ancestors, and has the position it would have in its label alone. So the prompt is run once, not once a label,
and what labels share is run once too. The same attention pattern verifies drafts in SpecInfer (Miao et al. 2024,
arXiv:2305.09781).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tunewright.tools.evaluation.inference import (
    HEAD_ELEMENTS,
    Progress,
    batches,
    causal_lm,
    device_of,
    last_logits,
)
from tunewright.tools.evaluation.likelihood import log_likelihoods
from tunewright.tools.evaluation.trie import Trie, build
from tunewright.tools.models.adapter import prompted

if TYPE_CHECKING:
    import torch

_trusted: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""Model -> whether it was seen to honour a tree mask."""


def label_log_likelihoods(
    model: Any,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    *,
    end: int,
    batch_tokens: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Log-likelihood in nats of each label after each prompt, (N, L) in fp64 on the CPU, in the given order.

    A model that does not take a tree mask (it is tried on the first rows against plain ones) is asked row by row,
    which gives the same numbers in more time. Call it inside ``inference``.

    Args:
        prompts: N lists of token ids, none empty.
        labels: L lists of token ids without the end token.
        end: the end token; see ``trie.build`` for when it is part of a label.
    """
    import torch

    trie = build(labels, end)
    whole = [[trie.edges[edge][1] for edge in label] for label in trie.labels]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    if not _takes_trees(model, [prompts[order[0]], prompts[order[-1]]], trie, whole):
        pairs = [(prompt, label) for prompt in prompts for label in whole]
        each = None if progress is None else _of_items(progress, len(whole))
        sums = log_likelihoods(model, pairs, batch_tokens=batch_tokens, progress=each)
        return torch.tensor(sums, dtype=torch.float64).view(len(prompts), len(whole))

    per_item = (len(trie.tokens) + 1) * int(model.config.get_text_config().vocab_size)

    def fits(batch: list[int]) -> bool:
        tokens = len(prompts[batch[-1]]) + len(trie.tokens)  # the last is the longest
        return len(batch) * tokens <= batch_tokens and len(batch) * per_item <= HEAD_ELEMENTS

    found = torch.empty((len(prompts), len(whole)), dtype=torch.float64)
    done = 0
    for batch in batches(order, fits):
        found[batch] = tree_pass(model, [prompts[i] for i in batch], trie)
        done += len(batch)
        if progress is not None:
            progress(done, len(prompts))
    return found


def tree_pass(model: Any, prompts: Sequence[Sequence[int]], trie: Trie) -> torch.Tensor:
    """One forward pass over prompts (padded on the left) and tree: (B, L) log-likelihoods in fp64 on the CPU."""
    import torch

    device = device_of(model)
    ids, positions, seen = _inputs(prompts, trie)
    keep = len(trie.tokens) + 1
    mask = _as_the_model_wants(seen.to(device), model)
    inputs = {"input_ids": ids.to(device), "position_ids": positions.to(device), "attention_mask": mask}
    logits = last_logits(model, keep, **inputs)  # the prompt's last token and the tree: (B, 1 + M, V)
    nodes, tokens = torch.tensor(trie.edges, device=device).unbind(1)
    edges = (logits[:, nodes, tokens] - logits.logsumexp(-1)[:, nodes]).double().cpu()  # (B, E)
    return torch.stack([edges[:, list(label)].sum(1) for label in trie.labels], dim=1)


def _inputs(prompts: Sequence[Sequence[int]], trie: Trie) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and positions (B, T), and who sees whom: (B, 1, T, T), True where row attends to column."""
    import torch

    longest, size = max(map(len, prompts)), len(trie.tokens)
    total = longest + size
    ids = torch.zeros((len(prompts), total), dtype=torch.long)
    positions = torch.zeros_like(ids)
    ids[:, longest:] = torch.tensor(trie.tokens, dtype=torch.long)
    depths = torch.tensor(trie.depths, dtype=torch.long)
    shape = torch.ones((total, total), dtype=torch.bool).tril()
    shape[longest:, longest:] = _family(trie)
    seen = shape.repeat(len(prompts), 1, 1, 1)
    for row, prompt in enumerate(prompts):
        padding = longest - len(prompt)
        ids[row, padding:longest] = torch.tensor(prompt)
        positions[row, padding:longest] = torch.arange(len(prompt))
        positions[row, longest:] = len(prompt) - 1 + depths
        seen[row, 0, :, :padding] = False
    # A padding token that saw nothing would turn into NaN, and NaN times a weight of zero is NaN.
    seen |= torch.eye(total, dtype=torch.bool)
    return ids, positions, seen


@lru_cache(maxsize=8)
def _family(trie: Trie) -> torch.Tensor:
    """Which nodes each node of the tree sees, itself and its ancestors: (M, M), True where it does."""
    import torch

    size = len(trie.tokens)
    seen = torch.zeros((size, size), dtype=torch.bool)
    for node in range(1, size + 1):
        seen[node - 1, [above - 1 for above in trie.ancestors(node)]] = True
    return seen


def _as_the_model_wants(seen: torch.Tensor, model: Any) -> torch.Tensor:
    """A truth mask for torch's own attention, an additive one for the others."""
    import torch

    config = causal_lm(model).config.get_text_config()
    if config._attn_implementation == "sdpa":
        return seen
    kind = next(model.parameters()).dtype
    return torch.zeros(seen.shape, dtype=kind, device=seen.device).masked_fill(~seen, torch.finfo(kind).min)


def _takes_trees(model: Any, prompts: Sequence[Sequence[int]], trie: Trie, labels: Sequence[Sequence[int]]) -> bool:
    """Whether the model gives the same numbers for a tree as for plain rows; found out once a model.

    Not asked of one whose adapter puts positions before the input: PEFT takes no mask of trees for it.

    In full precision, so that a difference is one of meaning and not of rounding; a model that computes in bf16
    whatever is asked of it is compared as it is run.
    """
    import torch

    if prompted(model):
        return False
    if model not in _trusted:
        longest_first = sorted(range(len(labels)), key=lambda i: (-len(labels[i]), i))[:4]
        pairs = [(prompt, labels[i]) for prompt in prompts for i in longest_first]
        exact = not _narrowed(model)
        with torch.autocast(device_of(model).type, enabled=False) if exact else nullcontext():
            plain = torch.tensor(log_likelihoods(model, pairs, batch_tokens=1), dtype=torch.float64)
            try:
                tree = tree_pass(model, prompts, trie)[:, longest_first].flatten()
            except (RuntimeError, ValueError, TypeError, NotImplementedError):
                tree = torch.full_like(plain, torch.nan)
        close = 1e-3 if exact else 0.3
        same = torch.allclose(plain, tree, rtol=close, atol=close)
        if plain.isnan().any():  # a diverged model says nothing about masks: the caller will see the NaN
            return True
        _trusted[model] = same
    return _trusted[model]


def _narrowed(model: Any) -> bool:
    """Whether the model computes in bf16 by itself: its layers were narrowed for training, or accelerate has put
    autocast around its ``forward`` (and kept the plain one beside it)."""
    import torch

    return hasattr(model, "_original_forward") or any(w.dtype != torch.float32 for w in model.parameters())


def _of_items(progress: Progress, labels: int) -> Progress:
    return lambda done, total: progress(done // labels, total // labels)
