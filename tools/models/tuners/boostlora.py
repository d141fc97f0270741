"""The layers of BoostLoRA: one window of the frozen weight's singular vectors after the other. See the method's file.

For round ``t`` the window is the singular triplets ``t r .. (t + 1) r`` of the weight as it was before all training:
``down_t = sqrt(S_t) V_t^T`` (r, inputs) and ``up_t = U_t sqrt(S_t)`` (outputs, r), both frozen. A round trains
``v`` (u,) in ``core_t = sum_i v_i P_i`` with fixed random ``P_i`` (r, r); what earlier rounds learned stays in a
block-diagonal core (rounds r, rounds r) that is not trained. The update is ``up core down``, a plain matrix.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.factors import Factor
from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig

_OVERSAMPLED, _ITERATIONS = 8, 4
"""Of the randomised decomposition, where only a small part of the triplets is wanted."""


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "boostlora"
    r: int = field(default=4)
    u: int = field(default=16)
    rounds: int = field(default=6)
    tying: str = field(default="none")
    """``none``: each module has its own ``v``; ``type``: modules of one name share one; ``all``: there is one."""
    seed: int = field(default=0)
    """Of the random matrices ``P``."""
    round: int = field(default=0)
    """The round in training; as many as there are rounds once all are over."""
    pace: float = field(default=1.0)
    """What ``v`` is multiplied by: with Adam, whose steps know no scale, the same as a factor on the learning rate."""

    def group(self, key: str) -> str:
        """What the module shares its ``v`` with."""
        return {"none": key, "type": key.rpartition(".")[2]}.get(self.tying, "")


class Layer(DeltaLayer):
    """A linear module with BoostLoRA beside it."""

    adapter_layer_names = ("boostlora_v",)
    other_param_names = ("boostlora_down", "boostlora_up", "boostlora_P", "boostlora_core", "settings")

    def prepare(self, config: Config) -> None:
        self.boostlora_v = nn.ParameterDict()
        self.boostlora_down, self.boostlora_up = BufferDict({}, persistent=True), BufferDict({}, persistent=True)
        self.boostlora_P, self.boostlora_core = BufferDict({}, persistent=True), BufferDict({}, persistent=True)
        self.settings: dict[str, Config] = {}

    def add(self, name: str, config: Config) -> None:
        r, rounds = config.r, config.rounds
        slots = min(self.in_features, self.out_features) // r
        if not slots:
            raise ValueError(f"{self.key} has no {r} singular vectors")
        up, down = windows(self.base_weight(), r * min(rounds, slots))
        taken = torch.arange(r * rounds) % (r * slots)  # the first window again after the last
        self.boostlora_down[name], self.boostlora_up[name] = down[taken].contiguous(), up[:, taken].contiguous()
        random = torch.Generator().manual_seed(zlib.crc32(f"{config.seed} {self.key}".encode()))
        self.boostlora_P[name] = torch.randn(rounds, config.u, r, r, generator=random) / r**0.5
        self.boostlora_core[name] = torch.zeros(rounds * r, rounds * r)
        self.boostlora_v[name] = nn.Parameter(torch.zeros(config.u, dtype=torch.float32))
        self.settings[name] = config

    def core(self, name: str) -> torch.Tensor:
        """The block-diagonal core up to the round in training, whose block carries the gradient."""
        config, kept = self.settings[name], self.boostlora_core[name]
        if config.round >= config.rounds:
            return kept
        size, first = (config.round + 1) * config.r, config.round * config.r
        block = config.pace * torch.einsum("i,ijk->jk", self.boostlora_v[name], self.boostlora_P[name][config.round])
        return kept[:size, :size] + nn.functional.pad(block, (first, 0, first, 0))

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        core, down, up = self.core(name), self.boostlora_down[name], self.boostlora_up[name]
        used = core.shape[0]
        latent = nn.functional.linear(nn.functional.linear(x.to(down.dtype), down[:used]), core)
        return result + nn.functional.linear(latent, up[:, :used]).to(result.dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        core = self.core(adapter)
        used = core.shape[0]
        return self.boostlora_up[adapter][:, :used] @ core @ self.boostlora_down[adapter][:used]

    def keep(self, name: str) -> None:
        """Adds what the round in training has learned to what stays."""
        core = self.core(name).detach()
        self.boostlora_core[name][: core.shape[0], : core.shape[0]] = core

    def factor(self, name: str, rounds: list[int]) -> Factor:
        """The update of these rounds."""
        r = self.settings[name].r
        rows = torch.tensor([number * r + row for number in rounds for row in range(r)])
        core = self.core(name).detach()[rows][:, rows]
        return Factor(self.boostlora_down[name][rows].clone(), self.boostlora_up[name][:, rows] @ core)

    def learned(self, name: str) -> list[int]:
        """The rounds whose update is not zero."""
        r = self.settings[name].r
        blocks = self.core(name).detach().abs().sum(1).unflatten(0, (-1, r)).sum(1)
        return [int(number) for number in blocks.nonzero().flatten()]


class Model(Tuner):
    """A model with BoostLoRA on its target modules."""

    prefix = "boostlora_"
    tuner_layer_cls = Layer

    def _post_injection_hook(self, model: nn.Module, config: Any, adapter_name: str) -> None:
        shared: dict[str, nn.Parameter] = {}
        for layer in self.layers:
            if layer.holds(adapter_name):
                own = layer.boostlora_v[adapter_name]
                layer.boostlora_v[adapter_name] = shared.setdefault(config.group(layer.key), own)


def windows(weight: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first ``count`` singular triplets of a weight (outputs, inputs): ``U sqrt(S)`` (outputs, count) and
    ``sqrt(S) V^T`` (count, inputs), in fp32.

    Where they are a small part of all, by Halko's randomised range finder: the vectors are orthonormal to rounding
    there as well, and the least of them turn a little from the exact ones.
    """
    exact = weight.detach().float()
    if exact.device.type == "meta":
        return exact.new_empty(exact.shape[0], count), exact.new_empty(count, exact.shape[1])
    if 4 * (count + _OVERSAMPLED) < min(exact.shape):
        up, values, right = torch.svd_lowrank(exact, q=count + _OVERSAMPLED, niter=_ITERATIONS)
        down = right.T
    else:
        up, values, down = torch.linalg.svd(exact, full_matrices=False)
    root = values[:count].sqrt()
    return up[:, :count] * root, root[:, None] * down[:count]
