"""MoA: a feed-forward network whose activation is a mixture that each token weighs anew. Wang et al., arXiv 2605.26647.

On ``last(act(first(x)) * up(x))`` it computes, with ``y = first(x)`` and ``z = up(x)`` (..., hidden units)::

    last((act(y) + sum_k c_k(x) s_k(y)) * (z + sum_k e_k(x) s_k(z)))      c_k(x) = tanh(u_k x / 2)

``u`` and, for ``e``, ``v`` are (activations, inputs) and start at zero, so that the function is unchanged and every
gate has a gradient at once. ``la`` has coefficients ``tanh(u_k / 2)`` that no token changes; ``bi_moa`` has both
branches. No weight could hold a mixture of non-linearities, hence it cannot be merged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from tunewright.tools.models.feedforward import FORMS, Form
from tunewright.tools.models.tuner import Tuner, TunerConfig, TunerLayer

DICTIONARIES = {
    "small": ("relu", "relu2", "tanh"),
    "full": ("identity", "relu", "relu2", "leaky_relu", "gelu", "silu", "tanh"),
}
_SLOPE = 0.01
"""Of the leaky ReLU."""


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "moa"
    variant: str = field(default="moa")
    dictionary: str = field(default="full")


class Mixture(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """``sum_k c_k s_k(y)`` in fp32, of which only ``y`` and ``c`` are kept for the backward pass.

    The piecewise linear activations share one slope for each side of zero. Shapes: ``y`` (tokens, units), ``c``
    (tokens, activations), or (1, activations) where no token differs.
    """

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, c: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
        ctx.save_for_backward(y, c)
        ctx.names = names
        wide, gates = y.float(), _columns(c, names)
        positive = wide.relu()
        total = positive * (gates["relu"] + (1 - _SLOPE) * gates["leaky_relu"])
        if "identity" in names:
            total.addcmul_(wide, gates["identity"] + _SLOPE * gates["leaky_relu"])
        total.addcmul_(positive.square_(), gates["relu2"])
        if "gelu" in names:
            total.addcmul_(nn.functional.gelu(wide), gates["gelu"])
            total.addcmul_(nn.functional.silu(wide), gates["silu"])
        total.addcmul_(wide.tanh(), gates["tanh"])
        limits = torch.finfo(y.dtype)
        return total.clamp_(limits.min, limits.max).to(y.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        y, c = ctx.saved_tensors
        wide, g, gates = y.float(), gradient.float(), _columns(c, ctx.names)
        aten = torch.ops.aten
        sums: dict[str, torch.Tensor] = {}
        positive = wide.relu()
        weighed = g * positive
        sums["relu"] = weighed.sum(-1)
        sums["relu2"] = torch.linalg.vecdot(weighed, positive)
        slope = (wide > 0).to(g.dtype).mul_(gates["relu"] + (1 - _SLOPE) * gates["leaky_relu"])
        slope.addcmul_(positive, 2 * gates["relu2"])
        if "identity" in ctx.names:
            sums["identity"] = torch.linalg.vecdot(g, wide)
            sums["leaky_relu"] = (1 - _SLOPE) * sums["relu"] + _SLOPE * sums["identity"]
            slope.add_(gates["identity"] + _SLOPE * gates["leaky_relu"])
        if "gelu" in ctx.names:
            sums["gelu"] = torch.linalg.vecdot(g, nn.functional.gelu(wide))
            sums["silu"] = torch.linalg.vecdot(g, nn.functional.silu(wide))
        bent = wide.tanh()
        sums["tanh"] = torch.linalg.vecdot(g, bent)
        slope.addcmul_(bent.square_().neg_().add_(1), gates["tanh"])
        back = slope.mul_(g)
        if "gelu" in ctx.names:
            back.add_(aten.gelu_backward(g * gates["gelu"], wide))
            back.add_(aten.silu_backward(g * gates["silu"], wide))
        found = torch.stack([sums[name] for name in ctx.names], dim=-1)
        if c.shape[0] == 1:
            found = found.sum(0, keepdim=True)
        return back.to(y.dtype), found.to(c.dtype), None


class Layer(TunerLayer):
    """A feed-forward network with a mixture beside its activation."""

    adapter_layer_names = ("moa_gate", "moa_up")
    other_param_names = ("settings",)
    form: Form

    def prepare(self, config: Config) -> None:
        self.moa_gate, self.moa_up = nn.ParameterDict(), nn.ParameterDict()
        self.settings: dict[str, Config] = {}
        self.form = form_of(self.base_layer, self.key)

    def add(self, name: str, config: Config) -> None:
        if config.variant == "bi_moa" and not self.form.gated:
            raise ValueError(f"{self.key} has no two branches for the variant bi_moa")
        first = getattr(self.base_layer, self.form.first)
        weight = first.weight
        inputs = int(weight.shape[0] if isinstance(first, Conv1D) else weight.shape[1])
        if weight.device.type != "meta":
            self._check(inputs, weight)
        count = len(DICTIONARIES[config.dictionary])
        shape = (count,) if config.variant == "la" else (count, inputs)
        self.moa_gate[name] = nn.Parameter(torch.zeros(shape, device=weight.device, dtype=torch.float32))
        if config.variant == "bi_moa":
            self.moa_up[name] = nn.Parameter(torch.zeros(shape, device=weight.device, dtype=torch.float32))
        self.settings[name] = config

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        names = [name for name in self.active_adapters if self.holds(name)]
        if self.disable_adapters or not names:
            result: torch.Tensor = self.base_layer(x, *args, **kwargs)
            return result
        return self._mixed(x, names)

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        """Of one adapter alone; the mixture is inside the network, so ``result`` cannot be built upon."""
        return self._mixed(x, [name])

    def _mixed(self, x: torch.Tensor, names: list[str]) -> torch.Tensor:
        """The network with the mixtures of several adapters on top of one another."""
        form, network = self.form, self.base_layer
        y = getattr(network, form.first)(x)
        hidden = getattr(network, form.activation)(y)
        other = getattr(network, form.up)(x) if form.up else None
        widened = other
        for name in names:
            words = DICTIONARIES[self.settings[name].dictionary]
            hidden = hidden + mixture(y, self._gates(x, self.moa_gate[name]), words)
            if other is not None and name in self.moa_up:
                widened = widened + mixture(other, self._gates(x, self.moa_up[name]), words)
        result = getattr(network, form.last)(hidden if widened is None else hidden * widened)
        dropout = getattr(network, "dropout", None)
        return result if dropout is None else dropout(result)

    def _gates(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(..., activations), or (activations,) where the gates see no input."""
        if weights.dim() == 1:
            return torch.tanh(weights / 2)
        return torch.tanh(nn.functional.linear(x.to(weights.dtype), weights).float() / 2)

    def _check(self, inputs: int, weight: torch.Tensor) -> None:
        """Whether the network computes what its form says; another one may have the same parts.

        Raises:
            ValueError: it does not.
        """
        probe = torch.linspace(-2, 2, 3 * inputs, device=weight.device, dtype=weight.dtype).view(1, 3, inputs)
        training = self.base_layer.training
        self.base_layer.eval()
        with torch.no_grad():
            same = torch.allclose(self.base_layer(probe), self._mixed(probe, []), rtol=1e-3, atol=1e-4)
        self.base_layer.train(training)
        if not same:
            raise ValueError(f"{self.key} computes something else than its parts suggest")


def mixture(y: torch.Tensor, gates: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
    """``sum_k gates_k s_k(y)``.

    Args:
        y: (..., units).
        gates: (..., activations) of the same tokens, or (activations,).
        names: of the activations.
    """
    flat: torch.Tensor = Mixture.apply(y.flatten(0, -2), gates.reshape(-1, len(names)), names)
    return flat.view_as(y)


def form_of(network: nn.Module, key: str) -> Form:
    """The form of a feed-forward network.

    Raises:
        ValueError: it has none that is known.
    """
    for form in FORMS:
        parts = (form.first, form.up or form.first, form.last, form.activation)
        if all(hasattr(network, part) for part in parts):
            return form
    raise ValueError(f"{key} is no feed-forward network of a known form")


def _columns(c: torch.Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """Each activation's coefficients as a column (tokens, 1); zero for those that are not in the dictionary."""
    columns: dict[str, Any] = dict.fromkeys(DICTIONARIES["full"], 0.0)
    wide = c.float()
    columns.update({name: wide[:, at : at + 1] for at, name in enumerate(names)})
    return columns


class Model(Tuner):
    """A model with MoA on its feed-forward networks."""

    prefix = "moa_"
    tuner_layer_cls = Layer
