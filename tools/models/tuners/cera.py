"""CeRA (first called NoRA): a low-rank update with a non-linearity in its middle. Chen, arXiv 2602.22911.

``y = W x + B dropout(act(A x))`` without scale or bias; ``A`` (rank, inputs) by Kaiming's normal, ``B``
(outputs, rank) zero, so it starts as the base model. The update depends on the input beyond a product, hence it
cannot be merged, whatever its activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from tunewright.tools.models.tuner import LinearLayer, Tuner, TunerConfig

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": nn.functional.silu,
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "identity": lambda latent: latent,
}


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "cera"
    r: int = field(default=16)
    activation: str = field(default="silu")
    dropout: float = field(default=0.1)


class Layer(LinearLayer):
    """A linear module with CeRA beside it."""

    adapter_layer_names = ("cera_A", "cera_B")
    other_param_names = ("settings",)

    def prepare(self, config: Config) -> None:
        self.cera_A, self.cera_B = nn.ParameterDict(), nn.ParameterDict()
        self.settings: dict[str, Config] = {}

    def add(self, name: str, config: Config) -> None:
        weight = self.base_weight()
        self.cera_A[name] = nn.Parameter(torch.empty(config.r, self.in_features, dtype=torch.float32))
        self.cera_B[name] = nn.Parameter(torch.zeros(self.out_features, config.r, dtype=torch.float32))
        if weight.device.type != "meta":
            nn.init.kaiming_normal_(self.cera_A[name], nonlinearity="relu")
        self.settings[name] = config

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        settings, down, up = self.settings[name], self.cera_A[name], self.cera_B[name]
        latent = ACTIVATIONS[settings.activation](nn.functional.linear(x.to(down.dtype), down))
        latent = nn.functional.dropout(latent, settings.dropout, self.training)
        added = nn.functional.linear(latent, up)
        return result + added.to(result.dtype)


class Model(Tuner):
    """A model with CeRA on its target modules."""

    prefix = "cera_"
    tuner_layer_cls = Layer
