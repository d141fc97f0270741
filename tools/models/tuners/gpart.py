"""GPart: one vector for the whole model, spread over its weights by a partition. Mandica et al., arXiv 2605.14841.

``dw_i = theta[g(i)] * scale[g(i)]`` for each of the N adapted weights; ``theta`` (d,) is all that is trained and
saved. With ``scale[j] = 1 / sqrt(|group j|)`` the map from ``theta`` to ``dW`` is an isometry. The partition ``g`` is
drawn from the config's seed over the modules in order of their names, so that neither the model's order nor another
adapter changes it, and is drawn again on loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "gpart"
    d: int = field(default=8192)
    partition: str = field(default="iid")
    isometric: bool = field(default=True)
    dropout: float = field(default=0.0)
    seed: int = field(default=0)


class Layer(DeltaLayer):
    """A linear module whose weight is shifted by its share of the vector."""

    other_param_names = ("gpart_index", "settings")

    theta: nn.ParameterDict
    """The model's vectors, each (d,). No submodule of the layer, or the layer's checkpoint would list them again."""
    scale: BufferDict
    """The model's scales, each (d,); likewise."""

    def prepare(self, config: Config) -> None:
        self.gpart_index = BufferDict(persistent=False)
        self.settings: dict[str, Config] = {}

    def add(self, name: str, config: Config) -> None:
        """Only notes the settings: the groups are given out when every layer is there."""
        self.settings[name] = config

    def share(self, theta: nn.ParameterDict, scale: BufferDict) -> None:
        """Takes a look at the model's vectors without registering them."""
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "scale", scale)

    @property
    def size(self) -> int:
        """Weights of the module, biases left out."""
        return self.in_features * self.out_features

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        names = [name for name in self.active_adapters if self.holds(name)]
        if self.disable_adapters or self.merged or len(names) != 1:
            return super().forward(x, *args, **kwargs)
        name, weight = names[0], self.base_weight()
        autocast = torch.is_autocast_enabled(x.device.type)
        dtype = torch.get_autocast_dtype(x.device.type) if autocast else weight.dtype
        theta, scale = self._vectors(name)
        result: torch.Tensor = _Shifted.apply(x, theta, scale, weight, self.gpart_index[name], self._kept(name), dtype)
        bias = self.get_base_layer().bias
        return result if bias is None else result + bias.to(result.dtype)

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        """For several adapters at once: one product each."""
        delta = _spread(*self._vectors(name), self.gpart_index[name], self._kept(name))
        return result + nn.functional.linear(x.to(delta.dtype), delta).to(result.dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        return _spread(*self._vectors(adapter), self.gpart_index[adapter], None)

    def _vectors(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """``theta`` and its scale where the weight is, for models on several devices."""
        device = self.gpart_index[name].device
        return self.theta[name].to(device), self.scale[name].to(device)

    def _kept(self, name: str) -> torch.Tensor | None:
        """Dropout on the weights' change: a mask (outputs, inputs) of 0 and 1 / (1 - p), or None."""
        rate = self.settings[name].dropout
        if not self.training or rate == 0:
            return None
        shape, device = (self.out_features, self.in_features), self.gpart_index[name].device
        return (torch.rand(shape, device=device) >= rate).float().mul_(1 / (1 - rate))


class Model(Tuner):
    """A model whose target modules share one vector."""

    prefix = "gpart_"
    tuner_layer_cls = Layer
    uses_shared_state = True

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        if "gpart_theta" not in self._modules:
            self.gpart_theta = nn.ParameterDict()
            self.gpart_scale = BufferDict(persistent=False)
        config = self.peft_config[adapter_name]
        self.gpart_theta[adapter_name] = nn.Parameter(torch.zeros(config.d))
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        holders = [layer for layer in self.layers if adapter_name in layer.settings]
        _partition(holders, adapter_name, config, self.gpart_theta, self.gpart_scale)

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        for name, theta in self.gpart_theta.items():
            theta.requires_grad_(name in self.active_adapters and not inference_mode)

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        for name in [adapter_names] if isinstance(adapter_names, str) else adapter_names:
            self.gpart_theta[name].requires_grad_(requires_grad)

    def delete_adapter(self, adapter_name: str) -> None:
        super().delete_adapter(adapter_name)
        del self.gpart_theta[adapter_name], self.gpart_scale[adapter_name]

    @classmethod
    def _get_adapter_state_dict(
        cls, model: Any, config: Any, adapter_name: str, state_dict: dict[str, Any], unwanted_adapter_names: list[str]
    ) -> dict[str, torch.Tensor]:
        """The vector alone."""
        key = f"base_model.gpart_theta.{adapter_name}"
        return {key: state_dict[key]}


def groups(sizes: Sequence[int], config: Config) -> list[torch.Tensor]:
    """The partition's group of every weight of modules of these sizes, int32, from the seed alone.

    ``iid`` draws each weight's group uniformly, as the paper's code does. ``balanced`` deals the groups out in turn
    and shuffles within each module, so that no two groups differ by more than one weight.
    """
    generator = torch.Generator().manual_seed(config.seed)
    if config.partition == "iid":
        return [torch.randint(0, config.d, (size,), generator=generator, dtype=torch.int32) for size in sizes]
    found, dealt = [], 0
    for size in sizes:
        found.append(((dealt + torch.randperm(size, generator=generator)) % config.d).int())
        dealt += size
    return found


def _partition(layers: Sequence[Layer], name: str, config: Config, theta: nn.ParameterDict, scale: BufferDict) -> None:
    """Gives every layer its groups, and the model the groups' scales.

    Raises:
        ValueError: there are fewer weights than groups.
    """
    ordered = sorted(layers, key=lambda layer: layer.key)
    total = sum(layer.size for layer in ordered)
    if config.d > total:
        raise ValueError(f"at most as many groups as weights were expected, {total:,}, got d = {config.d:,}")
    indices = groups([layer.size for layer in ordered], config)
    counts = torch.zeros(config.d, dtype=torch.int64)
    for index in indices:
        counts += torch.bincount(index, minlength=config.d)
    device = ordered[0].base_weight().device
    scale[name] = (counts.clamp(min=1).float().rsqrt() if config.isometric else torch.ones(config.d)).to(device)
    if theta[name].device.type != "meta":
        theta[name].data = theta[name].data.to(device)
    for layer, index in zip(ordered, indices, strict=True):
        layer.gpart_index[name] = index.view(layer.out_features, layer.in_features).to(layer.base_weight().device)
        layer.share(theta, scale)


def _spread(theta: torch.Tensor, scale: torch.Tensor, index: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """The weights' change (outputs, inputs) in fp32."""
    delta = torch.index_select(theta.float() * scale, 0, index.view(-1)).view(index.shape)
    return delta if kept is None else delta * kept


class _Shifted(torch.autograd.Function):  # type: ignore[misc]  # torch does not type it
    """``x (W + dW)^T`` in one product. Neither ``dW`` nor ``W + dW`` is kept for the backward pass: the groups are
    looked up again there, which costs a small part of a product and spares a copy of every weight."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        theta: torch.Tensor,
        scale: torch.Tensor,
        weight: torch.Tensor,
        index: torch.Tensor,
        kept: torch.Tensor | None,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        given = x.to(dtype)
        ctx.save_for_backward(given, theta, scale, weight, index, kept)
        ctx.given = x.dtype
        with torch.autocast(x.device.type, enabled=False):
            return nn.functional.linear(given, _spread(theta, scale, index, kept).add_(weight).to(dtype))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, theta, scale, weight, index, kept = ctx.saved_tensors
        grad = grads[0].to(x.dtype)
        to_x = to_theta = None
        with torch.autocast(x.device.type, enabled=False):
            if ctx.needs_input_grad[0]:
                to_x = (grad @ _spread(theta, scale, index, kept).add_(weight).to(x.dtype)).to(ctx.given)
            if ctx.needs_input_grad[1]:
                full = (grad.flatten(0, -2).T @ x.flatten(0, -2)).float()
                full = full if kept is None else full.mul_(kept)
                to_theta = torch.zeros(theta.shape, device=theta.device).index_add_(0, index.view(-1), full.view(-1))
                to_theta = to_theta.mul_(scale).to(theta.dtype)
        return to_x, to_theta, None, None, None, None, None
