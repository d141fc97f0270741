"""How much training on one row lowers the loss of others, to first order. LESS: Xia et al., arXiv 2402.04333.

Adam's step on row z with running means m and v, gradients g, no bias correction::

    Gamma(z) = (b1 m + (1 - b1) g(z)) / sqrt(b2 v + (1 - b2) g(z)^2 + eps)
    Inf(z, z') = sum_checkpoints  lr  cos(g(z'), Gamma(z))

Both are projected to fewer numbers first. The paper multiplies by a dense matrix of random signs; ours adds every
coordinate with a random sign to one of so many sums (Weinberger et al., arXiv 0902.2206), which keeps inner products
in expectation too and costs one pass over the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

B1, B2, EPS = 0.9, 0.999, 1e-8
"""Adam's."""


def adam_direction(gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """``Gamma``: (parameters,) of three of the same."""
    return (B1 * first + (1 - B1) * gradient) / torch.sqrt(B2 * second + (1 - B2) * gradient.square() + EPS)


class Sketch:
    """A random linear map that keeps inner products in expectation; none where there is nothing to save.

    Args:
        inputs: length of what is mapped.
        outputs: length of what comes out.
    """

    def __init__(self, inputs: int, outputs: int, seed: int, device: torch.device) -> None:
        self.outputs = outputs
        self.plain = inputs <= outputs
        if not self.plain:
            chance = torch.Generator().manual_seed(seed)
            self.buckets = torch.randint(outputs, (inputs,), generator=chance).to(device)
            self.signs = (torch.randint(2, (inputs,), generator=chance).float() * 2 - 1).to(device)

    def __call__(self, vector: torch.Tensor) -> torch.Tensor:
        """(outputs,) of (inputs,), scaled to length 1; as long as the input where nothing is saved."""
        if not self.plain:
            vector = torch.zeros(self.outputs, device=vector.device).index_add(0, self.buckets, self.signs * vector)
        return torch.nn.functional.normalize(vector, dim=0)


def influence(alike: Sequence[torch.Tensor], rates: Sequence[float]) -> list[float]:
    """Of each row, its influence on the subtask that it helps most.

    Args:
        alike: for each checkpoint (rows, subtasks): mean cosines of the row's step with the subtask's gradients.
        rates: the checkpoints' learning rates. They are scaled to sum to 1.
    """
    total = sum(rates)
    whole = torch.stack([rate / total * one for rate, one in zip(rates, alike, strict=True)]).sum(0)
    found: list[float] = whole.max(1).values.tolist()
    return found
