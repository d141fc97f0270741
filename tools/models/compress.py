"""Makes a trained LoRA smaller without data: keeps the strongest directions of the whole model, wherever they are.

PARA, Kumaravelu, Gupta and Srijith, arXiv 2604.27796. For each module ``B = Q_B R_B`` and ``A^T = Q_A R_A``, then the
SVD of the core ``R_B R_A^T`` (rank, rank) gives the singular values of ``B A`` without a matrix of a weight's size.
The singular values of all modules are pooled; those at or above one threshold stay, unscaled, so the ranks come out
uneven. From the paper: the pooling and the one threshold. From re-implementations: the threshold by a share of the
pooled energy, or by a number of singular values. Ours: the threshold by a number of parameters, and equal singular
values stay or go together, so that the order of modules does not matter.

Methods that add another kind of matrix are converted to LoRA first, by PEFT's ``convert_to_lora`` at full energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import UsageError
from tunewright.tools.models.factors import Factor, Factors, factors_of, with_lora

if TYPE_CHECKING:
    import torch

_NEAR = 1e-6
"""Singular values of what was exported in fp32 differ by this from those before; they count as equal."""
_NOTHING = 1e-7
"""Share of the largest singular value below which one is rounding: fp32 factors hold no more."""


@dataclass(frozen=True)
class Spectrum:
    """The singular value decomposition ``up diag(values) down`` of one module's change, in fp64."""

    up: torch.Tensor
    """(outputs, rank), orthonormal columns."""
    values: torch.Tensor
    """(rank,), falling."""
    down: torch.Tensor
    """(rank, inputs), orthonormal rows."""

    def at_least(self, threshold: float) -> Factor | None:
        """The part with singular values of ``threshold`` or more, split evenly between both factors."""
        kept = int((self.values >= threshold * (1 - _NEAR)).sum())
        if not kept:
            return None
        root = self.values[:kept].sqrt()
        return Factor((root[:, None] * self.down[:kept]).float(), (self.up[:, :kept] * root).float())


def spectra(factors: Factors) -> dict[str, Spectrum]:
    """The singular values of each module's change, and their directions."""
    import torch

    found = {}
    for name, factor in factors.items():
        left, left_core = torch.linalg.qr(factor.up.double())
        right, right_core = torch.linalg.qr(factor.down.double().T)
        up, values, down = torch.linalg.svd(left_core @ right_core.T)
        found[name] = Spectrum(left @ up, values, down @ right.T)
    return found


def threshold(
    parts: dict[str, Spectrum],
    *,
    energy: float | None = None,
    values: int | None = None,
    parameters: int | None = None,
) -> float:
    """The singular value from which on directions stay; exactly one of the three says how it is found.

    Args:
        energy: the least share of the sum of squares that stays, in (0, 1].
        values: how many singular values stay at most, over all modules.
        parameters: how many parameters stay at most.

    Raises:
        UsageError: not one of them is given, or it leaves nothing.
    """
    if (energy, values, parameters).count(None) != 2:
        raise UsageError("give one of a share of the energy, a number of singular values and a number of parameters")
    pooled = _pooled(parts)
    if energy is not None:
        if not 0 < energy <= 1:
            raise UsageError(f"{energy:g} is no share of the energy", "give a number above 0, at most 1")
        return _by_energy(pooled, energy)
    budget, cost = (values, False) if values is not None else (parameters, True)
    assert budget is not None
    kept, used = math.inf, 0
    for value, size in _groups(pooled, cost=cost):
        used += size
        if used > budget:
            break
        kept = value
    if math.isinf(kept):
        what = "parameters" if cost else "singular values"
        raise UsageError(f"a budget of {budget:,} {what} leaves nothing of the adapter", "give a larger one")
    return kept


def truncate(parts: dict[str, Spectrum], least: float) -> dict[str, Factor]:
    """What stays at that threshold; modules of which nothing stays are left out."""
    found = ((name, part.at_least(least)) for name, part in parts.items())
    return {name: factor for name, factor in found if factor is not None}


