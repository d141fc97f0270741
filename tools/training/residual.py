"""Base of LoRA's initialisations from a part of the weight: that part is trained, the rest is frozen.

A method says with which ``A0`` (rank, inputs) and ``B0`` (outputs, rank) each module starts. The layers compute
``W x + s (B A - B0 A0) x`` (``tools/models/offset.py``), which is the papers' ``(W - s B0 A0) x + s B A x``; what is
saved is a stock LoRA of rank 2r on the original weights. Weight decay would wear off a part of the pretrained
weight, so leave it at zero, as the papers do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import RANKS, Lora
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import rank_choice, transposed


class ResidualSettings(MethodConfig):
    """Settings of the initialisations whose scale is one, as in their papers."""

    rank: int = Field(8, gt=0)
    """Rank r of the trained part; what is saved has rank 2r."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Residual(Lora):
    """LoRA that starts at a part of the weight, or of its gradient."""

    everyday = False
    transfers = False
    Config: type[MethodConfig] = ResidualSettings
    directions_per_rank: int = 1
    """How many singular directions of a module each rank takes."""

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, shared by LoRA and its kin. The scale is one: another would only be another learning rate."""
        return [rank_choice(stage, RANKS, 8, max_rank, why="small data sets rarely need more: LoRA Without Regret")]

    def scale(self, settings: Any) -> float:
        """What ``B A`` is multiplied by."""
        return 1.0

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``LoraConfig``; what it starts with is set afterwards."""
        from peft import LoraConfig

        return LoraConfig(
            r=settings.rank,
            lora_alpha=self.scale(settings) * settings.rank,
            lora_dropout=settings.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a layer.

        Raises:
            UsageError: a module has fewer singular directions than are asked for.
        """
        wanted = self.directions_per_rank * settings.rank
        for linear in linears:
            there = min(linear.inputs, linear.outputs)
            if wanted > there:
                raise UsageError(
                    f"'{self.kind}' of rank {settings.rank} takes {wanted} singular directions of each module, and "
                    f"'{linear.name}' of {linear.outputs} x {linear.inputs} has {there}",
                    f"give a rank of at most {there // self.directions_per_rank}, or leave that module out",
                )
        return super().size(linears, settings)

    @abstractmethod
    def starts(
        self, layers: Mapping[str, Any], model: Any, settings: Any, start: Start
    ) -> Iterator[tuple[str, Any, Any]]:
        """(module name, ``A0``, ``B0``) of every layer, in any order.

        Args:
            layers: PEFT's layers by module name; they compute what the base model does.
            model: the base model, the layers in it.
        """

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper, its LoRA started."""
        from tunewright.tools.models.offset import lora_layers, start_at

        made = super().build(model, adapter, start)
        settings = self.Config.model_validate(adapter.settings)
        layers = lora_layers(made)
        for name, down, up in self.starts(layers, made.get_base_model(), settings, start):
            start_at(layers[name], down, up)
        return made

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """Keeps the frozen halves in checkpoints."""
        return _Kept(model)

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """A stock LoRA of rank 2r on the original weights."""
        from tunewright.tools.models.factors import factors_of, with_lora

        factors = factors_of(model)
        return with_lora(model.unload(), factors)


class _Kept(Loop):
    """Checkpoints hold what is taken off: computed anew elsewhere it could differ in its last bits."""

    def __init__(self, model: Any) -> None:
        from tunewright.tools.models.offset import frozen_halves

        self._frozen = frozen_halves(model)

    def state(self) -> dict[str, Any]:
        return dict(self._frozen)

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            self._frozen[name].copy_(value)
