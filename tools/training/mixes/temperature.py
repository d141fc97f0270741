"""Temperature sampling: between proportional and uniform. Devlin et al., multilingual BERT, and Conneau et al.,
arXiv 1911.02116, section 3.1, who write ``1/T`` as alpha.

``p_j = n_j^(1/T) / sum_i n_i^(1/T)`` with ``n_j`` rows of source j: T = 1 is in proportion to sizes, a large T uniform.
No source is gone through more than ``most_repeats`` times in a stage, four by default after Muennighoff et al.,
arXiv 2305.16264; what is cut off goes to the others in proportion. A stage of more epochs than that over all its rows
repeats all of them alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture
from tunewright.tools.training.simplex import capped, repeats, scaled


class TemperatureConfig(MethodConfig):
    """Settings of temperature sampling."""

    temperature: float = Field(2.0, ge=1)
    """T: 1 is in proportion to sizes, a large one uniform."""
    most_repeats: float = Field(4.0, gt=0)
    """How often a source is gone through in a stage, at most."""


class Temperature(MixPolicyMethod):
    """Lifts small sources."""

    kind = "temperature"
    summary = (
        "between proportional and uniform: small sources count for more than their size, repeated four times at most"
    )
    paper = "arXiv 1911.02116"
    names = ("temperature sampling", "temperature mix", "temperature-based sampling")
    plain_word = True
    Config = TemperatureConfig
    takes_weights = False

    def dimensions(self, stage: str) -> list[Dimension]:
        """The temperature."""
        return [
            Choice(
                name=f"temperature.{self.kind}",
                path=f"{stage}.data.policy.temperature",
                options=(1.0, 1.5, 2.0, 3.0, 5.0),
                default=2.0,
                why="1/T of 0.3 to 0.7 in arXiv 1911.02116 and its kin",
            )
        ]

    def weigh(self, mixing: Mixing) -> Mixture:
        """Of the sizes, with repeats bounded."""
        settings, sizes = mixing.settings, mixing.sources.sizes
        return Mixture(
            capped(tempered(sizes, settings.temperature), repeats(sizes, mixing.trained, settings.most_repeats))
        )


def tempered(sizes: Sequence[int], temperature: float) -> tuple[float, ...]:
    """``n_j^(1/T)`` on the simplex; sources without rows have no weight."""
    largest = max(sizes)
    return scaled([(size / largest) ** (1 / temperature) if size else 0.0 for size in sizes])


METHOD = Temperature()
