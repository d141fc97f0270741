"""LoftQ: LoRA on a quantised model, started so that both together are near the original. Li et al., arXiv 2310.08659.

The equations are in ``tools/models/tuners/loftq.py``. From the paper: the turns (it takes five), NormalFloat of four
and two bits, LoRA's rates. Ours: written from the equations without a library of 4-bit kernels, so it runs anywhere
and shows what a quantised model can learn, but trains no faster; the quantised weights are saved with the adapter,
about half a byte each. The start is only near the base model. It is not LoRA on the original weights, so it exports
none; merged, it is a model of full precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import LoraSettings, rank_and_alpha
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, lora_size


class LoftqSettings(LoraSettings):
    """Settings of LoftQ."""

    bits: Literal[2, 3, 4] = 4
    """Of each number of the quantised weight."""
    turns: int = Field(5, ge=1, le=20)
    """How often quantisation and decomposition alternate."""


class Loftq(PeftMethod):
    """LoRA beside a quantised weight."""

    kind = "loftq"
    names = ("LoftQ", "LoRA-fine-tuning-aware quantization", "LoRA-fine-tuning-aware quantisation")
    summary = "LoRA on weights of 4 bits or fewer; for a model that will be served quantised"
    paper = "arXiv 2310.08659"
    Config: type[MethodConfig] = LoftqSettings
    identity = False
    fits_conv1d = True
    lr = (5e-5, 2e-3, 3e-4)
    lr_source = "the paper's code trains models of 7B at 3e-4 (4 bits); wider both ways"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and alpha as LoRA's; how many bits is for the user to say."""
        return rank_and_alpha(stage, max_rank)

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.loftq import Config

        return Config(
            r=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            bits=settings.bits,
            turns=settings.turns,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a layer.

        Raises:
            UsageError: a module has fewer singular directions than the rank.
        """
        for linear in linears:
            there = min(linear.inputs, linear.outputs)
            if settings.rank > there:
                raise UsageError(
                    f"'{self.kind}' takes {settings.rank} singular directions of each module, and '{linear.name}' of "
                    f"{linear.outputs} x {linear.inputs} has {there}",
                    f"give a rank of at most {there}",
                )
        return lora_size(linears, settings.rank)

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """Keeps the quantised weights in checkpoints."""
        return _Kept(model)


class _Kept(Loop):
    """Checkpoints hold the quantised weights, which computed anew elsewhere could differ in a few numbers."""

    def __init__(self, model: Any) -> None:
        self._layers = {layer.key: layer for layer in model.base_model.layers}

    def state(self) -> dict[str, Any]:
        return {
            key: [layer.loftq_codes["default"], layer.loftq_scales["default"]] for key, layer in self._layers.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for key, (codes, scales) in state.items():
            layer = self._layers[key]
            layer.loftq_codes["default"].copy_(codes)
            layer.loftq_scales["default"].copy_(scales)
            layer.forget()


METHOD = Loftq()
