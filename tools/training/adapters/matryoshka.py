"""MatryoshkaLoRA: one LoRA that holds LoRAs of every lower rank. Modoranu, Safaryan, Alistarh, arXiv 2605.07850.

For the trained ranks S = {1, 2, 4, ..., R}, ``A`` (R, inputs), ``B`` (outputs, R) and a scale ``s_r`` of 1 (``none``),
``1 / r`` (``rank``) or ``1 / sqrt(r)`` (``sqrt``):

- training: ``dW = B diag(p) A`` with ``p_i`` the sum of ``s_r`` over r in S with r >= i, which is the sum over S of
  ``s_r B[:, :r] A[:r]``, at LoRA's cost (their Algorithm 1);
- evaluation, merging and export at a rank q: ``dW = B[:, :q] diag(p[:q]) A[:q]`` with ``serving="trained"``, ours, or
  ``dW = s_q B[:, :q] A[:q]`` with ``serving="paper"``, as in the paper's code.

S = {R} is LoRA, whatever the serving. ``mode="dylora"`` is DyLoRA as their code has it: each step trains one rank of
S, drawn evenly for all modules together, with its ``s_r``; it is served with ``s_q``. Trained: ``R (inputs +
outputs)`` a module. No alpha, no dropout.

From the paper and its code: the equations, S, ``sqrt``, and the initialisation ``ref``, A uniform within
``1 / sqrt(R)`` whatever the inputs; ``peft`` is LoRA's ``1 / sqrt(inputs)`` and wants another learning rate. Their
rates are 5e-6 to 1e-3 for 1B to 8B. Ours: R itself is always in S (above the largest rank of S nothing would be
trained), R is at most the module's smaller dimension, the range of rates, and the serving by default. The paper's
drops ``p``, so what it evaluates is smaller than what was trained at every rank, R too: the loss of a two-layer
Llama that learned to copy went from 0.40 in training to 3.0 at rank 16 and 3.9 at rank 8; with ``p`` kept it is 0.40
and 0.89 (R = 16, sqrt, 150 steps; so for every rank, scale and rate tried). Their second way to train, by masks,
divides by ``|S|``; it is not here.

Trap: in the mode ``dylora`` Adam's momentum moves the ranks above the drawn one too.

What is saved is stock LoRA at ``serve_rank``; ``tools/models/nested.py`` cuts it to any lower rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.models.nested import Scale, trained_ranks
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, lora_size, rank_choice, transposed


class MatryoshkaSettings(MethodConfig):
    """Settings of MatryoshkaLoRA."""

    rank: int = Field(16, gt=0)
    """The largest rank R."""
    ranks: tuple[int, ...] | None = None
    """The trained ranks; None for the powers of two. Those above ``rank`` are left out, ``rank`` is added."""
    serve_rank: int | None = None
    """The trained rank that is evaluated and exported; None for the largest."""
    scale: Scale = "sqrt"
    """The scale of each rank: 1, ``1 / rank`` or ``1 / sqrt(rank)``."""
    mode: Literal["matryoshka", "dylora"] = "matryoshka"
    """All trained ranks at every step, or one of them."""
    serving: Literal["trained", "paper"] = "trained"
    """What is evaluated and exported: the first ranks of what was trained, or the paper's rescaled ones."""
    a_init: Literal["ref", "peft"] = "ref"
    """How large A starts: as in the paper's code, or as in PEFT's LoRA."""


class Matryoshka(PeftMethod):
    """Nested LoRAs."""

    kind = "matryoshka"
    names = ("MatryoshkaLoRA", "Matryoshka LoRA")
    summary = "LoRAs of every rank in one, cut to size after training; when the serving rank is not known yet"
    paper = "arXiv 2605.07850"
    Config: type[MethodConfig] = MatryoshkaSettings
    exports_lora = True
    fits_conv1d = True
    lr = (2e-5, 2e-3, 3e-4)

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, scale and mode."""
        return [
            rank_choice(stage, (8, 16, 32, 64), 16, max_rank),
            Choice(
                name="scale.matryoshka",
                path=f"{stage}.adapter.scale",
                options=("sqrt", "rank", "none"),
                default="sqrt",
            ),
            Choice(
                name="mode.matryoshka",
                path=f"{stage}.adapter.mode",
                options=("matryoshka", "dylora"),
                default="matryoshka",
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.matryoshka import Config

        return Config(
            r=settings.rank,
            ranks=None if settings.ranks is None else list(settings.ranks),
            serve_rank=settings.serve_rank,
            scale=settings.scale,
            mode=settings.mode,
            serving=settings.serving,
            a_init=settings.a_init,
            fan_in_fan_out=transposed(model),
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``R (inputs + outputs)`` a module."""
        ranks = trained_ranks(settings.rank, settings.ranks)
        if settings.serve_rank is not None and settings.serve_rank not in ranks:
            raise UsageError(
                f"'matryoshka' expects serve_rank to be a trained rank, got {settings.serve_rank}",
                f"take one of {', '.join(map(str, ranks))}, or add it to ranks",
            )
        for linear in linears:
            most = min(linear.inputs, linear.outputs)
            if settings.rank > most:
                raise UsageError(
                    f"'matryoshka' expects a rank of at most {most} for {linear.name} ({linear.inputs} to "
                    f"{linear.outputs}), got {settings.rank}: its update has no more ranks",
                    f"take a rank of at most {most}, or a placement without that module",
                )
        return lora_size(linears, settings.rank)

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """DyLoRA draws its ranks; else nothing."""
        settings = MatryoshkaSettings.model_validate(adapter.settings)
        if settings.mode == "matryoshka":
            return Loop()
        return Draws(model.base_model, trained_ranks(settings.rank, settings.ranks), start.seed)

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """Stock LoRA of the serving rank."""
        return model.base_model.as_lora()


class Draws(Loop):
    """DyLoRA's rank of each step, the same for all modules.

    Args:
        tuner: the tuner's model.
        ranks: to draw from, each as likely.
    """

    def __init__(self, tuner: Any, ranks: Sequence[int], seed: int) -> None:
        import torch

        self.tuner, self.ranks = tuner, list(ranks)
        self.generator = torch.Generator().manual_seed(seed)

    def before_step(self, step: int) -> None:
        """Draws."""
        import torch

        at = int(torch.randint(len(self.ranks), (), generator=self.generator))
        self.tuner.draw(self.ranks[at])

    def state(self) -> dict[str, Any]:
        """The generator's."""
        return {"generator": self.generator.get_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on drawing where ``state`` was."""
        self.generator.set_state(state["generator"])


METHOD = Matryoshka()
