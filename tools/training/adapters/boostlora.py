"""BoostLoRA: rounds of a very small adapter, each on what is still wrong. Anantha, Levato, Price, arXiv 2604.27308.

Round ``t`` of ``T`` looks which training rows the model does not answer, trains a minimal TinyLoRA (arXiv 2602.04118)
on those alone, merges it and begins anew: ``W + sum_t U_t R_t V_t^T`` with ``R_t = sum_i v_i P_i``, where
``U_t = U sqrt(S)`` (outputs, r) and ``V_t^T`` (r, inputs) are singular triplets ``t r .. (t + 1) r`` of the weight as
it was before training, ``P_i`` (r, r) are fixed and random, and ``v`` (u,) is all that a round trains. The windows are
orthogonal, so rounds do not undo each other, and the whole update has rank up to ``r T`` where one round has ``r``.

From the paper: the rounds over failures, the minimal adapter, one decomposition of the original weight, the rotating
windows. From PEFT's TinyLoRA, as the paper does not say it: ``P_i`` from N(0, 1/r), the singular values shared evenly.
Ours: a row fails if a label is not the most likely token given the tokens before it (what greedy decoding would show,
in one pass); a round is rejected if fewer of a held-out tenth of the training rows are answered than before, and then
the rate is halved (``v`` at half its scale, which to Adam is the same); fresh ``P_i`` and Adam moments for each round;
the windows begin again where a weight has no more; all the numbers. The paper trains by reinforcement or
cross-entropy; here it is the stage's objective.

Traps: each round costs a pass over the training rows, so few rounds are quicker on much data. Rounds without failures
train nothing, their steps pass. Nothing is merged into the base weights while training: what rounds have learned is
kept as factors beside them, and ``finish`` exports it as stock LoRA of rank r for each merged round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class BoostloraSettings(MethodConfig):
    """Settings of BoostLoRA."""

    rank: int = Field(4, gt=0)
    """Singular vectors of a round's window."""
    u: int = Field(16, gt=0)
    """Numbers that a round trains for each module, or group of modules."""
    rounds: int = Field(6, gt=0)
    """Over the steps of the stage, which they share evenly."""
    tying: Literal["none", "type", "all"] = "none"
    """Whether modules of one name, or all, share the numbers trained."""


class Boostlora(PeftMethod):
    """Rounds over failures."""

    kind = "boostlora"
    names = ("BoostLoRA",)
    summary = "rounds of a very small adapter, each on the rows still wrong; hundreds of trained parameters"
    paper = "arXiv 2604.27308"
    Config: type[MethodConfig] = BoostloraSettings
    families = ("supervised",)
    exports_lora = True
    fits_conv1d = True
    step_cost = 4.0
    lr = (1e-3, 1e-1, 1e-2)
    lr_source = "a few numbers steer whole windows of a weight; 1e-4 to 1e-1 is our reading of arXiv 2604.27308"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Window, numbers trained, rounds and tying."""
        return [
            rank_choice(stage, (2, 4, 8), 4, max_rank, why="of one round; the rounds' ranks add up"),
            Choice(name="u.boostlora", path=f"{stage}.adapter.u", options=(4, 16, 64), default=16),
            Choice(name="rounds.boostlora", path=f"{stage}.adapter.rounds", options=(3, 6, 12), default=6),
            Choice(name="tying.boostlora", path=f"{stage}.adapter.tying", options=("none", "type"), default="none"),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.boostlora import Config

        return Config(
            r=settings.rank,
            u=settings.u,
            rounds=settings.rounds,
            tying=settings.tying,
            seed=start.seed,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``u`` for each module or group of modules; those of one round."""
        for linear in linears:
            if settings.rank > min(linear.inputs, linear.outputs):
                raise UsageError(
                    f"'boostlora' takes windows of at most the rank of a weight: {settings.rank} is more than "
                    f"{linear.name} has, which is {linear.inputs} by {linear.outputs}",
                    f"give a rank of at most {min(linear.inputs, linear.outputs)}",
                )
        groups = {"none": len(linears), "type": len({linear.name.rpartition(".")[2] for linear in linears}), "all": 1}
        return int(settings.u * groups[settings.tying])

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """The rounds."""
        from tunewright.tools.training.boosting import Boosting

        return Boosting(model, start)

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """The sum of the merged rounds as stock LoRA on the untouched base weights."""
        from tunewright.tools.models.factors import with_lora

        layers = model.base_model.layers
        rounds = sorted({number for layer in layers for number in layer.learned("default")}) or [0]
        factors = {layer.key: layer.factor("default", rounds) for layer in layers}
        return with_lora(model.unload(), factors)


METHOD = Boostlora()
