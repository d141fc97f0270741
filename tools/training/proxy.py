"""A small LoRA on the model that a stage finds: trained for a few steps to learn something about data, and taken off.

Proxies answer which rows and which mix of sources to train on before the stage itself begins. They learn the rows'
answers by likelihood, whatever supervised objective the stage has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import merged
from tunewright.tools.models.precision import autocast, resolve_precision
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter
from tunewright.tools.training.rowloss import row_losses
from tunewright.tools.training.scoring import token_scores

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class Proxy:
    """A model with a LoRA of its own, without dropout.

    Args:
        model: with the LoRA on it, which alone is trainable.
        filler: the token id of padding.
    """

    def __init__(self, model: Any, lr: float, filler: int, precision: str) -> None:
        self.model, self.lr, self.filler = model.eval(), lr, filler
        self.device = next(model.parameters()).device
        self.precision = resolve_precision(precision, self.device.type)
        self.trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._first = [weight.detach().clone() for weight in self.trained]
        self.optimiser = self._adam()

    def reset(self) -> None:
        """Back to the model without training."""
        with torch.no_grad():
            for weight, first in zip(self.trained, self._first, strict=True):
                weight.copy_(first)
        self.optimiser = self._adam()

    def step(self, rows: Sequence[Encoded]) -> float:
        """One step of AdamW on the mean loss of the answers' tokens. Gives that loss."""
        likely, wanted = self.likelihoods(rows)
        return self.descend(-likely.sum() / wanted.sum())

    def likelihoods(self, rows: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-likelihoods of the answers' tokens in the order of rows and positions, (n,) with a graph, and which
        positions they are of, (rows, tokens - 1)."""
        batch = padded([(one.input_ids, one.labels) for one in rows], self.device, filler=self.filler)
        wanted = batch["labels"][:, 1:] != IGNORED
        with autocast(self.precision, self.device.type):
            return token_scores(self.model, batch, wanted), wanted

    def descend(self, loss: torch.Tensor) -> float:
        """One step of AdamW. Gives the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def gradient(self, row: Encoded) -> torch.Tensor:
        """(parameters,) in fp32: the gradient of the row's mean loss in what is trained."""
        likely, _ = self.likelihoods([row])
        found = torch.autograd.grad(-likely.mean(), self.trained)
        return torch.cat([one.flatten().float() for one in found])

    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(parameters,) each: Adam's running means of the gradient and of its square, without bias correction."""
        states = [self.optimiser.state[weight] for weight in self.trained]
        first, second = (
            torch.cat([state[name].flatten().float() for state in states]) for name in ("exp_avg", "exp_avg_sq")
        )
        return first, second

    def losses(self, rows: Sequence[Encoded], check: Callable[[int, int], None] | None = None) -> list[float]:
        """Nats a token of each row's answer."""
        return row_losses(self.model, rows, self.precision, check)

    def _adam(self) -> torch.optim.AdamW:
        return torch.optim.AdamW(self.trained, lr=self.lr, weight_decay=0.0)


@contextmanager
def proxy(model: Any, *, rank: int, lr: float, seed: int, filler: int, precision: str) -> Iterator[Proxy]:
    """A proxy of the model; afterwards the model is as it was.

    Where the model has an adapter already, which the stage goes on with, the proxy is of a merged copy: the base
    weights are there twice for as long as it takes.

    Args:
        rank: of the LoRA, on every linear layer.
        seed: of its initialisation.
    """
    on = merged(copy.deepcopy(model)) if hasattr(model, "peft_config") else model
    built = adapter("lora").build(
        on, Adapter.model_validate({"kind": "lora", "rank": rank, "alpha": 2 * rank}), Start(seed)
    )
    try:
        yield Proxy(built, lr, filler, precision)
    finally:
        built.unload()
