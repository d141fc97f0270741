"""Trains chosen attention heads only: changes of their slices of Q, K, V and O. After Yang et al., arXiv 2604.15294.

A module's change is held for the chosen heads' rows alone, (rows, inputs), in the output projection for their columns,
(outputs, columns); it starts at zero. The weights themselves stay frozen, so neither an optimiser's weight decay nor
anything else can move the other heads. Which heads those are is part of the saved config.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn

from tunewright.tools.models.attention import Heads, is_output
from tunewright.tools.models.tuner import DeltaLayer, Tuner, TunerConfig


@dataclass
class Config(TunerConfig):
    """Settings as they are saved."""

    type_name: ClassVar[str] = "headtune"
    chosen: dict[str, list[int]] = field(default_factory=dict)
    """Name of an attention module -> its trained query heads."""
    heads: int = field(default=1)
    kv_heads: int = field(default=1)
    head_size: int = field(default=1)


class Layer(DeltaLayer):
    """A projection of an attention with trained slices."""

    adapter_layer_names = ("headtune_delta",)
    other_param_names = ("headtune_at",)

    def prepare(self, config: Config) -> None:
        self.headtune_delta = nn.ParameterDict()
        self.headtune_at = BufferDict(persistent=False)
        """Rows, or columns of an output projection; the config tells them, so they are not saved."""

    def add(self, name: str, config: Config) -> None:
        parent, _, part = self.key.rpartition(".")
        if parent not in config.chosen:
            raise ValueError(f"no head of {parent} is chosen")
        shape = Heads(config.heads, config.kv_heads, config.head_size)
        at = torch.tensor(shape.rows(part, config.chosen[parent]))
        sizes = (self.out_features, len(at)) if self.is_output else (len(at), self.in_features)
        self.headtune_delta[name] = nn.Parameter(torch.zeros(sizes, dtype=torch.float32))
        self.headtune_at[name] = at

    @property
    def is_output(self) -> bool:
        """Whether a head is a slice of columns here."""
        return is_output(self.key.rpartition(".")[2])

    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        delta, at = self.headtune_delta[name], self.headtune_at[name]
        if self.is_output:
            return result + nn.functional.linear(x.to(delta.dtype).index_select(-1, at), delta).to(result.dtype)
        added = nn.functional.linear(x.to(delta.dtype), delta)
        return result.index_add(-1, at, added.to(result.dtype))

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        delta, at = self.headtune_delta[adapter], self.headtune_at[adapter]
        whole = torch.zeros(self.out_features, self.in_features, dtype=delta.dtype, device=delta.device)
        return whole.index_copy(1 if self.is_output else 0, at, delta)


class Model(Tuner):
    """A model with trained slices in the attentions of the chosen heads."""

    prefix = "headtune_"
    tuner_layer_cls = Layer
