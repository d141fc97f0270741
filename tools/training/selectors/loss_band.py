"""Rows of middling loss: neither what the model knows already nor what it cannot make sense of.

Keeps rows whose loss under the model at the stage's start, in nats a token of the answer, lies between two quantiles of
all rows' losses. Perplexity is the exponential of that loss, so a band of perplexities is the same band. Marion et al.,
arXiv 2309.04564, found the middle of the perplexities best for pre-training; the default band is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.rowloss import row_losses
from tunewright.tools.training.selector import Choosing, SelectorMethod, Work, part

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class LossBandConfig(MethodConfig):
    """Settings of the loss band."""

    low: float = Field(0.1, ge=0, lt=1)
    """Quantile of the losses below which rows are left out: what the model knows already."""
    high: float = Field(0.9, gt=0, le=1)
    """Quantile above which rows are left out: noise, or what is too hard."""

    @model_validator(mode="after")
    def _in_order(self) -> LossBandConfig:
        if self.low >= self.high:
            raise ValueError(f"low has to be below high, got {self.low:g} and {self.high:g}")
        return self


class LossBand(SelectorMethod):
    """Cuts both ends of the losses off."""

    kind = "loss_band"
    summary = "rows of middling loss under the model, at one pass over the rows: against noise and what is known"
    paper = "arXiv 2309.04564"
    names = ("loss band", "perplexity band", "perplexity filter", "perplexity filtering", "loss filter")
    Config = LossBandConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Where the band begins and ends."""
        return [
            Choice(
                name=f"{name}.{self.kind}",
                path=f"{stage}.data.selection.{name}",
                options=options,
                default=default,
                why="both ends can hurt (arXiv 2309.04564); range ours",
            )
            for name, options, default in (("low", (0.0, 0.1, 0.3), 0.1), ("high", (0.7, 0.9, 1.0), 0.9))
        ]

    def passes(self, settings: Any, work: Work) -> float:
        """One, over every row."""
        return 1.0

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Those within the band; where they are more than may stay, a random part of them."""
        losses = row_losses(choosing.model, encoded, choosing.precision, choosing.check)
        return part(
            within(losses, choosing.settings.low, choosing.settings.high), choosing.most(len(rows)), choosing.seed
        )


def within(values: Sequence[float], low: float, high: float) -> list[int]:
    """Indices of the values between two quantiles of them, both included; quantiles lie between neighbours, linearly.

    Values that are no numbers are never within.
    """
    import numpy

    numbers = numpy.asarray(values, dtype=float)
    finite = numbers[numpy.isfinite(numbers)]
    if not len(finite):
        return []
    least, most = numpy.quantile(finite, [low, high])
    return [index for index, value in enumerate(values) if least <= value <= most]


METHOD = LossBand()
