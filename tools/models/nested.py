"""Nested ranks: which ranks of a MatryoshkaLoRA are trained, how each is scaled, and how one of them becomes LoRA.

A stock ``LoraConfig`` says the scale's rule by itself: ``none`` is ``alpha = r``, ``rank`` is ``alpha = 1``, ``sqrt``
is ``alpha = 1`` with ``use_rslora``. So what was exported at one rank can be cut to a lower one without its recipe.
Where the diagonal of training is kept it is multiplied into A, and the scale is ``none``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tunewright.domain.errors import ModelError, UsageError, boundary

Scale = Literal["none", "rank", "sqrt"]
_TENSORS = "adapter_model.safetensors"


def trained_ranks(rank: int, ranks: Sequence[int] | None) -> list[int]:
    """The set S, rising: those of ``ranks`` up to ``rank``, by default the powers of two; ``rank`` is always in it."""
    wanted = [2**power for power in range(rank.bit_length())] if ranks is None else ranks
    return sorted({one for one in wanted if 1 <= one <= rank} | {rank})


def scale_of(rank: int, rule: Scale) -> float:
    """``s_r`` of one rank."""
    return {"none": 1.0, "rank": 1 / rank, "sqrt": 1 / math.sqrt(rank)}[rule]


def weights_of(rank: int, ranks: Sequence[int], rule: Scale) -> list[float]:
    """The diagonal ``p`` of training, (rank,): ``p_i`` is the sum of ``s_r`` over the trained ranks ``r >= i``."""
    return [sum(scale_of(one, rule) for one in ranks if one >= i) for i in range(1, rank + 1)]


def keeps_diagonal(config: Any) -> bool:
    """Whether evaluation keeps ``p``; DyLoRA has none."""
    return bool(config.mode == "matryoshka" and config.serving == "trained")


def lora_config(rank: int, rule: Scale, like: Any, *, fan_in_fan_out: bool) -> Any:
    """PEFT's ``LoraConfig`` of rank ``rank`` with the scale ``s_rank``.

    Args:
        like: the config that says where the adapter sits.
        fan_in_fan_out: whether the modules are GPT-2's.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=rank if rule == "none" else 1,
        use_rslora=rule == "sqrt",
        target_modules=like.target_modules,
        exclude_modules=like.exclude_modules,
        layers_to_transform=like.layers_to_transform,
        layers_pattern=like.layers_pattern,
        fan_in_fan_out=fan_in_fan_out,
        task_type=like.task_type,
    )


def slice_adapter(folder: Path, rank: int, out: Path) -> None:
    """Writes the first ``rank`` ranks of a saved MatryoshkaLoRA into the new folder ``out`` as a stock LoRA.

    Args:
        folder: what a trial exported (a stock LoRA at its serving rank), or the tuner's own checkpoint.

    Raises:
        ModelError: there is no such adapter in ``folder``.
        UsageError: the rank was not trained. Of an export only the largest rank is known.
    """
    import torch
    from peft import PeftConfig
    from safetensors.torch import load_file, save_file

    with boundary(ModelError, f"read the adapter in '{folder.name}'", "give a folder that a finished trial wrote"):
        config = PeftConfig.from_pretrained(str(folder))
        tensors = load_file(folder / _TENSORS)
    rule, ranks, weights = _read(config, folder)
    if rank not in ranks:
        known = ", ".join(map(str, ranks)) if isinstance(ranks, list) else f"1 to {ranks[-1]}"
        raise UsageError(f"'{folder.name}' has no rank {rank}", f"its ranks are {known}")
    sliced = {}
    for key, tensor in tensors.items():
        module, _, part = key.removesuffix(".weight").rpartition(".")
        kept = tensor[:rank] * torch.tensor(weights[:rank])[:, None] if part.endswith("_A") else tensor[:, :rank]
        sliced[f"{module}.lora_{part[-1]}.weight"] = kept.contiguous()
    made = lora_config(rank, rule, config, fan_in_fan_out=config.fan_in_fan_out)
    made.base_model_name_or_path, made.inference_mode = config.base_model_name_or_path, True
    out.mkdir(parents=True)
    made.save_pretrained(str(out))
    save_file(sliced, out / _TENSORS, metadata={"format": "pt"})


def _read(config: Any, folder: Path) -> tuple[Scale, Sequence[int], list[float]]:
    """The scale's rule, the ranks there are, and what each row of A is to be multiplied with."""
    if config.peft_type == "MATRYOSHKA":
        ranks = trained_ranks(config.r, config.ranks)
        if keeps_diagonal(config):
            return "none", ranks, weights_of(config.r, ranks, config.scale)
        return config.scale, ranks, [1.0] * config.r
    if config.peft_type == "LORA" and config.lora_alpha in (1, config.r) and not config.rank_pattern:
        rule: Scale = "sqrt" if config.use_rslora else "none" if config.lora_alpha == config.r else "rank"
        return rule, range(1, config.r + 1), [1.0] * config.r
    raise ModelError(f"'{folder.name}' is no MatryoshkaLoRA", "give what a trial with 'matryoshka' exported")
