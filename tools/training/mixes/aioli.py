"""Aioli: weights that change during training, after what a few steps on each source did to the losses of all. Chen et
al., arXiv 2411.05735, algorithm 1.

The stage has ``rounds``. Each begins with a sweep: for each source j, ``sweep_steps`` steps on a mixture that leans to
it (``lean`` of it, the rest even), and the drop of each source i's loss on held-out rows is measured: ``D[i,j]``. Drops
are taken as linear in the mixture, ``D[i,j] = sum_m P[j,m] A[i,m]`` with the leaning mixtures ``P``. Solved for
``A[i,m]``, this is what source m does for source i. Then the rest of the round is trained with::

    A <- (A - min(A, 0)) / sum         A mean over rounds may be kept instead (ema)
    p <- p0 exp(eta sum_i A[i,:])      on the simplex; p0 is the last round's p, or the first's where there is an ema

The first ``p0`` is the recipe's weights, even where it has none. The steps of a sweep are steps of the stage. A round
of the paper has 250 steps; where ours are shorter, a sweep takes half of them at most, and fewer steps for each source.
Held-out rows are training rows, told by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tunewright.domain.frozen import Json
from tunewright.domain.space import Dimension, Float, Int
from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture
from tunewright.tools.training.mixture_trials import MeasuredConfig, measured
from tunewright.tools.training.selector import Work
from tunewright.tools.training.simplex import scaled

if TYPE_CHECKING:
    from tunewright.domain.recipe import Stage
    from tunewright.tools.training.learning import Learning

_SOURCES = 3
"""Guessed, where only the cost is asked for."""


class AioliConfig(MeasuredConfig):
    """Settings of Aioli."""

    rounds: int = Field(4, ge=1)
    """How often weights are found anew, evenly over the stage."""
    sweeps: int = Field(1, ge=1)
    """How often a round's sweep goes through the sources."""
    sweep_steps: int = Field(4, ge=1)
    """Steps on each leaning mixture, at most."""
    lean: float = Field(0.625, gt=0, le=1)
    """Share of the source that a mixture leans to; more than an even share."""
    eta: float = Field(0.2, gt=0)
    """How strongly weights follow."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Share of the rounds before in a mean over them; not set, each round counts alone and weights compound."""


class Aioli(MixPolicyMethod):
    """Looks at what each source does while training goes on."""

    kind = "aioli"
    summary = (
        "find weights anew in each round of the stage, from what some steps on each source do to the losses of all"
    )
    paper = "arXiv 2411.05735"
    names = ("Aioli", "online data mixing")
    Config = AioliConfig
    families = ("supervised",)

    def dimensions(self, stage: str) -> list[Dimension]:
        """How often weights change, and how strongly."""
        path = f"{stage}.data.policy"
        return [
            Float(
                name=f"eta.{self.kind}", path=f"{path}.eta", low=0.1, high=0.5, log=True, default=0.2,
                why="the values that the paper's code says to try",
            ),
            Int(
                name=f"rounds.{self.kind}", path=f"{path}.rounds", low=2, high=8, log=True, default=4,
                why="a round of 250 steps in arXiv 2411.05735; range for shorter stages (ours)",
            ),
        ]  # fmt: skip

    def passes(self, settings: Any, work: Work) -> float:
        """Held-out rows are read after each part of each sweep."""
        looks = settings.rounds * (_SOURCES * settings.sweeps + 1)
        return float(looks * min(settings.hold_out * work.rows, _SOURCES * settings.val_rows) / max(1, work.rows))

    def weigh(self, mixing: Mixing) -> Mixture:
        """The weights before the first round, and the rows that are measured on.

        Raises:
            UsageError: the stage is too short for its rounds.
        """
        from tunewright.tools.training.remixing import segments

        weights = mixing.given or scaled([float(size > 0) for size in mixing.sources.sizes])
        segments(mixing.work.steps, sum(weight > 0 for weight in weights), mixing.settings, mixing.seed)
        at = measured(mixing, mixing.settings.hold_out, mixing.settings.val_rows)
        return Mixture(weights, held=at.held)

    def guide(self, learning: Learning, stage: Stage, keep: Callable[[dict[str, Json]], None]) -> Learning:
        """The objective on batches of the weights found so far."""
        from tunewright.tools.training.remixing import Remixing

        data = learning.data
        if sum(weight > 0 for weight in data.weights) < 2:
            return learning
        return Remixing(learning, AioliConfig.model_validate(stage.data.policy.settings), keep)


def leaning(count: int, lean: float) -> list[tuple[float, ...]]:
    """``P``: for each of the sources a mixture of which it is ``lean``, the others alike."""
    rest = (1 - lean) / (count - 1)
    return [tuple(lean if m == j else rest for m in range(count)) for j in range(count)]


def interactions(drops: Sequence[Sequence[float]], lean: float) -> list[list[float]]:
    """``A`` of ``D``: (sources measured, sources trained) each.

    Raises:
        UsageError: the leaning mixtures are all the same.
    """
    import numpy

    from tunewright.domain.errors import UsageError

    count = len(drops[0])
    if abs(lean - 1 / count) < 1e-9:
        raise UsageError(f"a lean of {lean:g} is an even share of {count} sources", "set lean above it, such as 0.625")
    mixtures = numpy.asarray(leaning(count, lean))
    found: list[list[float]] = numpy.linalg.solve(mixtures, numpy.asarray(drops).T).T.tolist()
    return found


def normalised(found: Sequence[Sequence[float]]) -> list[list[float]]:
    """``A`` without anything below zero, and with the sum 1; all zero where nothing differs."""
    least = min(0.0, *(value for row in found for value in row))
    lifted = [[value - least for value in row] for row in found]
    total = sum(value for row in lifted for value in row)
    return [[value / total if total else 0.0 for value in row] for row in lifted]


def followed(p: Sequence[float], found: Sequence[Sequence[float]], eta: float) -> tuple[float, ...]:
    """``p exp(eta sum_i A[i,:])`` on the simplex."""
    import math

    return scaled([weight * math.exp(eta * sum(row[j] for row in found)) for j, weight in enumerate(p)])


METHOD = Aioli()
