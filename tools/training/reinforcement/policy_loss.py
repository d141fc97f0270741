"""The losses of policy optimisation, token by token, and what they are a mean of.

With ``r_t = pi(t) / pi_old(t)``, the advantage ``A``, ``e`` and ``e+`` how far down and up a ratio may go:

=========  =========================================================  ==========================
clipped    -min(r A, clip(r, 1 - e, 1 + e+) A)                        PPO, arXiv 1707.06347, eq. 7
geometric  the same with one ratio for an answer, exp(mean_t log r)   GSPO, arXiv 2507.18071, eq. 5-7
product    the same with one ratio for an answer, exp(sum_t log r)    RLOO, arXiv 2402.14740
weighted   -sg(min(r, e+)) A log pi                                   CISPO, arXiv 2506.13585, eq. 4
soft       -(4 / tau) s(tau (r - 1)) A, tau by the sign of A          SAPO, arXiv 2511.20347
=========  =========================================================  ==========================

``s`` is the logistic function, ``sg`` stops gradients. A loss for a whole answer stands at each of its tokens, so that
the mean over them is the answer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Mean = Literal["answer", "token", "length"]
"""What a loss is a mean of: answers, each the mean of its tokens (GRPO); all tokens (DAPO); answers, each the sum of
its tokens over the greatest length there can be (Dr. GRPO)."""


@dataclass(frozen=True)
class Tokens:
    """What is known of the answers' tokens, (t,) each, in the order of answers and positions."""

    now: Tensor
    """Log-probabilities under the policy, with a graph."""
    old: Tensor
    """Under the policy that said them."""
    advantage: Tensor
    answer: Tensor
    """Index of the answer that a token is of."""
    answers: int

    @property
    def log_ratio(self) -> Tensor:
        """``log r_t``."""
        return self.now - self.old

    def per_answer(self, values: Tensor, *, mean: bool) -> Tensor:
        """The sum or mean of an answer's values, at each of its tokens."""
        total = torch.zeros(self.answers, device=values.device, dtype=values.dtype).index_add(0, self.answer, values)
        if mean:
            counts = torch.bincount(self.answer, minlength=self.answers).clamp_min(1)
            total = total / counts
        return total[self.answer]


PolicyLoss = Callable[[Tokens, Any], tuple[Tensor, Tensor]]
"""Tokens and settings (``epsilon``, ``epsilon_high``) -> (t,) losses, and whether each has lost its gradient to the
clip."""


def clipped(tokens: Tokens, settings: Any) -> tuple[Tensor, Tensor]:
    """PPO's, with a bound of its own upwards (clip-higher: DAPO, arXiv 2503.14476, equation 10)."""
    return _surrogate(tokens.log_ratio.exp(), tokens.advantage, settings)


def geometric(tokens: Tokens, settings: Any) -> tuple[Tensor, Tensor]:
    """GSPO's."""
    return _surrogate(tokens.per_answer(tokens.log_ratio, mean=True).exp(), tokens.advantage, settings)


def product(tokens: Tokens, settings: Any) -> tuple[Tensor, Tensor]:
    """RLOO's, off the policy."""
    return _surrogate(tokens.per_answer(tokens.log_ratio, mean=False).exp(), tokens.advantage, settings)


def weighted(tokens: Tokens, settings: Any) -> tuple[Tensor, Tensor]:
    """CISPO's: a ratio that is too high is cut, but its token goes on learning."""
    ratio = tokens.log_ratio.detach().exp()
    cut = ratio > settings.epsilon_high
    loss = -ratio.clamp(max=settings.epsilon_high) * tokens.advantage * tokens.now
    return loss, cut & (tokens.advantage > 0)


def soft(tokens: Tokens, settings: Any) -> tuple[Tensor, Tensor]:
    """SAPO's: a gate that closes gradually, and never wholly."""
    tau = torch.where(tokens.advantage > 0, settings.tau, settings.tau_negative)
    gate = 4 / tau * torch.sigmoid(tau * (tokens.log_ratio.exp() - 1))
    return -gate * tokens.advantage, torch.zeros_like(gate, dtype=torch.bool)


def divergence(now: Tensor, before: Tensor) -> Tensor:
    """(t,) of a reference, never below zero and right in the mean: ``e^(ref - pi) - (ref - pi) - 1``.

    Schulman's third estimator (joschu.net/blog/kl-approx.html), as in GRPO, arXiv 2402.03300, equation 4.
    """
    apart = before - now
    return apart.exp() - apart - 1


def shares(lengths: Tensor, mean: Mean, longest: int) -> Tensor:
    """(n,): what a token of each answer counts, so that the sum over tokens is n times the loss.

    Args:
        lengths: (n,) tokens with a loss.
        longest: the most tokens an answer can have.
    """
    count = len(lengths)
    match mean:
        case "answer":
            return 1 / lengths.clamp_min(1).float()
        case "token":
            return torch.full((count,), count / max(1, int(lengths.sum())), device=lengths.device)
        case _:
            return torch.full((count,), 1 / longest, device=lengths.device)


def _surrogate(ratio: Tensor, advantage: Tensor, settings: Any) -> tuple[Tensor, Tensor]:
    low, high = 1 - settings.epsilon, 1 + settings.upper
    loss = -torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    cut = ((ratio < low) & (advantage < 0)) | ((ratio > high) & (advantage > 0))
    return loss, cut
