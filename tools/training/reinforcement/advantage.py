"""What an answer is worth over what was to be expected: the advantages that policies are improved by.

Groups are answers to one prompt that stand one after the other. All numbers are in fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tunewright.tools.training.reinforcement.method import Scales

FLOOR = 1e-4
"""Added to a standard deviation, as in TRL."""


def group_relative(rewards: Tensor, size: int, scale: Scales = "group") -> Tensor:
    """(n,): each reward less the mean of its group, scaled. GRPO, arXiv 2402.03300, section 4.1.2.

    Without a scale it is Dr. GRPO's (arXiv 2503.20783, section 3.2), with that of the batch Lite PPO's (arXiv
    2508.08221). A group whose rewards are all the same has advantages of exactly zero. That the deviation has Bessel's
    correction is TRL's.

    Args:
        rewards: (n,), n a multiple of ``size``.
        size: answers of a group, at least 2.
        scale: what it is divided by: the standard deviation of its group's rewards, of all rewards, nothing.
    """
    groups = rewards.view(-1, size)
    apart = groups - groups.mean(1, keepdim=True)
    apart = torch.where(unanimous(rewards, size)[:, None], 0.0, apart)
    if scale == "group":
        apart = apart / (groups.std(1, keepdim=True) + FLOOR)
    elif scale == "batch":
        apart = apart / (rewards.std() + FLOOR)
    return apart.reshape(-1)


def leave_one_out(rewards: Tensor, size: int) -> Tensor:
    """(n,): each reward less the mean of the others of its group. RLOO, arXiv 2402.14740, section 3.2.

    Args:
        rewards: (n,), n a multiple of ``size``.
        size: answers of a group, at least 2.
    """
    groups = rewards.view(-1, size)
    found = (groups - groups.mean(1, keepdim=True)) * (size / (size - 1))
    return torch.where(unanimous(rewards, size)[:, None], 0.0, found).reshape(-1)


def unanimous(rewards: Tensor, size: int) -> Tensor:
    """(groups,): whether all answers of a group earned the same; nothing can be learned from those that did."""
    groups = rewards.view(-1, size)
    return (groups == groups[:, :1]).all(1)


def generalised(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation, arXiv 1506.02438, equation 16.

    ``d_t = r_t + gamma V_(t+1) - V_t`` and ``A_t = d_t + gamma lam A_(t+1)``; beyond the last token both are zero.

    Args:
        rewards: (n, tokens).
        values: (n, tokens), V of the state before each token.
        mask: (n, tokens): 1 for the tokens of an answer, which stand together.

    Returns:
        (n, tokens) advantages and returns ``A + V``, zero outside the mask.
    """
    advantage = torch.zeros_like(values)
    following, next_value = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for at in range(values.shape[1] - 1, -1, -1):
        inside = mask[:, at].to(values.dtype)
        delta = rewards[:, at] + gamma * next_value - values[:, at]
        following = (delta + gamma * lam * following) * inside
        next_value = values[:, at] * inside
        advantage[:, at] = following
    return advantage, (advantage + values) * mask


def whitened(values: Tensor) -> Tensor:
    """(n,) of mean 0 and, where they differ, standard deviation 1."""
    apart = values - values.mean()
    return apart / (values.std(correction=0) + 1e-8)
