"""AdaLoRA: a budget of ranks that training moves to the modules where they matter. Zhang et al., arXiv 2303.10512.

The update is ``s P diag(E) Q`` with ``P`` (outputs, r), ``E`` (r, 1), zero at first, and ``Q`` (r, inputs); a penalty
keeps ``P`` and ``Q`` near orthonormal. Every rank starts at ``1.5 r``. A rank's importance is that of its ``E`` plus
the mean over its column of ``P`` and its row of ``Q``, where a weight's is the running mean of ``|w dL/dw|`` times the
running mean of how far it strays from that. After a warm-up the budget falls as a cube to ``r`` a module, and each
time the least important ranks of the whole model have their ``E`` set to zero; for the last steps the choice is fixed.

From the paper: all of this, beta of 0.85 twice, first ranks of 1.5 times the last. From its code: the penalty as the
mean Frobenius norm of ``P^T P - I`` and ``Q Q^T - I`` over all matrices, not squared. Ours: the schedule in shares of
the stage (in the paper's experiments some 10 % are warm-up and 40 to 60 % fixed), a budget change every hundredth of
the stage, importances of the weights that the gradient belongs to, and the result as a stock LoRA whose ranks differ.
PEFT's layers are used, not its schedule: that one counts the penalty into the reported loss, cannot start at its
last step, and keeps the ranks that were dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import RANKS, LoraSettings
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice, transposed

_BETA = 0.85
_CHANGES = 100


class AdaloraSettings(LoraSettings):
    """Settings of AdaLoRA; ``rank`` is the mean that is left, ``alpha`` is divided by the first rank."""

    excess: float = Field(1.5, gt=1)
    """The first rank over the last."""
    penalty: float = Field(0.1, ge=0)
    """Weight of the orthogonality penalty."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the stage before ranks are dropped."""
    fixed: float = Field(0.4, ge=0, lt=1)
    """Share of the stage after the last are."""

    @property
    def first_rank(self) -> int:
        """The rank that every module starts with."""
        return math.ceil(self.rank * self.excess)


