"""What our PEFT tuners share: a config, a layer around a linear module, a model that puts such layers in.

A tuner is a file with ``Config``, ``Layer`` and ``Model``. PEFT then saves, loads, switches, disables and merges it
like its own. Shapes: a linear module maps (..., inputs) to (..., outputs); a delta is (outputs, inputs), whatever
way round the module keeps its weight (GPT-2's Conv1D keeps (inputs, outputs)).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.config import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, PeftType
from torch import nn
from transformers.pytorch_utils import Conv1D


@dataclass
class TunerConfig(PeftConfig):  # type: ignore[misc]  # peft has no types
    """Settings of a tuner as they are saved. Subclasses name their type and add their own fields."""

    type_name: ClassVar[str]
    """The tuner's name in lower case, as it is registered."""

    target_modules: list[str] | str | None = field(default=None)
    exclude_modules: list[str] | str | None = field(default=None)
    layers_to_transform: list[int] | int | None = field(default=None)
    layers_pattern: list[str] | str | None = field(default=None)
    modules_to_save: list[str] | None = field(default=None)
    bias: str = field(default="none")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType[self.type_name.upper()]
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)  # type: ignore[assignment]  # as PEFT's own configs do
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)  # type: ignore[assignment]  # as PEFT's own configs do


class TunerLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]  # peft has no types
    """A module with an adapter beside it. Subclasses list their parameters and buffers in PEFT's two name tuples,
    create them for one adapter in ``add`` and compute the adapted output in ``adapted``."""

    adapter_layer_names: tuple[str, ...] = ()
    other_param_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: Any, key: str) -> None:
        """
        Args:
            key: the module's name in the model.
        """
        super().__init__()
        self.base_layer = base_layer
        self.key = key
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter = adapter_name
        self.prepare(config)
        self.update_layer(adapter_name, config)

    def prepare(self, config: Any) -> None:
        """Makes the empty containers (``nn.ParameterDict``, ``BufferDict``, dict) that ``add`` fills by name."""

    @abstractmethod
    def add(self, name: str, config: Any) -> None:
        """Creates the parameters of the adapter ``name``.

        Raises:
            ValueError: the config does not fit this module.
        """

    @abstractmethod
    def adapted(self, x: torch.Tensor, result: torch.Tensor, name: str) -> torch.Tensor:
        """The output with the adapter on it, of ``result``'s shape.

        Args:
            x: the module's input.
            result: its output so far.
        """

    def holds(self, name: str) -> bool:
        """Whether it has an adapter of that name."""
        own = (*self.adapter_layer_names, *self.other_param_names)
        return any(name in getattr(self, attribute) for attribute in own)

    def update_layer(self, adapter_name: str, config: Any) -> None:
        """Adds the adapter ``adapter_name`` beside those there are."""
        self.add(adapter_name, config)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        result: torch.Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if self.holds(name):
                result = self.adapted(x, result, name).to(result.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuses: what is not a delta of a weight cannot be added to one.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{type(self).__module__.rpartition('.')[2]} depends on its input and cannot be merged")

    def unmerge(self) -> None:
        """Nothing is ever merged."""

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        return False


class LinearLayer(TunerLayer):
    """A linear module with an adapter beside it."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: Any, key: str) -> None:
        if isinstance(base_layer, Conv1D):
            sizes = tuple(base_layer.weight.shape)
        elif isinstance(base_layer, nn.Linear):
            sizes = (base_layer.in_features, base_layer.out_features)
        else:
            raise TypeError(f"{key} is a {type(base_layer).__name__}; it takes linear modules")
        self.in_features, self.out_features = sizes  # first: ``add`` needs them, and the constructor calls it
        super().__init__(base_layer, adapter_name, config, key)

    in_features: int
    out_features: int

    def base_weight(self) -> torch.Tensor:
        """The frozen weight as (outputs, inputs)."""
        layer = self.get_base_layer()
        weight: torch.Tensor = layer.weight
        return weight.T if isinstance(layer, Conv1D) else weight


class DeltaLayer(LinearLayer):
    """A linear module whose adapter is a change of its weight, so that it can be merged and converted to LoRA."""

    @abstractmethod
    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """What is added to the weight, (outputs, inputs), in fp32."""

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the active adapters, or those named, into the weight."""
        for name in check_adapters_to_merge(self, adapter_names):
            if self.holds(name):
                merged = self._shifted(self.get_delta_weight(name))
                if safe_merge and not torch.isfinite(merged).all():
                    raise ValueError(f"the adapter '{name}' holds values that are no numbers")
                self.get_base_layer().weight.data = merged
                self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Takes the merged adapters out of the weight again, to rounding."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
        while self.merged_adapters:
            self.get_base_layer().weight.data = self._shifted(-self.get_delta_weight(self.merged_adapters.pop()))

    def _shifted(self, delta: torch.Tensor) -> torch.Tensor:
        layer = self.get_base_layer()
        delta = delta.detach().T if isinstance(layer, Conv1D) else delta.detach()
        # The sum in the wider type: a small delta would drown in a narrow weight's rounding twice.
        total: torch.Tensor = (layer.weight.data.to(delta.dtype) + delta).to(layer.weight.dtype).contiguous()
        return total

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        # PEFT expects the delta of a Conv1D the way round that the module keeps its weight; ours is (outputs, inputs).
        return not isinstance(self.get_base_layer(), Conv1D)


class Tuner(BaseTuner):  # type: ignore[misc]  # peft has no types
    """Puts layers of ``tuner_layer_cls`` around the target modules."""

    prefix: str
    tuner_layer_cls: type[TunerLayer]
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

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
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, config)
            return
        made = self.tuner_layer_cls(target, adapter_name, config, current_key)
        if adapter_name not in self.active_adapters:
            made.requires_grad_(False)  # a further adapter is not trained until it is asked for
        self._replace_module(parent, target_name, made, target)

    @property
    def layers(self) -> list[Any]:
        """The layers it put in, in the model's order."""
        return [module for module in self.model.modules() if isinstance(module, self.tuner_layer_cls)]
