"""A pool of low-rank experts that layers share, each with a router of its own, after UniPool. Huang et al., 2605.06665.

``y = W x + alpha / r sum_m w_m B_m A_m x`` over the ``k`` experts of the highest score. Modules of one shape (and one
group of layers, unless all share) have one pool: ``A`` (experts, r, inputs) drawn as LoRA's, ``B`` (experts, r,
outputs) zero. It belongs to the first of them and is stored there, once; the others look it up. Each module has a
``NormRouter`` of ``W_r`` (experts, inputs) and a scale ``s``: ``w = s s0 relu(l / |l|)``, ``l = W_r x``, no softmax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

import torch
from torch import nn

from tunewright.tools.models.pool import pool_of
from tunewright.tools.models.tuner import LinearLayer, Tuner, TunerConfig

_DENSE = 64
"""Experts times rank up to which all experts are computed and most are masked: one wide product is then faster than
sorting the tokens (equal at 64 to 80 with 1024 tokens, 512 inputs and outputs, on one CPU core)."""


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "unipool"
    experts: int = field(default=8)
    r: int = field(default=4)
    k: int = field(default=2)
    alpha: float = field(default=8.0)
    layers_per_pool: int = field(default=0)
    """Adjacent layers that share a pool; 0 is all of them."""
    start_scale: float = field(default=1.0)
    """``s0``. A number, since another machine might draw another estimate."""


class Layer(LinearLayer):
    """A linear module with a router into a pool beside it."""

    adapter_layer_names = ("unipool_A", "unipool_B", "unipool_router", "unipool_scale")
    other_param_names = ("settings", "owners", "routed")

    def prepare(self, config: Config) -> None:
        self.unipool_A, self.unipool_B = nn.ParameterDict(), nn.ParameterDict()
        self.unipool_router, self.unipool_scale = nn.ParameterDict(), nn.ParameterDict()
        self.settings: dict[str, Config] = {}
        self.owners: dict[str, Layer] = {}  # in a plain dict, so that PyTorch does not list the pool's weights again
        self.routed: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        """Of the last forward pass in training: scores that sum to one, and which experts were taken; both
        (..., experts)."""

    def add(self, name: str, config: Config) -> None:
        router = torch.empty(config.experts, self.in_features, dtype=torch.float32)
        if router.device.type != "meta":
            nn.init.normal_(router, std=0.01)
        self.unipool_router[name] = nn.Parameter(router)
        self.unipool_scale[name] = nn.Parameter(torch.ones((), dtype=torch.float32))
        self.settings[name] = config

    def join(self, name: str, owner: Layer | None) -> None:
        """Takes the pool of ``owner``, or makes one of its own."""
        self.owners[name] = owner or self
        if owner is not None:
            return
        config, weight = self.settings[name], self.unipool_router[name]
        down = torch.empty(config.experts, config.r, self.in_features, dtype=torch.float32, device=weight.device)
        if down.device.type != "meta":
            for expert in down:
                nn.init.kaiming_uniform_(expert, a=5**0.5)
        up = torch.zeros(config.experts, config.r, self.out_features, dtype=torch.float32, device=weight.device)
        self.unipool_A[name] = nn.Parameter(down, requires_grad=weight.requires_grad)
        self.unipool_B[name] = nn.Parameter(up, requires_grad=weight.requires_grad)

    def pool(self, name: str) -> tuple[nn.Parameter, nn.Parameter]:
        """The pool's ``A`` and ``B``."""
        owner = self.owners[name]
        return owner.unipool_A[name], owner.unipool_B[name]

    def weights(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """The experts' weights (..., experts) for the input, at most ``k`` of them above zero."""
        settings, router = self.settings[name], self.unipool_router[name]
        scores = nn.functional.linear(x.to(router.dtype), router).float()
        scores = (scores / (scores.norm(dim=-1, keepdim=True) + 1e-8)).relu()
        scores = scores * (self.unipool_scale[name] * settings.start_scale)
        best, at = scores.topk(settings.k, dim=-1)
        weights = torch.zeros_like(scores).scatter(-1, at, best)
        if self.training and torch.is_grad_enabled():
            # The sum is taken out, else balancing the experts would shrink the scale.
            self.routed[name] = (scores / (scores.sum(-1, keepdim=True) + 1e-8), weights.detach() > 0)
        return weights

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        settings = self.settings[name]
        down, up = self.pool(name)
        weights = self.weights(x, name) * (settings.alpha / settings.r)
        x = x.to(down.dtype)
        sizes = (self.in_features, self.out_features, settings.r)
        aligned = all(size * down.element_size() % 16 == 0 for size in sizes)  # as grouped_mm wants its rows
        apply = grouped if aligned and settings.experts * settings.r > _DENSE else masked
        added = apply(x.flatten(0, -2), weights.flatten(0, -2), down, up, settings.k)
        return result + added.view(result.shape).to(result.dtype)


def masked(x: torch.Tensor, weights: torch.Tensor, down: torch.Tensor, up: torch.Tensor, k: int) -> torch.Tensor:
    """``sum_m w_m B_m A_m x`` (tokens, outputs): all experts at once, those not chosen times zero.

    Args:
        x: (tokens, inputs).
        weights: (tokens, experts), at most ``k`` above zero.
        down: (experts, r, inputs).
        up: (experts, r, outputs).
        k: experts a token has.
    """
    latent = nn.functional.linear(x, down.flatten(0, 1)).unflatten(-1, down.shape[:2])
    return (latent * weights.unsqueeze(-1)).flatten(-2) @ up.flatten(0, 1)


def grouped(x: torch.Tensor, weights: torch.Tensor, down: torch.Tensor, up: torch.Tensor, k: int) -> torch.Tensor:
    """The same as ``masked``, with tokens sorted by their experts, so that only chosen experts are computed."""
    best, at = weights.topk(k, dim=-1)
    order = at.flatten().argsort(stable=True)
    ends = torch.bincount(at.flatten(), minlength=down.shape[0]).cumsum(0).to(torch.int32)
    sorted_x = x[order // k].to(down.dtype)
    latent = nn.functional.grouped_mm(sorted_x, down.transpose(1, 2), offs=ends)
    latent = latent * best.flatten()[order].unsqueeze(-1).to(latent.dtype)
    added = nn.functional.grouped_mm(latent, up, offs=ends)
    # Back into the tokens' order by looking up, not by adding, which a GPU does in any order.
    return cast(torch.Tensor, added[order.argsort()].unflatten(0, (-1, k)).sum(1))


@cache
def monte_carlo_scale(experts: int, k: int) -> float:
    """``s0`` with which the chosen weights have a norm of about 1 at the start: a mean over 100,000 random logits.

    Draws in which no logit is above zero are left out: no scale could help them, and one makes the mean infinite.
    """
    logits = torch.randn(100_000, experts, generator=torch.Generator().manual_seed(42), dtype=torch.float64)
    scores = (logits / logits.norm(dim=-1, keepdim=True)).relu()
    norms = scores.topk(k, dim=-1).values.norm(dim=-1)
    return float((1 / norms[norms > 0]).mean())


class Model(Tuner):
    """A model with routers into shared pools on its target modules."""

    prefix = "unipool_"
    tuner_layer_cls = Layer

    def _create_and_replace(
        self,
        config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **kwargs: Any,
    ) -> None:
        super()._create_and_replace(config, adapter_name, target, target_name, parent, current_key, **kwargs)
        layer: Layer = getattr(parent, target_name)
        pools = {self.pool_of(other, adapter_name): other for other in self.layers if adapter_name in other.unipool_A}
        layer.join(adapter_name, pools.get(self.pool_of(layer, adapter_name)))

    def pool_of(self, layer: Layer, adapter_name: str) -> str:
        """What the layer's pool is called."""
        settings = layer.settings[adapter_name]
        return pool_of(layer.key, layer.in_features, layer.out_features, settings.layers_per_pool)
