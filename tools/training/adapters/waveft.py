"""WaveFT: a few coefficients of each update's wavelet transform are trained. arXiv 2505.12532.

``W + s idwt(C)`` with ``C`` (outputs, inputs) zero but for ``n`` entries at random places, which are trained from
zero; one level of the inverse two-dimensional transform, Haar's by default. A Fourier coefficient touches the whole
weight, a Haar coefficient a block of two by two: WaveFT's update is sparse, FourierFT's is not. From paper and PEFT:
the equation, scale 25 and Haar's wavelet (for image models). Ours: 1000 coefficients instead of PEFT's 2592, for small
layers, and the range of learning rates: one coefficient moves its block's entries by ``s lr / 2`` a step.

The places are drawn from the stage's seed and kept in the config as that seed; an adapter holds ``n`` numbers a layer.
Each step makes an update of the weight's size, so it takes the time of full fine-tuning's products and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.fourierft import coefficient_choice, spectrum_size
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, transposed


class WaveSettings(MethodConfig):
    """Settings of WaveFT."""

    coefficients: int = Field(1000, gt=0)
    """How many coefficients n are trained in each layer."""
    scale: float = Field(25.0, gt=0)
    """``s``, the factor of the update."""
    wavelet: Literal["db1", "db2", "db4", "sym4", "coif1"] = "db1"
    """``db1`` is Haar's; longer ones are smoother and slower."""


class Waveft(PeftMethod):
    """A sparse set of wavelet coefficients for each update."""

    kind = "waveft"
    names = ("WaveFT", "wavelet fine-tuning")
    summary = "a thousand wavelet coefficients a layer: sparse, local updates; few parameters, slower steps"
    paper = "arXiv 2505.12532"
    converts_to_lora = True
    Config: type[MethodConfig] = WaveSettings
    fits_conv1d = True
    step_cost = 5.5
    scoring_cost = 3.6
    activation_cost = 3.2
    lr = (2e-5, 2e-3, 1e-4)
    lr_source = "PEFT's comparison trains at 1e-4 (the paper's rates were not read); the width of the range is ours"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """How many coefficients, scale and wavelet."""
        return [
            coefficient_choice(stage),
            Choice(name="scale.waveft", path=f"{stage}.adapter.scale", options=(10.0, 25.0, 50.0), default=25.0),
            Choice(name="wavelet", path=f"{stage}.adapter.wavelet", options=("db1", "db4"), default="db1"),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``WaveFTConfig``."""
        from peft import WaveFTConfig

        return WaveFTConfig(
            n_frequency=settings.coefficients,
            scaling=settings.scale,
            wavelet_family=settings.wavelet,
            random_loc_seed=start.seed,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``n`` a layer.

        Raises:
            UsageError: a layer has fewer entries.
        """
        return spectrum_size(linears, settings.coefficients, self.kind)


METHOD = Waveft()
