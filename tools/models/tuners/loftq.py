"""LoftQ: LoRA beside a weight of few bits, both chosen together to be near the weight. Li et al., arXiv 2310.08659.

``y = Q x + s B A x``. ``Q`` (outputs, inputs) has k bits a number in k-bit NormalFloat: blocks of 64 numbers in row
order share a scale, and each number is the nearest of ``2^k`` quantiles of a normal distribution, zero among them
(Dettmers et al., arXiv 2305.14314). From ``B A = 0`` on, in turns, ``Q`` is the quantised ``W - s B A`` and ``s B A``
the nearest matrix of rank r to ``W - Q``.

The quantised weight is saved with the adapter, two numbers a byte, since computed anew elsewhere a number on the edge
between two quantiles could fall to the other side. It is computed with in full precision: this is the arithmetic of a
model of few bits, not its speed or memory while it trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.lowrank import top_singular
from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig

BLOCK = 64
"""Numbers that share a scale."""


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "loftq"
    r: int = field(default=8)
    alpha: float = field(default=16)
    dropout: float = field(default=0.0)
    bits: int = field(default=4)
    turns: int = field(default=5)


class Layer(DeltaLayer):
    """A linear module with a quantised copy of its weight and a LoRA beside it."""

    adapter_layer_names = ("loftq_A", "loftq_B")
    other_param_names = ("loftq_codes", "loftq_scales", "settings")

    def prepare(self, config: Config) -> None:
        self.loftq_A, self.loftq_B = nn.ParameterDict(), nn.ParameterDict()
        self.loftq_codes, self.loftq_scales = BufferDict({}, persistent=True), BufferDict({}, persistent=True)
        self.settings: dict[str, Config] = {}
        self._dense: dict[str, torch.Tensor] = {}

    def add(self, name: str, config: Config) -> None:
        weight = self.base_weight().detach()
        blocks = -(-weight.numel() // BLOCK)
        self.settings[name] = config
        self._dense.pop(name, None)
        down = torch.zeros(config.r, self.in_features)
        up = torch.zeros(self.out_features, config.r)
        codes = torch.zeros(blocks * BLOCK // 2, dtype=torch.uint8)
        scales = torch.zeros(blocks)
        if weight.device.type != "meta" and not config.inference_mode:  # else they are about to be loaded
            codes, scales, down, up = alternate(weight.float().contiguous(), config.r, config.bits, config.turns)
            root = (config.alpha / config.r) ** 0.5
            # In the order in which they are loaded, so that products are the same to the bit.
            down, up = (down / root).contiguous(), (up / root).contiguous()
        self.loftq_codes[name], self.loftq_scales[name] = codes, scales
        self.loftq_A[name], self.loftq_B[name] = nn.Parameter(down), nn.Parameter(up)

    def quantised(self, name: str) -> torch.Tensor:
        """``Q`` in fp32."""
        table = normal_float(self.settings[name].bits)
        flat = unpack(self.loftq_codes[name], self.loftq_scales[name], table)
        return flat[: self.out_features * self.in_features].view(self.out_features, self.in_features)

    def forget(self) -> None:
        """Drops what was computed from the codes, when these have changed."""
        self._dense.clear()

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        names = [name for name in self.active_adapters if self.holds(name)]
        if self.disable_adapters or self.merged or len(names) != 1:
            return super().forward(x, *args, **kwargs)
        # With one adapter the base weight need not be multiplied with only to be taken off again.
        dense = self._ready(names[0], x)
        bias = self.get_base_layer().bias
        result = nn.functional.linear(x.to(dense.dtype), dense, bias)
        return result + self._low_rank(x, names[0]).to(result.dtype)

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        moved = self.quantised(name) - self.base_weight().float()
        added = nn.functional.linear(x.to(moved.dtype), moved) + self._low_rank(x, name)
        return result + added.to(result.dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        product = self._scale(adapter) * (self.loftq_B[adapter] @ self.loftq_A[adapter])
        return self.quantised(adapter) + product - self.base_weight().float()

    def _scale(self, name: str) -> float:
        return self.settings[name].alpha / self.settings[name].r

    def _low_rank(self, x: torch.Tensor, name: str) -> torch.Tensor:
        down = self.loftq_A[name]
        inner = nn.functional.dropout(x.to(down.dtype), self.settings[name].dropout, self.training)
        return self._scale(name) * nn.functional.linear(nn.functional.linear(inner, down), self.loftq_B[name])

    def _ready(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """``Q`` as it is multiplied with, kept from one pass to the next; autocast would round it at each."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        held = self._dense.get(name)
        if held is None or held.dtype != dtype or held.device != x.device:
            held = self._dense[name] = self.quantised(name).to(device=x.device, dtype=dtype)
        return held


class Model(Tuner):
    """A model with LoftQ on its target modules."""

    prefix = "loftq_"
    tuner_layer_cls = Layer


def alternate(
    weight: torch.Tensor, rank: int, bits: int, turns: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, scales, ``down`` (rank, inputs) and ``up`` (outputs, rank), after that many turns (Algorithm 1)."""
    table = normal_float(bits)
    product = torch.zeros_like(weight)
    for _ in range(turns):
        codes, scales = pack(weight - product, table)
        quantised = unpack(codes, scales, table)[: weight.numel()].view_as(weight)
        left, values, right = top_singular(weight - quantised, rank)
        up, down = left * values.sqrt(), values.sqrt()[:, None] * right
        product = up @ down
    return codes, scales, down, up


@cache
def normal_float(bits: int) -> torch.Tensor:
    """The ``2^bits`` values of NormalFloat, rising from -1 to 1: one more above zero than below."""
    half = 2 ** (bits - 1)
    edge = 1 - (1 / (4 * half) + 1 / (4 * half - 2)) / 2
    above = torch.special.ndtri(torch.linspace(0.5, edge, half + 1, dtype=torch.float64)[1:])
    below = -torch.special.ndtri(torch.linspace(0.5, edge, half, dtype=torch.float64)[1:]).flip(0)
    zero = torch.zeros(1, dtype=torch.float64)
    return (torch.cat((below, zero, above)) / above[-1]).float()


def pack(weight: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest values' numbers, two a byte, and each block's largest magnitude; zeros fill the last block."""
    flat = weight.flatten()
    blocks = nn.functional.pad(flat, (0, -flat.numel() % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    table = table.to(weight.device)
    shares = blocks / scales.clamp_min(torch.finfo(blocks.dtype).tiny)[:, None]
    codes = torch.bucketize(shares, (table[1:] + table[:-1]) / 2).to(torch.uint8).flatten()
    return codes[::2] | codes[1::2] << 4, scales


def unpack(codes: torch.Tensor, scales: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """What ``pack`` stands for, flat, with the zeros at its end."""
    numbers = torch.stack((codes & 15, codes >> 4), dim=1).flatten().int()
    return (table.to(scales.device)[numbers].view(-1, BLOCK) * scales[:, None]).flatten()
