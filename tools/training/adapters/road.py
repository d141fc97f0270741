"""RoAd: outputs are rotated and scaled in pairs. Liao and Monz, arXiv 2409.00119.

Outputs are paired; ``(y_a, y_b)`` becomes ``alpha (cos t y_a - sin t y_b, sin t y_a + cos t y_b)``, with ``t`` = 0 and
``alpha`` = 1 at first. ``variant`` 1 trains one ``t`` and ``alpha`` a pair, 2 one for each output, 4 two for each
output. From the paper: the equation and the variants. PEFT pairs output i with i + group / 2 within groups; the group
changes no model's worth, only speed. Ours: the group's default and the ranges.

Element-wise, so that rows of one batch can have different adapters cheaply. The smallest adapter beside (IA)3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod


class RoadSettings(MethodConfig):
    """Settings of RoAd."""

    variant: Literal[1, 2, 4] = 1
    """How freely a pair moves; parameters grow with it."""
    group_size: int = Field(32, gt=0, multiple_of=2)
    """Outputs within which pairs are made; must divide the outputs of every layer it sits on."""


class Road(PeftMethod):
    """Rotations of pairs of outputs."""

    kind = "road"
    names = ("RoAd", "rotation adaptation")
    plain_word = True
    summary = "rotates and scales pairs of outputs; tiny and fast, for little data"
    paper = "arXiv 2409.00119"
    Config: type[MethodConfig] = RoadSettings
    lr = (5e-4, 2e-2, 3e-3)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-3; the upper end, for small data, is ours"
    step_cost = 3.0
    activation_cost = 2.0

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """The variant."""
        return [Choice(name="variant.road", path=f"{stage}.adapter.variant", options=(1, 2, 4), default=1)]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``RoadConfig``."""
        from peft import RoadConfig

        return RoadConfig(
            variant=f"road_{settings.variant}",
            group_size=settings.group_size,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``variant outputs`` a layer, half of them angles.

        Raises:
            UsageError: the group does not divide a layer's outputs.
        """
        for linear in linears:
            if linear.outputs % settings.group_size:
                raise UsageError(
                    f"'road' with group_size {settings.group_size} does not divide the {linear.outputs} outputs of "
                    f"'{linear.name}'",
                    "take a 'group_size' that divides the outputs of every layer, such as 16",
                )
        return sum(settings.variant * linear.outputs for linear in linears)

    def extent(self, linear: Linear) -> int:
        """The outputs."""
        return linear.outputs


METHOD = Road()
