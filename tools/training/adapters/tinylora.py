"""TinyLoRA: a handful of numbers between a layer's largest singular vectors. Morris et al., arXiv 2602.04118.

``W + B R A`` with ``A = sqrt(S) V^T`` (r, inputs) and ``B = U sqrt(S)`` (outputs, r) from the ``r`` largest singular
values of ``W``, frozen, and ``R = sum_i v_i P_i`` (r, r): ``v`` (u,) is trained and starts at zero, the ``P_i`` are
fixed and random. Layers may share ``v`` (``tying``). From the paper: the equation, sharing, and that so few
numbers suffice in reinforcement learning; in supervised training it reports 100 to 1000 times as many are needed, so
expect little of it there. Its learning rates were not read. From PEFT: ``sqrt(S)`` on both sides, and the ``P_i``
normal with variance ``1 / r``. Ours: rank 4 and 16 numbers; ``R`` has r^2 entries, so more than r^2 numbers add none.

PEFT's decomposition of every layer takes time when the adapter is built, and again when it is loaded. ``A``, ``B`` and
the ``P_i`` are saved with the adapter, which is therefore about a LoRA checkpoint of rank r in size; they are in
the training's checkpoints as well, since another machine's decomposition may turn singular vectors around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice, transposed

_FROZEN = (".tinylora_A.", ".tinylora_B.", ".tinylora_P.")


class TinyloraSettings(MethodConfig):
    """Settings of TinyLoRA."""

    rank: int = Field(4, gt=0)
    """How many singular vectors r are used."""
    length: int = Field(16, gt=0)
    """Numbers u trained for each layer, or for each group of layers that share them."""
    tying: float = Field(0.0, ge=0, le=1)
    """0: each layer has its own numbers; 1: all share them."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class FrozenParts(Loop):
    """Keeps what the decomposition gave in the checkpoints."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def state(self) -> dict[str, Any]:
        """Name -> tensor."""
        return {name: buffer.detach().cpu().clone() for name, buffer in self._parts()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts them back."""
        for name, buffer in self._parts():
            buffer.copy_(state[name])

    def _parts(self) -> Iterator[tuple[str, Any]]:
        return ((name, buffer) for name, buffer in self._model.named_buffers() if any(one in name for one in _FROZEN))


class Tinylora(PeftMethod):
    """Random combinations of a layer's own singular vectors."""

    kind = "tinylora"
    names = ("TinyLoRA",)
    summary = "one to a few dozen trained numbers a layer; for reinforcement learning, weak in supervised training"
    paper = "arXiv 2602.04118"
    converts_to_lora = True
    Config: type[MethodConfig] = TinyloraSettings
    fits_conv1d = True
    step_cost = 2.3
    activation_cost = 1.2
    lr = (1e-3, 1e-1, 1e-2)
    lr_source = "PEFT's comparison trains at 1e-3 (the paper's rates were not read); the rest is ours, for small models"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, how many numbers, and how far they are shared."""
        return [
            rank_choice(stage, (2, 4, 8), 4, max_rank),
            Choice(name="length.tinylora", path=f"{stage}.adapter.length", options=(1, 4, 16, 64), default=16),
            Choice(name="tying", path=f"{stage}.adapter.tying", options=(0.0, 0.5, 0.9), default=0.0),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``TinyLoraConfig``; the random matrices are drawn from the stage's seed."""
        from peft import TinyLoraConfig

        return TinyLoraConfig(
            r=settings.rank,
            u=settings.length,
            weight_tying=settings.tying,
            tinylora_dropout=settings.dropout,
            projection_seed=start.seed,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """Keeps the frozen parts in the checkpoints."""
        return FrozenParts(model)

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``u`` for each group of layers.

        Raises:
            UsageError: a layer has fewer singular values than the rank.
        """
        narrow = min(linears, key=lambda linear: min(linear.inputs, linear.outputs))
        values = min(narrow.inputs, narrow.outputs)
        if settings.rank > values:
            raise UsageError(
                f"'tinylora' with rank {settings.rank} asks for more than the {values} singular values"
                f" of '{narrow.name}'",
                f"take a rank of at most {values}",
            )
        groups = max(1, round(len(linears) * (1 - settings.tying)))
        return int(settings.length * groups)


METHOD = Tinylora()
