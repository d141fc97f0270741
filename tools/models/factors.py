"""An update in exact LoRA form: for each module two thin matrices whose product is added to its weight.

Read from a model or from a folder, written as a stock LoRA checkpoint, with another rank for each module where need
be. What compresses, merges and exports adapters works on this form and never builds a matrix of a weight's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import ModelError, UsageError, boundary
from tunewright.tools.models import placement

if TYPE_CHECKING:
    import torch

_PREFIX = "base_model.model."
_BEYOND = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "kasa_config", "velora_config", "monteclora_config",
    "arrow_config", "alora_invocation_tokens", "layer_replication", "target_parameters", "trainable_token_indices",
    "modules_to_save",
)  # fmt: skip
"""Settings of PEFT's ``LoraConfig`` with which the adapter is more, or other, than a product of two matrices."""


@dataclass(frozen=True)
class Factor:
    """The change ``up @ down`` of one weight, (outputs, inputs), whatever way round the module keeps its weight."""

    down: torch.Tensor
    """(rank, inputs)."""
    up: torch.Tensor
    """(outputs, rank); every scale is multiplied into it."""

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])

    @property
    def parameters(self) -> int:
        """Of both matrices."""
        return int(self.down.numel() + self.up.numel())

    def delta(self) -> torch.Tensor:
        """The product, (outputs, inputs)."""
        return self.up @ self.down


Factors = Mapping[str, Factor]
"""Module name -> its change; a module that is not there is not changed."""


def factors_of(model: Any, adapter: str = "default") -> dict[str, Factor]:
    """The factors of a LoRA adapter in PEFT's wrapper, in the model's order.

    Raises:
        UsageError: it is no LoRA, or a variant that is more than a product.
    """
    from peft.tuners.lora import LoraLayer

    config = getattr(model, "peft_config", {}).get(adapter)
    _must_be_product(config)
    found: dict[str, Factor] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer) and adapter in layer.lora_A:
            if adapter in layer.lora_variant:
                raise _no_product(f"{name} has a variant of LoRA")
            down, up = layer.lora_A[adapter].weight.detach(), layer.lora_B[adapter].weight.detach()
            found[name.removeprefix(_PREFIX)] = Factor(down.clone(), up * layer.scaling[adapter])
    if not found:
        raise _no_product("it sits on no linear module")
    return found


def read_factors(folder: Path) -> tuple[dict[str, Factor], Any]:
    """The factors of a saved LoRA adapter and its ``LoraConfig``; the model itself is not needed.

    Raises:
        UsageError: it is no LoRA, or a variant that is more than a product.
        ModelError: its files cannot be read.
    """
    from peft import PeftConfig
    from peft.utils.other import get_pattern_key
    from safetensors.torch import load_file

    with boundary(ModelError, f"read the adapter in '{folder.name}'", "give a folder that a finished trial wrote"):
        config = PeftConfig.from_pretrained(str(folder))
        tensors = load_file(folder / "adapter_model.safetensors")
    _must_be_product(config)
    found: dict[str, Factor] = {}
    for key in sorted(tensors):
        name, is_down, rest = key.removeprefix(_PREFIX).partition(".lora_A.")
        if not is_down:
            continue
        down, up = tensors[key], tensors[f"{_PREFIX}{name}.lora_B.{rest}"]
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
        scale = alpha / (down.shape[0] ** 0.5 if config.use_rslora else down.shape[0])
        found[name] = Factor(down, up * scale)
    if 2 * len(found) != len(tensors):
        raise _no_product("it holds more than pairs of matrices")
    return found, config


def lora_config(factors: Factors, *, fan_in_fan_out: bool, targets: list[str] | None = None) -> Any:
    """The stock ``LoraConfig`` of these factors: scale one, the commonest rank for all and the others by pattern.

    Args:
        fan_in_fan_out: whether the modules are GPT-2's.
        targets: ``target_modules``; by default every module by its full name.
    """
    from peft import LoraConfig

    ranks = [factor.rank for factor in factors.values()]
    common = max(sorted(set(ranks)), key=ranks.count)
    others = {name: factor.rank for name, factor in factors.items() if factor.rank != common}
    return LoraConfig(
        r=common,
        lora_alpha=common,
        target_modules=targets or sorted(factors),
        rank_pattern=others,
        alpha_pattern=dict(others),
        fan_in_fan_out=fan_in_fan_out,
        task_type="CAUSAL_LM",
    )


def with_lora(model: Any, factors: Factors) -> Any:
    """The bare ``model`` with the factors on it as a stock LoRA adapter in PEFT's wrapper. ``model`` is used up."""
    import torch
    from peft import get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers.pytorch_utils import Conv1D

    names = [name for name, _ in model.named_modules()]
    transposed = any(isinstance(module, Conv1D) for module in model.modules())
    config = lora_config(factors, fan_in_fan_out=transposed, targets=placement.suffixes(list(factors), names))
    made = get_peft_model(model, config)
    with torch.no_grad():
        for name, layer in made.named_modules():
            if isinstance(layer, LoraLayer):
                factor = factors[name.removeprefix(_PREFIX)]
                layer.lora_A["default"].weight.copy_(factor.down)
                layer.lora_B["default"].weight.copy_(factor.up)
    return made


def write_factors(factors: Factors, folder: Path, *, base: str, fan_in_fan_out: bool) -> None:
    """Saves the factors into ``folder`` as a stock LoRA checkpoint in fp32; the model itself is not needed.

    Args:
        base: what the base model is called.
    """
    from safetensors.torch import save_file

    config = lora_config(factors, fan_in_fan_out=fan_in_fan_out)
    config.base_model_name_or_path, config.inference_mode = base, True
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    tensors = {}
    for name, factor in factors.items():
        for part, matrix in (("lora_A", factor.down), ("lora_B", factor.up)):
            tensors[f"{_PREFIX}{name}.{part}.weight"] = matrix.detach().float().cpu().contiguous()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _must_be_product(config: Any) -> None:
    kind = getattr(config, "peft_type", None)
    if config is None or str(getattr(kind, "value", kind)) != "LORA":
        raise _no_product(f"it is of type {getattr(kind, 'value', kind) or 'none'}")
    beyond = [name for name in _BEYOND if getattr(config, name, None)]
    if getattr(config, "bias", "none") != "none":
        beyond.append("bias")
    if beyond:
        raise _no_product(f"it sets {', '.join(beyond)}")


def _no_product(why: str) -> UsageError:
    return UsageError(f"the adapter is no plain LoRA: {why}", "take an adapter of a method that exports LoRA")
