"""Weights of the rows of a batch, learnt while they are used: the two levels of DWM (``selectors/dwm.py``)."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.guided import Guided
from tunewright.tools.training.learning import Batch, Learning, parts
from tunewright.tools.training.scoring import sums, token_scores
from tunewright.tools.training.sources import seeded

Key = tuple[int, ...]
"""A row's tokens."""


class Weigher(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """The weighting model ``g``: features of rows -> a score each. It begins with the same score for all."""

    def __init__(self, features: int, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.inner = torch.nn.Linear(features, width)
        self.outer = torch.nn.Linear(width, 1, bias=False)
        torch.nn.init.zeros_(self.outer.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(rows,) of (rows, features)."""
        scores: torch.Tensor = self.outer(torch.tanh(self.inner(features)))[:, 0]
        return scores


def batch_weights(scores: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
    """(rows,), none negative, with the number of rows as their sum: a softmax over the batch times that.

    Args:
        scores: (rows,).
        copies: (rows,) how often the row is in the batch, itself counted: copies share what one of them would have.
    """
    return torch.softmax(scores - copies.log(), 0) * len(scores)


class Weighting(Guided):
    """Gives each batch ``row_weights``, and every few steps changes how they come about.

    Args:
        inner: what is weighted: its loss takes ``row_weights``.
        settings: a ``DwmConfig``.
        lr: of the step whose outcome is looked at: eta.
        held: indices of the rows that are held out.
    """

    def __init__(self, inner: Learning, settings: Any, lr: float, held: Sequence[int]) -> None:
        super().__init__(inner)
        self.chosen, self.lr, self.held = settings, lr, list(held)
        rows, encoded = self.data.rows, self.data.encoded
        names = sorted({row["source"] for row in rows})
        self.sources = len(names)
        self.source = {tuple(one.input_ids): names.index(row["source"]) for row, one in zip(rows, encoded, strict=True)}
        self.device = next(self.model.parameters()).device
        seed = seeded(self.begin.seed, "dwm")
        self.weigher = Weigher(3 + self.sources, settings.width, seed).to(self.device)
        self.adam = torch.optim.Adam(self.weigher.parameters(), lr=settings.lr)
        self.said: dict[str, float] = {}

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The objective's batch with ``row_weights``, (rows,)."""
        batch = self.inner.prepare(batch, step)
        features, copies = self.features(batch, step)
        if (step + 1) % self.chosen.update_every == 0:
            self._update(batch, features, copies, step)
        weights = self.weights(features, copies).detach()
        self.said.update(least_weight=float(weights.min()), most_weight=float(weights.max()))
        return {**batch, "row_weights": weights}

    def weights(self, features: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
        """(rows,) with a graph to the weighting model."""
        with torch.autocast(self.device.type, enabled=False):
            return batch_weights(self.weigher(features) / self.chosen.temperature, copies)

    def features(self, batch: Batch, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, features): loss and logarithm of the length, each in standard deviations from the batch's mean, how
        far the stage is, and the source as one-hot; and (rows,) copies of each row in the batch."""
        keys = _keys(batch)
        losses = self._losses(batch)
        lengths = torch.tensor([math.log(len(key)) for key in keys], device=self.device)
        progress = torch.full_like(losses, step / max(1, self.begin.steps))
        known = torch.zeros(len(keys), self.sources, device=self.device)
        for at, key in enumerate(keys):
            if key in self.source:
                known[at, self.source[key]] = 1
        counts = Counter(keys)
        copies = torch.tensor([float(counts[key]) for key in keys], device=self.device)
        return torch.cat([torch.stack([_standard(losses), _standard(lengths), progress], 1), known], 1), copies

    def hypergradient(self, batch: Batch, weights: torch.Tensor, held: Batch) -> tuple[torch.Tensor, float]:
        """(rows,): the exact gradient, in each row's weight, of the held-out answers' likelihood loss after one step of
        plain gradient descent on the weighted batch; and that loss. The model's weights are as before, to the bit.

        ``- eta < grad L(theta'), grad l_i(theta) >`` with ``l_i`` the row's part of the batch's loss and
        ``theta' = theta - eta sum_i w_i grad l_i(theta)``.
        """
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        items = self.inner.items(batch)
        with _without_dropout(self.model):
            step = _gradient(self.inner.loss({**batch, "row_weights": weights}) / items, trained)
            before = [weight.detach().clone() for weight in trained]
            with torch.no_grad():
                for weight, along in zip(trained, step, strict=True):
                    weight.sub_(self.lr * along)
            torch.clear_autocast_cache()  # it holds copies of the weights as they were
            loss = self._held_out_loss(held)
            towards = _gradient(loss, trained)
            with torch.no_grad():
                for weight, old in zip(trained, before, strict=True):
                    weight.copy_(old)
            torch.clear_autocast_cache()
            found = [
                -self.lr * _dot(towards, _gradient(self.inner.loss(row) / items, trained)) for row in parts(batch, 1)
            ]
        return torch.stack(found), float(loss.detach())

    def own(self) -> dict[str, Any]:
        """The weighting model and its optimiser."""
        return {"weigher": self.weigher.state_dict(), "adam": self.adam.state_dict(), "said": self.said}

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``own`` gave."""
        self.weigher.load_state_dict(state["weigher"])
        self.adam.load_state_dict(state["adam"])
        self.said = dict(state["said"])

    def own_facts(self) -> Mapping[str, float]:
        """``least_weight`` and ``most_weight`` of the last batch; ``held_out_loss`` when it was looked at last."""
        return self.said

    def _update(self, batch: Batch, features: torch.Tensor, copies: torch.Tensor, step: int) -> None:
        chance = random.Random(f"{self.begin.seed} dwm {step}")
        drawn = chance.sample(self.held, min(self.chosen.val_rows, len(self.held)))
        held = {
            name: column.to(self.device) if isinstance(column, torch.Tensor) else column
            for name, column in self.inner.collate(drawn).items()
        }
        weights = self.weights(features, copies)
        slope, loss = self.hypergradient(batch, weights.detach(), held)
        self.adam.zero_grad()
        (weights * slope).sum().backward()
        self.adam.step()
        self.said["held_out_loss"] = loss

    def _held_out_loss(self, held: Batch) -> torch.Tensor:
        """Nats a token of the answers, whatever the objective makes of them: dft's own loss falls with confidence."""
        wanted = held["labels"][:, 1:] != IGNORED
        return -token_scores(self.model, held, wanted).mean()

    def _losses(self, batch: Batch) -> torch.Tensor:
        """(rows,) nats a labelled token."""
        wanted = batch["labels"][:, 1:] != IGNORED
        with _without_dropout(self.model), torch.no_grad():
            likely = token_scores(self.model, batch, wanted)
        torch.clear_autocast_cache()  # its copies have no gradients
        return -sums(likely, wanted) / wanted.sum(1).clamp(min=1)


def _keys(batch: Batch) -> list[Key]:
    mask = batch["attention_mask"].bool()
    return [tuple(ids[kept].tolist()) for ids, kept in zip(batch["input_ids"], mask, strict=True)]


def _standard(values: torch.Tensor) -> torch.Tensor:
    spread = values.std(correction=0)
    return (values - values.mean()) / spread if spread > 1e-6 else torch.zeros_like(values)


def _gradient(loss: torch.Tensor, trained: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of each weight; zero where the loss does not depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in trained]
    found = torch.autograd.grad(loss, list(trained), allow_unused=True)
    return [torch.zeros_like(weight) if one is None else one for one, weight in zip(found, trained, strict=True)]


def _dot(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(a.float() * b.float()).sum() for a, b in zip(one, other, strict=True)]).sum()


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
