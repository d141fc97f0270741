"""SDS-LoRA: a low-rank update whose gradients are free of its singular values. Oh, Baik, Lee, arXiv 2606.16454.

LoRA's gradients ``dL/dA = s B^T G`` and ``dL/dB = s G A^T`` (``G = dL/dW``, outputs x inputs) are stretched by the
singular values of the other factor. SDS-LoRA trains ``dW = s (Q_B A + B Q_A)`` with constant orthonormal ``Q_B``
(outputs, r) and ``Q_A`` (r, inputs): ``dL/dA = s Q_B^T G``, ``dL/dB = s G Q_A^T``. ``A`` (r, inputs) and ``B``
(outputs, r) are trained, ``r (inputs + outputs)`` a module; ``dW`` has rank 2r at most.

- Warm-up: LoRA, ``dW = s B A``, for the first ``warmup_steps``.
- Activation: ``Q_B``, ``Q_A`` become the singular vectors of ``B A``, and A and B half of ``dW / s`` each; the
  function stays, the optimiser's moments of A and B are dropped.
- Refreshes: ``Q_A``, ``Q_B`` from QR decompositions of A and B, ``refresh_phases`` times, evenly over what is left
  of the stage. This does change ``dW``; by how much is kept in the loop's ``record``.

The idea, the gradients and the activation are the paper's (its abstract); ``s = alpha / sqrt(r)``, ten warm-up
steps, five refreshes and the dropped moments are as two independent re-implementations have them; the paper's tables
were not read. One of them says that the paper prints ``1 / sqrt(2s)`` for the activation's factor: only
``1 / (2s)`` leaves the function alone, and that is used. Ours: a module whose A or B is not of full rank yet
(``B`` starts at zero) is activated later, at the first step where it is; refreshes are spread between the warm-up
and the end and never fall on either; the learning rate's range.

What is saved is stock LoRA of rank 2r, ``A' = [A; Q_A]``, ``B' = s [Q_B, B]``; of rank r for a module that was never
activated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, lora_size, rank_choice


class SdsLoraSettings(MethodConfig):
    """Settings of SDS-LoRA."""

    rank: int = Field(8, gt=0)
    """Rank r of each of the two halves of the update."""
    alpha: float = Field(8, gt=0)
    """Numerator of the scale ``alpha / sqrt(rank)``."""
    warmup_steps: int = Field(10, ge=0)
    """Steps as plain LoRA."""
    refresh_phases: int = Field(5, ge=0)
    """How often the bases are taken anew."""


class SdsLora(PeftMethod):
    """LoRA with gradients through orthonormal bases."""

    kind = "sdslora"
    names = ("SDS-LoRA",)
    summary = "LoRA whose gradients are not stretched by its own singular values; when LoRA converges slowly"
    paper = "arXiv 2606.16454"
    Config: type[MethodConfig] = SdsLoraSettings
    exports_lora = True
    fits_conv1d = True
    lr = (5e-5, 2e-3, 4e-4)
    step_cost = 2.7
    activation_cost = 1.6

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, scale, and when the bases change."""
        return [
            rank_choice(
                stage, (4, 8, 16, 32), 8, max_rank, why="small data sets rarely need more: LoRA Without Regret"
            ),
            Choice(name="alpha.sdslora", path=f"{stage}.adapter.alpha", options=(4, 8, 16, 32), default=8),
            Choice(name="warmup_steps.sdslora", path=f"{stage}.adapter.warmup_steps", options=(5, 10, 50), default=10),
            Choice(
                name="refresh_phases.sdslora", path=f"{stage}.adapter.refresh_phases", options=(1, 5, 10), default=5
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.sdslora import Config

        return Config(r=settings.rank, alpha=settings.alpha, target_modules=targets, task_type="CAUSAL_LM")

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a module."""
        for linear in linears:
            most = min(linear.inputs, linear.outputs)
            if settings.rank > most:
                raise UsageError(
                    f"'sdslora' expects a rank of at most {most} for {linear.name} ({linear.inputs} to "
                    f"{linear.outputs}), got {settings.rank}: more orthonormal vectors there are not",
                    f"take a rank of at most {most}, or a placement without that module",
                )
        return lora_size(linears, settings.rank)

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """Activation and refreshes."""
        settings = SdsLoraSettings.model_validate(adapter.settings)
        return Phases(model.base_model.layers, settings, start.steps)

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """Stock LoRA of rank 2r, or of rank r where the stage ended before the activation."""
        from tunewright.tools.models.factors import with_lora

        factors = {layer.key: layer.lora("default") for layer in model.base_model.layers}
        return with_lora(model.unload(), factors)


class Phases(Loop):
    """Activates the layers after the warm-up and refreshes their bases.

    Args:
        layers: of the tuner.
        steps: of the stage.
    """

    def __init__(self, layers: Sequence[Any], settings: SdsLoraSettings, steps: int) -> None:
        self.layers = {layer.key: layer for layer in layers}
        self.warmup, self.steps = settings.warmup_steps, steps
        span, phases = steps - self.warmup, settings.refresh_phases
        points = {self.warmup + span * phase // (phases + 1) for phase in range(1, phases + 1)}
        self.refreshes = sorted(point for point in points if self.warmup < point < steps)
        """After how many steps the bases are taken anew."""
        self.record: list[dict[str, Any]] = []
        """Each change: ``step``, ``layers`` and, of a refresh, ``change`` of the update over its size before."""

    def after_step(self, step: int, optimiser: Any) -> None:
        """Phases begin between the steps."""
        import torch

        done = step + 1
        with torch.autocast("cpu", enabled=False):  # bf16 products would not be orthonormal
            if done in self.refreshes:
                self._refresh(done)
            if self.warmup <= done < self.steps:
                self._activate(done, optimiser)

    def state(self) -> dict[str, Any]:
        """Bases of the activated layers, and the record."""
        bases = {
            key: (layer.sdslora_Q_A["default"].detach(), layer.sdslora_Q_B["default"].detach())
            for key, layer in self._activated().items()
        }
        return {"bases": bases, "record": self.record}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts the phase of every layer back."""
        for key, bases in state["bases"].items():
            self.layers[key].take("default", *bases)
        self.record = list(state["record"])

    def _activated(self) -> dict[str, Any]:
        return {key: layer for key, layer in self.layers.items() if layer.activated["default"]}

    def _activate(self, done: int, optimiser: Any) -> None:
        waiting = [layer for layer in self.layers.values() if not layer.activated["default"]]
        changed = [layer for layer in waiting if layer.activate("default")]
        for layer in changed:
            for weight in (layer.sdslora_A["default"], layer.sdslora_B["default"]):
                optimiser.state.pop(weight, None)  # moments of factors that are no longer those
        if changed:
            self.record.append({"step": done, "layers": len(changed)})

    def _refresh(self, done: int) -> None:
        squares = [layer.refresh("default") for layer in self._activated().values()]
        if squares:
            change, size = (math.sqrt(sum(column)) for column in zip(*squares, strict=True))
            self.record.append({"step": done, "layers": len(squares), "change": change / size if size else 0.0})


METHOD = SdsLora()
