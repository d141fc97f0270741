"""MatryoshkaLoRA: one LoRA whose first ranks are LoRAs themselves. Modoranu, Safaryan, Alistarh, arXiv 2605.07850.

In training ``dW = B diag(p) A``, which is the sum over the trained ranks r of ``s_r B[:, :r] A[:r]``; in evaluation
``dW = B[:, :q] diag(p[:q]) A[:q]`` at the serving rank q, or ``s_q B[:, :q] A[:q]`` with ``serving="paper"``. With
``mode="dylora"`` a pass takes ``s_r B[:, :r] A[:r]`` of one rank alone: in training of the one that was drawn last,
in evaluation of the serving rank. ``tools/models/nested.py`` has ranks, scales and ``p``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft import get_peft_model
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.nested import Scale, keeps_diagonal, lora_config, scale_of, trained_ranks, weights_of
from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "matryoshka"
    r: int = field(default=16)
    ranks: list[int] | None = field(default=None)
    serve_rank: int | None = field(default=None)
    scale: Scale = field(default="sqrt")
    mode: str = field(default="matryoshka")
    serving: str = field(default="trained")
    a_init: str = field(default="ref")
    fan_in_fan_out: bool = field(default=False)


class Layer(DeltaLayer):
    """A linear module with nested LoRAs beside it."""

    adapter_layer_names = ("matryoshka_A", "matryoshka_B")
    other_param_names = ("matryoshka_p", "settings", "serving", "drawn")

    def prepare(self, config: Config) -> None:
        self.matryoshka_A, self.matryoshka_B = nn.ParameterDict(), nn.ParameterDict()
        self.matryoshka_p = BufferDict(persistent=False)
        self.settings: dict[str, Config] = {}
        self.serving: dict[str, int] = {}
        """The rank of evaluation."""
        self.drawn: dict[str, int] = {}
        """The one rank of a training pass, in the mode ``dylora``."""

    def add(self, name: str, config: Config) -> None:
        if config.r > min(self.in_features, self.out_features):
            raise ValueError(
                f"a rank of at most {min(self.in_features, self.out_features)} was expected for {self.key} "
                f"({self.in_features} to {self.out_features}), got {config.r}"
            )
        ranks = trained_ranks(config.r, config.ranks)
        self.serving[name] = config.serve_rank or config.r
        if self.serving[name] not in ranks:
            raise ValueError(f"a serving rank of {ranks} was expected, got {config.serve_rank}")
        self.matryoshka_A[name] = nn.Parameter(torch.empty(config.r, self.in_features))
        self.matryoshka_B[name] = nn.Parameter(torch.zeros(self.out_features, config.r))
        if self.matryoshka_A[name].device.type != "meta":
            # The paper's code keeps A as (inputs, r) and initialises it by its second dimension.
            bound = 1 / math.sqrt(config.r if config.a_init == "ref" else self.in_features)
            nn.init.uniform_(self.matryoshka_A[name], -bound, bound)
        self.settings[name], self.drawn[name] = config, config.r

    def update_layer(self, adapter_name: str, config: Config) -> None:
        super().update_layer(adapter_name, config)
        # Last, since PEFT moves what an adapter has to the base weight's precision: p is exact in any model.
        weights = weights_of(config.r, trained_ranks(config.r, config.ranks), config.scale)
        self.matryoshka_p[adapter_name] = torch.tensor(weights, device=self.base_weight().device)

    def weights(self, name: str, training: bool) -> tuple[int, torch.Tensor | float]:
        """How many ranks a pass takes, and what it multiplies each of them with, (rank,) or one number for all."""
        settings = self.settings[name]
        if training and settings.mode == "matryoshka":
            return settings.r, self.matryoshka_p[name]
        rank = self.drawn[name] if training else self.serving[name]
        kept = keeps_diagonal(settings)
        return rank, self.matryoshka_p[name][:rank] if kept else scale_of(rank, settings.scale)

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        rank, weights = self.weights(name, self.training)
        down, up = self.matryoshka_A[name][:rank], self.matryoshka_B[name][:, :rank]
        latent = nn.functional.linear(x.to(down.dtype), down) * weights
        return result + nn.functional.linear(latent, up).to(result.dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """At the serving rank, in whatever mode the module is."""
        rank, weights = self.weights(adapter, False)
        up = self.matryoshka_B[adapter][:, :rank].float() * weights
        return up @ self.matryoshka_A[adapter][:rank].float()


class Model(Tuner):
    """A model with MatryoshkaLoRA on its target modules."""

    prefix = "matryoshka_"
    tuner_layer_cls = Layer

    def serve(self, rank: int, name: str = "default") -> None:
        """Evaluates, merges and exports at this rank from now on.

        Raises:
            ValueError: it is no rank of the adapter.
        """
        most = self.peft_config[name].r
        if not 1 <= rank <= most:
            raise ValueError(f"a rank from 1 to {most} was expected, got {rank}")
        for layer in self.layers:
            layer.serving[name] = rank

    def draw(self, rank: int, name: str = "default") -> None:
        """Trains this rank alone in the next pass; it counts in the mode ``dylora``."""
        for layer in self.layers:
            layer.drawn[name] = rank

    def as_lora(self) -> Any:
        """The base model with the adapter ``default`` at its serving rank as a stock LoRA. The model is used up."""
        config = self.peft_config["default"]
        layers = self.layers
        rank, kept = layers[0].serving["default"], keeps_diagonal(config)
        scale: Scale = "none" if kept else config.scale
        made = lora_config(rank, scale, config, fan_in_fan_out=config.fan_in_fan_out)
        base = self.unload()
        wrapped = get_peft_model(base, made)
        with torch.no_grad():
            for layer in layers:
                stock, down = base.get_submodule(layer.key), layer.matryoshka_A["default"][:rank]
                down = down * layer.matryoshka_p["default"][:rank, None] if kept else down
                stock.lora_A["default"].weight.copy_(down)
                stock.lora_B["default"].weight.copy_(layer.matryoshka_B["default"][:, :rank])
        return wrapped
