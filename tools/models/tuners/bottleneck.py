"""Sequential bottleneck adapters: small residual networks on a module's output. Abou Baker et al., arXiv 2606.01947.

Each of ``count`` adapters maps ``h`` to ``h + W_up act(W_down h + b_down) + b_up``, with ``W_down`` (width, outputs)
and ``W_up`` (outputs, width); one takes the output of the one before it. ``W_up`` and the biases start at zero, so
that the module computes what it did. A function of the module's output cannot be merged into its weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from tunewright.tools.models.tuner import LinearLayer, Tuner, TunerConfig

ACTIVATIONS = {"relu": nn.functional.relu, "gelu": nn.functional.gelu, "silu": nn.functional.silu}


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "bottleneck"
    count: int = field(default=2)
    width: int = field(default=16)
    activation: str = field(default="gelu")


class Layer(LinearLayer):
    """A linear module with adapters after it.

    The biases are vectors, all adapters' in one, since an optimiser spares vectors its weight decay.
    """

    adapter_layer_names = (
        "bottleneck_down",
        "bottleneck_down_bias",
        "bottleneck_up",
        "bottleneck_up_bias",
    )
    other_param_names = ("settings",)

    def prepare(self, config: Config) -> None:
        self.bottleneck_down, self.bottleneck_down_bias = nn.ParameterDict(), nn.ParameterDict()
        self.bottleneck_up, self.bottleneck_up_bias = nn.ParameterDict(), nn.ParameterDict()
        self.settings: dict[str, Config] = {}

    def add(self, name: str, config: Config) -> None:
        count, width, size = config.count, config.width, self.out_features
        down = torch.empty(count, width, size, dtype=torch.float32)
        if down.device.type != "meta":
            for one in down:
                nn.init.kaiming_uniform_(one, a=5**0.5)
        self.bottleneck_down[name] = nn.Parameter(down)
        self.bottleneck_down_bias[name] = nn.Parameter(torch.zeros(count * width, dtype=torch.float32))
        self.bottleneck_up[name] = nn.Parameter(torch.zeros(count, size, width, dtype=torch.float32))
        self.bottleneck_up_bias[name] = nn.Parameter(torch.zeros(count * size, dtype=torch.float32))
        self.settings[name] = config

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        settings, down, up = self.settings[name], self.bottleneck_down[name], self.bottleneck_up[name]
        down_bias = self.bottleneck_down_bias[name].view(settings.count, -1)
        up_bias = self.bottleneck_up_bias[name].view(settings.count, -1)
        for one in range(settings.count):
            latent = nn.functional.linear(result.to(down.dtype), down[one], down_bias[one])
            latent = ACTIVATIONS[settings.activation](latent)
            result = result + nn.functional.linear(latent, up[one], up_bias[one]).to(result.dtype)
        return result


class Model(Tuner):
    """A model with bottleneck adapters after its target modules."""

    prefix = "bottleneck_"
    tuner_layer_cls = Layer
