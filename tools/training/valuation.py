"""What training on a token is worth: Liu, Wu and Du, AlphaToken, arXiv 2606.01635, equations 5 and 8 to 12.

With inputs ``h_t`` and output errors ``d_t = dL/d(W h)_t`` of the linear layers ``W`` of the last layers, ``v`` the
answers' tokens of rows held out, ``F`` the diagonal Fisher information of the model that the stage began with,
``V = F * (W - W_ref)``, and ``A`` the attention of the layer that the values belong to, the mean over heads::

    Eq. 8   direct target     sum_W        mean_v <d_t, d_v> <h_t, h_v>
    Eq. 9   causal target     sum_W=values mean_v sum_{t < k <= t+w} A[k,t] <d_k, d_v> <h_t, h_v>
    Eq. 11  direct stability  sum_W        d_t' V h_t
            causal stability  sum_W=values sum_{t < k <= t+w} A[k,t] d_k' V h_t
    Eq. 12  target + lambda * stability

All four are one bilinear form a layer, ``e_t' (G + lambda V) h_t``: ``G = mean_v d_v h_v'`` is the held-out rows'
gradient of ``W``, and ``e_t`` is ``d_t``, at values with what flows back from the positions that looked at ``t``. So no
pair of tokens is ever multiplied out. That form is ours; the numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from tunewright.tools.training.trace import Projection, Trace


def gradients(found: Iterable[tuple[Sequence[Trace], torch.Tensor]]) -> list[torch.Tensor]:
    """``G`` of each projection, (outputs, inputs).

    Args:
        found: for each batch of the held-out rows its traces, and (rows, tokens - 1) truth values of the tokens meant.
    """
    sums: list[torch.Tensor] = []
    count = 0
    for traces, wanted in found:
        parts = [_at(trace.errors, wanted).T @ _at(trace.inputs, wanted) for trace in traces]
        sums = [one + part for one, part in zip(sums, parts, strict=True)] if sums else parts
        count += int(wanted.sum())
    return [one / count for one in sums]


def values(
    at: Sequence[Projection], traces: Sequence[Trace], forms: Sequence[torch.Tensor], wanted: torch.Tensor, window: int
) -> torch.Tensor:
    """(n,): what the wanted tokens of a batch are worth, in the order of rows and positions.

    Args:
        forms: of each projection, ``G + lambda V``: (outputs, inputs).
        window: how many later positions count.
    """
    total = torch.zeros(int(wanted.sum()), device=wanted.device)
    for one, trace, form in zip(at, traces, forms, strict=True):
        errors = with_later(one, trace, window)
        total += ((_at(errors, wanted) @ form) * _at(trace.inputs, wanted)).sum(-1)
    return total


def with_later(one: Projection, trace: Trace, window: int) -> torch.Tensor:
    """``e``: (rows, tokens, outputs)."""
    if one.values is None or trace.attention is None:
        return trace.errors
    place = torch.arange(trace.attention.shape[-1], device=trace.attention.device)
    after = place[:, None] - place[None, :]
    near = trace.attention * ((after > 0) & (after <= window))
    errors = trace.errors.clone()
    errors[..., one.values] += near.transpose(1, 2) @ trace.errors[..., one.values]
    return errors


def squares(traces: Sequence[Trace], wanted: torch.Tensor) -> list[torch.Tensor]:
    """``sum_t d_i^2 h_j^2`` of each projection over the wanted tokens: equation 5 before the mean."""
    return [_at(trace.errors, wanted).square().T @ _at(trace.inputs, wanted).square() for trace in traces]


def best(worth: torch.Tensor, share: float) -> torch.Tensor:
    """(n,) truth values, equation 13: whether a token is worth at least the quantile ``1 - share`` of all.

    Of n tokens ``floor(share * (n - 1)) + 1`` are kept, and those that tie with the last of them.
    """
    if not len(worth):
        return worth.bool()
    kept = int(share * (len(worth) - 1) + 1e-9) + 1
    return worth >= worth.topk(kept).values[-1]


def _at(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(n, width) of (rows, tokens, width)."""
    return found[:, :-1][wanted]
