"""Merges the updates of several trainings on one base model into one, and takes one of them out again.

MDM-OC, Khan et al., arXiv 2507.20997: updates ``d_k`` are made orthogonal in the order in which they come,
``o_k = d_k - sum_{j<k} <d_k, o_j> / <o_j, o_j> o_j``, and the model is ``W + sum_k a_k o_k``; taking ``k`` out is
``- a_k o_k``. From the paper: that, and that the ``a_k`` are learned. Ours: ``a_k`` starts at one; the scope, in which
the inner product runs over all modules or over one at a time; two passes in fp64; and the exact way of taking one out,
which makes the others orthogonal anew without it. The plain way does not forget all of ``k``: what later updates had in
common with it was taken from them.

No update is ever multiplied out: ``<B_1 A_1, B_2 A_2> = tr[(B_2^T B_1)(A_1 A_2^T)]``, every ``o_k`` is a sum of
``d_j``, and a sum of LoRAs is the LoRA of their stacked factors. PEFT's ways (linear, cat, TIES, DARE) are here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tunewright.domain.errors import ModelError, UsageError
from tunewright.tools.models.adapter import attach, kind_of
from tunewright.tools.models.compress import lora_form
from tunewright.tools.models.factors import Factor, Factors, factors_of, read_factors, write_factors

if TYPE_CHECKING:
    import torch

_T = TypeVar("_T")
Scope = Literal["global", "per_tensor"]
PEFT_METHODS = ("linear", "cat", "ties", "dare_linear", "dare_ties")
METHODS = ("mdm-oc", *PEFT_METHODS)
_DEPENDENT = 1e-12
"""Squared share of an update that has to be left for it to have a direction of its own."""


@dataclass(frozen=True)
class Merge:
    """Updates in the order in which they are made orthogonal, and how much of each is taken."""

    updates: tuple[Factors, ...]
    alphas: tuple[float, ...]
    scope: Scope = "global"

    @property
    def modules(self) -> list[str]:
        """Every module that an update changes, sorted."""
        return sorted({name for update in self.updates for name in update})

    def bases(self) -> dict[str, torch.Tensor]:
        """For each module the matrix ``M`` (updates, updates), unit lower triangular, with ``o = M d``."""
        grams = {name: gram([update.get(name) for update in self.updates]) for name in self.modules}
        if self.scope == "per_tensor":
            return {name: orthogonalised(one) for name, one in grams.items()}
        whole = orthogonalised(sum(grams.values()))
        return dict.fromkeys(grams, whole)

    def weights(self) -> dict[str, torch.Tensor]:
        """For each module what the updates themselves are multiplied by, (updates,), to give ``sum_k a_k o_k``."""
        import torch

        alphas = torch.tensor(self.alphas, dtype=torch.float64)
        return {name: base.T @ alphas for name, base in self.bases().items()}

    def factors(self) -> dict[str, Factor]:
        """The merged update."""
        return stacked(self.updates, self.weights())

    def without(self, number: int, *, exact: bool = False) -> Merge:
        """The merge with update ``number`` taken out: its orthogonal part alone, or as if it had never been there."""
        if exact:
            return replace(self, updates=_dropped(self.updates, number), alphas=_dropped(self.alphas, number))
        kept = tuple(0.0 if place == number else alpha for place, alpha in enumerate(self.alphas))
        return replace(self, alphas=kept)


def gram(factors: Sequence[Factor | None]) -> torch.Tensor:
    """Inner products of one module's changes, (updates, updates), in fp64; None is no change."""
    import torch

    found = torch.zeros(len(factors), len(factors), dtype=torch.float64)
    for row, one in enumerate(factors):
        for column, other in enumerate(factors[: row + 1]):
            if one is not None and other is not None:
                ups = other.up.double().T @ one.up.double()
                downs = one.down.double() @ other.down.double().T
                found[row, column] = found[column, row] = (ups * downs.T).sum()
    return found


