"""Training in rounds, each on the rows that the model still gets wrong. The loop of ``adapters/boostlora.py``.

A round's delta is merged into what stays, or discarded if fewer of the held-out rows are answered with it; after a
discarded one the learning rate is half of what it was. The held-out rows are a tenth of the training rows, never
validation data, and no round trains on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.tools.evaluation.inference import device_of
from tunewright.tools.training.batch import padded
from tunewright.tools.training.failures import Labelled, answered, distinct, held_out
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import Start

_NAME = "default"


class Boosting(Loop):
    """Rounds over the steps of a stage.

    Args:
        model: with the layers of ``tools.models.tuners.boostlora`` in PEFT's wrapper.
    """

    def __init__(self, model: Any, start: Start) -> None:
        self._model, self._start = model, start
        self._config = model.peft_config[_NAME]
        self._layers = model.base_model.layers
        self._weights = list(
            {id(layer.boostlora_v[_NAME]): layer.boostlora_v[_NAME] for layer in self._layers}.values()
        )
        rounds = min(self._config.rounds, start.steps)
        self._ends = [(number + 1) * start.steps // rounds for number in range(rounds)]
        """The step after each round's last."""
        self._rows: list[Labelled] | None = None
        self._step = 0
        self._failures: list[int] | None = None
        """Indices of the rows that the round trains on, in the order of training; None before the first look."""
        self._accuracy = 0.0
        """Share of the held-out rows that are answered."""
        self.history: list[dict[str, Any]] = []
        """What became of each round that had failures: ``round``, ``failures``, ``before``, ``after``, ``merged``."""

    @property
    def failures(self) -> list[Labelled]:
        """The rows that the round trains on."""
        return [self.rows[index] for index in self._failures or ()]

    @property
    def rows(self) -> list[Labelled]:
        """Every different training row of the stage."""
        if self._rows is None:
            self._rows = distinct(self._start.rows(self._start.first_pass))
        return self._rows

    def before_step(self, step: int) -> None:
        """The first look, before the first step."""
        self._step = step
        if self._failures is None:
            self._accuracy = self._held_out_accuracy()
            self._look()

    def batch(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """As many failures as the batch has rows, or all if they are fewer; they are gone through in turn."""
        rows = self.failures
        if not rows:
            return inputs
        count = min(len(rows), inputs["input_ids"].shape[0])
        first = (self._step - self._begin) * count
        return padded([rows[(first + number) % len(rows)] for number in range(count)], device_of(self._model))

    def after_backward(self, step: int) -> None:
        """A round without failures learns nothing."""
        if not self._failures:
            for weight in self._weights:
                weight.grad = None

    def after_step(self, step: int, optimiser: Any) -> None:
        """Ends the round whose last step this was."""
        if step + 1 in self._ends:
            self._close(optimiser)

    def state(self) -> dict[str, Any]:
        """Where the rounds are, and what they have learned."""
        return {
            "round": self._config.round,
            "pace": self._config.pace,
            "failures": self._failures,
            "accuracy": self._accuracy,
            "history": self.history,
            "cores": {layer.key: layer.boostlora_core[_NAME].clone() for layer in self._layers},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self._config.round, self._config.pace = state["round"], state["pace"]
        self._failures, self._accuracy = state["failures"], state["accuracy"]
        self.history = list(state["history"])
        for layer in self._layers:
            layer.boostlora_core[_NAME].copy_(state["cores"][layer.key])

    @property
    def _begin(self) -> int:
        """The round's first step."""
        return self._ends[self._config.round - 1] if self._config.round else 0

    def _close(self, optimiser: Any) -> None:
        import torch

        merged = False
        if self._failures:
            after = self._held_out_accuracy()
            merged = after >= self._accuracy
            self.history.append(
                {
                    "round": self._config.round,
                    "failures": len(self._failures),
                    "before": self._accuracy,
                    "after": after,
                    "merged": merged,
                }
            )
            if merged:
                self._accuracy = after
                for layer in self._layers:
                    layer.keep(_NAME)
            else:
                self._config.pace /= 2
        with torch.no_grad():
            for weight in self._weights:
                weight.zero_()
                optimiser.state.pop(weight, None)  # the next round's adapter is a new one
        self._config.round += 1
        if merged and self._config.round < len(self._ends):
            self._look()

    def _look(self) -> None:
        """Measures which rows fail; the round trains on them in an order of its own."""
        import torch

        apart = set(held_out(self.rows))
        train = [index for index in range(len(self.rows)) if index not in apart]
        right = answered(self._model, [self.rows[index] for index in train])
        wrong = [index for index, value in zip(train, right, strict=True) if not value]
        random = torch.Generator().manual_seed(self._start.seed * 1000 + self._config.round)
        self._failures = [wrong[place] for place in torch.randperm(len(wrong), generator=random).tolist()]

    def _held_out_accuracy(self) -> float:
        rows = [self.rows[index] for index in held_out(self.rows)]
        return sum(answered(self._model, rows)) / len(rows) if rows else 0.0
