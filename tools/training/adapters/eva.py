"""EVA: LoRA that starts along the task's strongest input directions. Paischer et al., arXiv 2410.07170.

The rows of ``A`` (r, inputs) are the top right-singular vectors of a module's inputs ``X`` (tokens, inputs) on
training rows, and ``B`` is zero. Of the budget of ``r`` a module, ranks go to the directions that explain the largest
share of their module's variance, at most ``rho r`` to one module; the scale stays ``alpha / r``. From the paper: the
directions, the shares, the budget and ``rho`` of one (equal ranks) or two. Ours: the directions of 32 rows from
the inputs' second moment instead of an incremental decomposition, all tokens but padding, no mean taken off, at
least rank one for each module, and equal ranks by default.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import Lora, LoraSettings
from tunewright.tools.training.method import MethodConfig, Start


class EvaSettings(LoraSettings):
    """Settings of EVA."""

    rho: float = Field(1.0, ge=1)
    """A module's rank may grow to ``rho r``; one keeps every rank at r, and the parameters known beforehand."""


class Eva(Lora):
    """LoRA with A from the inputs and ranks by explained variance."""

    kind = "eva"
    names = ("EVA", "explained variance adaptation")
    counts_exactly = False
    plain_word = True
    summary = "LoRA along the task's strongest input directions; looks at 32 rows first"
    paper = "arXiv 2410.07170"
    transfers = False
    Config: type[MethodConfig] = EvaSettings
    everyday = False
    lr = (1e-4, 3e-3, 5e-4)
    lr_source = "LoRA's; PEFT's example for EVA trains Llama 3.1 8B at 5e-4"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """LoRA's, and rho."""
        return [
            *super().own_dimensions(stage, max_rank=max_rank),
            Choice(name="rho.eva", path=f"{stage}.adapter.rho", options=(1, 2), default=1),
        ]

    def size(self, linears: Any, settings: Any) -> int:
        """``r (inputs + outputs)`` a layer; with ``rho`` above one the most that the budget could come to.

        Raises:
            UsageError: a module has fewer input directions than the rank.
        """
        for linear in linears:
            if settings.rank > linear.inputs:
                raise UsageError(
                    f"'{self.kind}' takes {settings.rank} directions of each module's inputs, and '{linear.name}' has "
                    f"{linear.inputs} inputs",
                    f"give a rank of at most {linear.inputs}",
                )
        return sum(rank * (linear.inputs + linear.outputs) for linear, rank in _dearest(linears, settings))

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper, ranks and A from its inputs."""
        import torch

        from tunewright.tools.models.offset import lora_layers

        made = super().build(model, adapter, start)
        settings = EvaSettings.model_validate(adapter.settings)
        layers = lora_layers(made)
        found = _directions(layers, made.get_base_model(), settings, start)
        ranks = redistributed({name: shares for name, (_, shares) in found.items()}, settings.rank)
        config = made.peft_config["default"]
        for name, rank in ranks.items():
            layer, rows = layers[name], found[name][0]
            if rank != settings.rank:
                alpha = settings.alpha * rank / settings.rank
                layer.update_layer("default", r=rank, lora_alpha=alpha, config=config)
                config.rank_pattern[name], config.alpha_pattern[name] = rank, alpha
            with torch.no_grad():
                layer.lora_A["default"].weight.copy_(rows[:rank])
        return made


def redistributed(shares: dict[str, list[float]], rank: int) -> dict[str, int]:
    """Module -> rank: one each, and the rest of ``rank`` times the modules to the directions of the largest shares.

    Args:
        shares: of each module's variance, by direction, falling; as many as the module may have ranks.
    """
    ranks = dict.fromkeys(shares, 1)
    rest = sorted(((-share, name) for name, every in shares.items() for share in every[1:]))
    for _, name in rest[: (rank - 1) * len(shares)]:
        ranks[name] += 1
    return ranks


def _directions(
    layers: dict[str, Any], model: Any, settings: EvaSettings, start: Start
) -> dict[str, tuple[Any, list[float]]]:
    """For each module its strongest input directions (most it may have, inputs) and their shares of the variance."""
    from tunewright.tools.models.lowrank import top_singular
    from tunewright.tools.training.probe import second_moments

    found: dict[str, tuple[Any, list[float]]] = {}
    modules = {name: layer.get_base_layer() for name, layer in layers.items()}
    last: tuple[Any, Any] = (None, None)
    for name, moment in second_moments(model, modules, start):
        if moment is not last[0]:
            most = min(int(settings.rho * settings.rank), moment.shape[0])
            _, values, right = top_singular(moment, most, seed=start.seed)
            last = moment, (right, (values / moment.trace().clamp_min(1e-30)).tolist())
        found[name] = last[1]
    return found


def _dearest(linears: Any, settings: EvaSettings) -> list[tuple[Linear, int]]:
    """The ranks that would cost the most parameters: the budget on the largest modules."""
    falling = sorted(linears, key=lambda one: one.inputs + one.outputs, reverse=True)
    left = (settings.rank - 1) * len(falling)
    chosen = []
    for linear in falling:
        more = min(left, min(int(settings.rho * settings.rank), linear.inputs) - 1)
        left -= more
        chosen.append((linear, 1 + more))
    return chosen


METHOD = Eva()