class Adalora(PeftMethod):
    """A low-rank update in the form of a singular value decomposition, its ranks pruned."""

    kind = "adalora"
    names = ("AdaLoRA", "adaptive LoRA", "adaptive budget allocation")
    summary = "LoRA that moves its ranks to where they matter while it trains; for runs of some hundred steps and more"
    paper = "arXiv 2303.10512"
    Config: type[MethodConfig] = AdaloraSettings
    exports_lora = True
    fits_conv1d = True
    step_cost = 2.6
    scoring_cost = 1.6
    lr = (2e-4, 1e-2, 1e-3)
    lr_source = "the paper's runs take 5e-4 to 2e-3; E starts at zero between small matrices, so more is borne"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and alpha as LoRA's, and the penalty."""
        return [
            rank_choice(stage, RANKS, 8, max_rank, why="small data sets rarely need more: LoRA Without Regret"),
            Choice(name="alpha", path=f"{stage}.adapter.alpha", options=(8, 16, 32, 64), default=16),
            Choice(name="penalty.adalora", path=f"{stage}.adapter.penalty", options=(0.0, 0.1, 0.3, 0.5), default=0.1),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``AdaLoraConfig``, whose own schedule is never asked and whose penalty is off."""
        from peft import AdaLoraConfig

        return AdaLoraConfig(
            init_r=settings.first_rank,
            target_r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            total_step=max(1, start.steps),
            orth_reg_weight=0.0,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``1.5 r (inputs + outputs + 1)`` a layer: what is dropped is zero, but still there while it trains."""
        return sum(settings.first_rank * (linear.inputs + linear.outputs + 1) for linear in linears)

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """The penalty, the importances and the budget."""
        return Allocation(model, AdaloraSettings.model_validate(adapter.settings), start.steps)

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """A stock LoRA of the ranks that are left; modules without any are left out."""
        from tunewright.tools.models.factors import Factor, with_lora
        from tunewright.tools.models.offset import lora_layers

        factors: dict[str, Factor] = {}
        for name, layer in lora_layers(model).items():
            up, middle, down = (part["default"].detach() for part in (layer.lora_B, layer.lora_E, layer.lora_A))
            kept = middle.flatten() != 0
            scale = layer.scaling["default"] / (layer.ranknum["default"] + 1e-5)  # PEFT's
            if kept.any() or not factors:  # an adapter sits somewhere, even if nothing was learned
                kept[0] |= not kept.any()
                factors[name] = Factor((down * middle)[kept].clone(), (up * scale)[:, kept].clone())
        return with_lora(model.unload(), factors)


def schedule(steps: int, settings: AdaloraSettings) -> tuple[int, int]:
    """The steps taken after which ranks begin to be dropped, and after which the choice is fixed (at least one)."""
    end = max(1, steps - round(settings.fixed * steps))
    return min(round(settings.warmup * steps), end), end


def budget(taken: int, steps: int, settings: AdaloraSettings) -> float:
    """Ranks a module after that many steps of the stage, on average over the modules."""
    begin, end = schedule(steps, settings)
    if taken >= end:
        return settings.rank
    left = min(1.0, 1 - (taken - begin) / (end - begin)) if begin < end else 1.0
    return settings.rank + (settings.first_rank - settings.rank) * left**3


class Allocation(Loop):
    """Decides which ranks stay. Importances look at every weight's gradient before the step, budgets act after it."""

    def __init__(self, model: Any, settings: AdaloraSettings, steps: int) -> None:
        import torch

        from tunewright.tools.models.offset import lora_layers

        self._settings, self._steps = settings, steps
        self._begin, self._last = schedule(steps, settings)
        self._layers = lora_layers(model)
        self._parts = {
            f"{name}.{part}": getattr(layer, f"lora_{part}")["default"]
            for name, layer in self._layers.items()
            for part in ("A", "E", "B")
        }
        self._sensitivity = {name: torch.zeros_like(weight) for name, weight in self._parts.items()}
        self._doubt = {name: torch.zeros_like(weight) for name, weight in self._parts.items()}
        self._kept = {
            name: torch.ones_like(layer.lora_E["default"], dtype=torch.bool) for name, layer in self._layers.items()
        }

    def penalty(self) -> Any:
        """How far the outer matrices are from orthonormal."""
        import torch

        if not self._settings.penalty:
            return None
        norms = []
        for layer in self._layers.values():
            for rows in (layer.lora_A["default"], layer.lora_B["default"].T):
                gram = rows @ rows.T
                norms.append((gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).norm())
        return self._settings.penalty * torch.stack(norms).mean()

    def after_backward(self, step: int) -> None:
        """Importances, until the choice is fixed."""
        if step >= self._last:
            return
        for name, weight in self._parts.items():
            if weight.grad is not None:
                now = (weight.detach() * weight.grad).abs()
                mean = self._sensitivity[name].lerp_(now, 1 - _BETA)
                self._doubt[name].lerp_((now - mean).abs(), 1 - _BETA)

    def after_step(self, step: int, optimiser: Any) -> None:
        """Drops ranks when it is time, and keeps what is dropped at zero once the choice is fixed."""
        import torch

        taken = step + 1
        every = max(1, self._steps // _CHANGES)
        if taken == self._last or (self._begin < taken < self._last and (taken - self._begin) % every == 0):
            self._choose(round(budget(taken, self._steps, self._settings) * len(self._layers)))
        elif taken < self._last:
            return
        with torch.no_grad():
            for name, layer in self._layers.items():
                layer.lora_E["default"].masked_fill_(~self._kept[name], 0.0)

    def _choose(self, count: int) -> None:
        """Keeps the ``count`` most important ranks of the model; equal ones in the model's order."""
        import torch

        scores = {name: self._importance(name) for name in self._layers}
        order = torch.cat(list(scores.values())).argsort(descending=True, stable=True)
        kept = torch.zeros(len(order), dtype=torch.bool, device=order.device)
        kept[order[:count]] = True
        parts = kept.split([len(score) for score in scores.values()])
        self._kept = {name: part[:, None].clone() for name, part in zip(scores, parts, strict=True)}

    def _importance(self, name: str) -> Any:
        """Of each rank of a module, (r,)."""
        outer, middle, inner = (
            self._sensitivity[f"{name}.{part}"] * self._doubt[f"{name}.{part}"] for part in ("B", "E", "A")
        )
        return middle.flatten() + outer.mean(0) + inner.mean(1)

    def state(self) -> dict[str, Any]:
        return {"sensitivity": self._sensitivity, "doubt": self._doubt, "kept": self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        for own, saved in (
            (self._sensitivity, state["sensitivity"]),
            (self._doubt, state["doubt"]),
            (self._kept, state["kept"]),
        ):
            for name, value in saved.items():
                own[name].copy_(value)


METHOD = Adalora()
