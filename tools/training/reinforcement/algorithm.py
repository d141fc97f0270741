"""What makes one way to improve a policy differ from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tunewright.tools.training.reinforcement.policy_loss import Mean, PolicyLoss


@dataclass(frozen=True)
class Algorithm:
    """How one objective improves a policy."""

    advantages: Callable[[torch.Tensor, Any], torch.Tensor]
    """(n,) rewards of answers in groups, and settings -> (n,)."""
    loss: PolicyLoss
    mean: Mean
    """What the loss is a mean of."""
    held_by_reward: bool = False
    """Whether ``beta`` times the divergence is taken from rewards, and not added to the loss."""
