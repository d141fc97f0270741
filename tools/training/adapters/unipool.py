"""UniPool for adapters: one pool of LoRA experts for all layers, a router in each. After arXiv 2605.06665.

    ``y = W x + alpha / r sum_{m in top-k} w_m B_m A_m x``,  ``w = s s0 relu(l / (|l| + 1e-8))``,  ``l = W_r x``

``A_m`` is (r, inputs), ``B_m`` (outputs, r) and zero at the start, ``W_r`` (experts, inputs). All adapted modules of
one shape share a pool, hence the experts' parameters do not grow with depth, and an expert's gradient is the sum over
the layers. The share can be narrowed to groups of 4 or 2 adjacent layers, or to each layer alone (the control).

From the paper (Huang et al.) and its code: one pool for all layers or for groups; the NormRouter, its learned scale
``s`` (from 1) and fixed ``s0``, either one or such that the chosen weights have a norm of about 1 at the start (a mean
over 100,000 draws); routers drawn with a deviation of 0.01; the pool's balance loss ``c M sum_e f_e P_e`` with ``f``
(share of the tokens' choices) and ``P`` (mean score) averaged over layers and ``f`` taken from the batch before, none
at the first batch; c = 0.01. Its experts are whole MLPs of a model trained from scratch, 96 and more, one a token.

Ours: experts that are LoRA and modules' shapes as pools; a router at each module; two of eight experts, for less data;
draws without a score above zero left out of ``s0``'s mean, which is infinite with them in a small pool; scores divided
by their sum inside the balance loss, which would shrink ``s`` otherwise; its mean over pools; padding left out of it.

Traps: the routers are most of the parameters (experts x inputs at each module). What is routed cannot be merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.models.pool import pool_of
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice

_LAYERS = {"global": 0, "groups of 4": 4, "groups of 2": 2, "per layer": 1}


class UnipoolSettings(MethodConfig):
    """Settings of UniPool."""

    experts: int = Field(8, gt=0)
    """Experts in a pool, M."""
    rank: int = Field(4, gt=0)
    """Rank r of an expert."""
    k: int = Field(2, gt=0)
    """Experts of a token."""
    alpha: float = Field(8, gt=0)
    """Numerator of the scale; the update is multiplied by ``alpha / r``."""
    share: Literal["global", "groups of 4", "groups of 2", "per layer"] = "global"
    """Which layers have a pool in common."""
    start_scale: Literal["monte_carlo", "one"] = "monte_carlo"
    """The router's fixed factor s0."""
    balance: float = Field(0.01, ge=0)
    """Weight of the pool's balance loss."""


class Unipool(PeftMethod):
    """Shared low-rank experts."""

    kind = "unipool"
    names = ("UniPool",)
    summary = "one pool of LoRA experts for all layers, chosen anew for each token; for mixed data, never merged"
    paper = "arXiv 2605.06665"
    Config: type[MethodConfig] = UnipoolSettings
    mergeable = False
    fits_conv1d = True
    step_cost = 2.8
    activation_cost = 1.8

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Experts, rank, experts of a token, share."""

        def choice(name: str, options: tuple[Any, ...], default: Any) -> Choice:
            return Choice(name=f"{name}.unipool", path=f"{stage}.adapter.{name}", options=options, default=default)

        return [
            choice("experts", (4, 8, 16, 32), 8),
            rank_choice(stage, (2, 4, 8, 16), 4, max_rank),
            choice("k", (1, 2), 2),
            choice("share", tuple(_LAYERS), "global"),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.unipool import Config, monte_carlo_scale

        drawn = settings.start_scale == "monte_carlo"
        return Config(
            experts=settings.experts,
            r=settings.rank,
            k=settings.k,
            alpha=settings.alpha,
            layers_per_pool=_LAYERS[settings.share],
            start_scale=monte_carlo_scale(settings.experts, settings.k) if drawn else 1.0,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``experts r (inputs + outputs)`` a pool, ``experts inputs + 1`` a module."""
        _check(linears, settings)
        return sum(_pools(linears, settings).values()) + sum(_router(linear, settings) for linear in linears)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """Exact; for a probe's choice of K modules the K largest pools there are and the K largest routers."""
        count = placement.probed(adapter.placement)
        if count is None:
            return super().trainable_parameters(facts, adapter)
        settings = UnipoolSettings.model_validate(adapter.settings)
        _check(self.linears(facts, adapter), settings)
        pools = sorted(_pools(facts.linears, settings).values(), reverse=True)
        routers = sorted((_router(linear, settings) for linear in facts.linears), reverse=True)
        return sum(pools[:count]) + sum(routers[:count])

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """The balance of the pools."""
        from tunewright.tools.training.pool import PoolBalance

        return PoolBalance(model.base_model, UnipoolSettings.model_validate(adapter.settings).balance)


def _pools(linears: Sequence[Linear], settings: UnipoolSettings) -> dict[str, int]:
    """Parameters of each pool."""
    return {
        pool_of(linear.name, linear.inputs, linear.outputs, _LAYERS[settings.share]): settings.experts
        * settings.rank
        * (linear.inputs + linear.outputs)
        for linear in linears
    }


def _router(linear: Linear, settings: UnipoolSettings) -> int:
    return settings.experts * linear.inputs + 1


def _check(linears: Sequence[Linear], settings: UnipoolSettings) -> None:
    if settings.k > settings.experts:
        raise UsageError(
            f"'unipool' cannot give a token {settings.k} of {settings.experts} experts",
            "lower 'k' or raise 'experts'",
        )
    narrow = min((min(linear.inputs, linear.outputs), linear.name) for linear in linears)
    if settings.rank > narrow[0]:
        raise UsageError(
            f"'unipool' has experts of rank {settings.rank}, above the {narrow[0]} that '{narrow[1]}' is wide",
            f"take a rank of at most {narrow[0]}",
        )


METHOD = Unipool()