def compress(
    factors: Factors, *, energy: float | None = None, values: int | None = None, parameters: int | None = None
) -> dict[str, Factor]:
    """The factors with the weakest directions left out; see ``threshold``."""
    parts = spectra(factors)
    return truncate(parts, threshold(parts, energy=energy, values=values, parameters=parameters))


def lora_form(model: Any) -> dict[str, Factor]:
    """The update of an adapted model as factors; exact for LoRA, to fp32 for any other sum of matrices.

    Raises:
        UsageError: the adapter is no change of weights.
    """
    from peft import PeftType, convert_to_lora

    config = getattr(model, "peft_config", {}).get("default")
    if config is not None and config.peft_type == PeftType.LORA:
        return factors_of(model)
    straight = _straight_deltas(model)
    if straight is not None:
        return straight
    try:
        _, tensors = convert_to_lora(model, rank=1.0)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the adapter cannot be put in LoRA's form: {str(error).splitlines()[0][:200]}",
            "take an adapter that changes weights, such as lora",
        ) from error
    names = [key.removesuffix(".lora_A.weight") for key in tensors if key.endswith(".lora_A.weight")]
    return {
        name.removeprefix("base_model.model."): Factor(
            tensors[f"{name}.lora_A.weight"].float(), tensors[f"{name}.lora_B.weight"].float()
        )
        for name in names
    }


def compressed(model: Any, energy: float) -> Any:
    """The adapted model with a stock LoRA that keeps this share of its update's energy. ``model`` is used up.

    An update that changes nothing stays as it is.

    Raises:
        UsageError: the adapter is no change of weights.
    """
    form = lora_form(model)
    changed = any(factor.down.any() and factor.up.any() for factor in form.values())
    kept = compress(form, energy=energy) if changed else form
    return with_lora(model.unload(), kept).requires_grad_(False)


def _straight_deltas(model: Any) -> dict[str, Factor] | None:
    """The factors where each layer gives its change as (outputs, inputs) even for GPT-2's modules, which keep their
    weights the other way round; ``convert_to_lora`` would take them for transposed. None if a layer does not."""
    import torch
    from peft.tuners.fourierft.layer import FourierFTLayer
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.tuners.waveft.layer import WaveFTLayer

    from tunewright.tools.models.tuner import DeltaLayer

    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    if not layers or not all(isinstance(one, DeltaLayer | FourierFTLayer | WaveFTLayer) for one in layers.values()):
        return None
    found = {}
    for name, layer in layers.items():
        with torch.no_grad():
            up, values, down = torch.linalg.svd(layer.get_delta_weight("default").float(), full_matrices=False)
        kept = max(1, int((values > _NOTHING * values[0]).sum()))
        found[name.removeprefix("base_model.model.")] = Factor(down[:kept], up[:, :kept] * values[:kept])
    return found


def _pooled(parts: dict[str, Spectrum]) -> list[tuple[float, int]]:
    """(singular value, parameters that it takes) of every module, falling; rounding left out."""
    every = [(float(value), part.up.shape[0] + part.down.shape[1]) for part in parts.values() for value in part.values]
    largest = max((value for value, _ in every), default=0.0)
    if not largest:
        raise UsageError("the adapter changes nothing: there is nothing to compress", "train it first")
    return sorted(((v, size) for v, size in every if v > _NOTHING * largest), reverse=True)


def _groups(pooled: list[tuple[float, int]], *, cost: bool) -> list[tuple[float, int]]:
    """Equal values in one: (the smallest of them, what they take together)."""
    found: list[tuple[float, int]] = []
    first = math.inf
    for value, size in pooled:
        taken = size if cost else 1
        if found and value >= first * (1 - _NEAR):
            found[-1] = (value, found[-1][1] + taken)
        else:
            first = value
            found.append((value, taken))
    return found


def _by_energy(pooled: list[tuple[float, int]], energy: float) -> float:
    if energy == 1:
        return pooled[-1][0]
    wanted = energy * math.fsum(value**2 for value, _ in pooled)
    held = 0.0
    for value, _ in pooled:
        held += value**2
        if held >= wanted:
            return value
    return pooled[-1][0]