def orthogonalised(products: torch.Tensor) -> torch.Tensor:
    """Gram-Schmidt on vectors of which only the inner products (k, k) are known: ``M`` with ``o = M d``.

    An update that is a sum of those before it has no direction left; its ``o`` is what rounding leaves.
    """
    import torch

    found = torch.eye(len(products), dtype=torch.float64)
    for row in range(len(products)):
        for _ in range(2):  # the second pass takes out what rounding left in
            for before in range(row):
                norm = found[before] @ products @ found[before]
                if norm > _DEPENDENT * products[before, before]:
                    found[row] -= (found[row] @ products @ found[before]) / norm * found[before]
    return found


def stacked(updates: Sequence[Factors], weights: Mapping[str, torch.Tensor]) -> dict[str, Factor]:
    """The weighted sum of updates as one, its rank the sum of theirs.

    Args:
        weights: for each module, (updates,).
    """
    import torch

    found = {}
    for name, shares in weights.items():
        parts = [(update[name], float(w)) for update, w in zip(updates, shares, strict=True) if name in update and w]
        if parts:
            found[name] = Factor(
                torch.cat([factor.down for factor, _ in parts]),
                torch.cat([factor.up * weight for factor, weight in parts], dim=1),
            )
    return found


def merged_by_peft(
    model: Any, folders: Sequence[Path], method: str, weights: Sequence[float], *, density: float = 0.5, seed: int = 0
) -> dict[str, Factor]:
    """The merge by PEFT's ``add_weighted_adapter``. ``model``, the bare base model, is used up.

    Args:
        folders: LoRA adapters as they were saved.
        method: one of ``PEFT_METHODS``.
        density: share of the entries that TIES and DARE keep.
        seed: of DARE's choice of them.

    Raises:
        UsageError: PEFT cannot merge these so.
    """
    import torch
    from peft import PeftModel

    names = [f"part{number}" for number in range(len(folders))]
    adapted = PeftModel.from_pretrained(model, str(folders[0]), adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        adapted.load_adapter(str(folder), adapter_name=name)
    for config in adapted.peft_config.values():
        config.use_rslora = False  # its scale is in the layers already; the merged adapter would be scaled once more
    kept = {"density": density} if method not in ("linear", "cat") else {}
    torch.manual_seed(seed)
    try:
        adapted.add_weighted_adapter(names, list(weights), "merged", combination_type=method, **kept)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UsageError(
            f"'{method}' cannot merge these adapters: {str(error).splitlines()[0][:200]}",
            "take mdm-oc or cat, which merge adapters of any rank",
        ) from error
    return factors_of(adapted, "merged")


def lora_folder(folder: Path, own: Path, model: Callable[[], Any], *, name: str) -> Path:
    """The adapter as a LoRA folder: itself where it is one, else converted into ``own`` at full energy.

    Args:
        model: loads the bare base model; asked only if something has to be converted.
        name: what to call it in an error.

    Raises:
        UsageError: it is a whole model, has several stages, or changes more than weights.
    """
    from transformers.pytorch_utils import Conv1D

    what = kind_of(folder)
    if what != "peft":
        said = "is a full fine-tune" if what == "full" else "was trained in several stages"
        raise UsageError(f"{name} {said}; a merge takes adapters", "give runs of one stage with an adapter")
    try:
        read_factors(folder)
        return folder
    except ModelError:
        raise
    except UsageError:
        pass  # no LoRA yet
    try:
        adapted = attach(model(), folder)
        factors = lora_form(adapted)
    except UsageError as error:
        raise UsageError(f"{name} cannot be merged: {error.message}", error.hint) from error
    transposed = any(isinstance(module, Conv1D) for module in adapted.modules())
    write_factors(factors, own, base="", fan_in_fan_out=transposed)
    return own


def _dropped(values: tuple[_T, ...], number: int) -> tuple[_T, ...]:
    return (*values[:number], *values[number + 1 :])
