"""FourierFT: a few coefficients of each update's Fourier transform are trained. Gao et al., arXiv 2405.03003.

``W + alpha Re(ifft2(F))`` with ``F`` (outputs, inputs) zero but for ``n`` entries at random places, which are
trained. From the paper: the equation, ``n`` = 1000, ``alpha`` of 100 to 300, and places that are the same in all
layers of one shape. The inverse transform divides by ``outputs inputs``, so ``alpha`` and the learning rate weigh less
the wider the layer is: in a very small model take a smaller ``alpha``. Ours: the coefficients start at zero, so that
the model starts as the base model, where paper and PEFT draw them from a normal distribution.

The places are drawn from the stage's seed and kept in the config as that seed; an adapter holds ``n`` numbers a layer.
Each step makes an update of the weight's size, so it takes the time of full fine-tuning's products and of a transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, transposed


class FourierSettings(MethodConfig):
    """Settings of FourierFT."""

    coefficients: int = Field(1000, gt=0)
    """How many coefficients n are trained in each layer."""
    scale: float = Field(150.0, gt=0)
    """``alpha``, the factor of the update."""


class Fourierft(PeftMethod):
    """A sparse spectrum for each update."""

    kind = "fourierft"
    names = ("FourierFT", "Fourier fine-tuning")
    summary = "a thousand Fourier coefficients a layer, of full rank; few parameters, slower steps"
    paper = "arXiv 2405.03003"
    converts_to_lora = True
    Config: type[MethodConfig] = FourierSettings
    fits_conv1d = True
    step_cost = 5.5
    scoring_cost = 3.8
    activation_cost = 2.3
    lr = (5e-3, 2e-1, 3e-2)
    lr_source = (
        "the code of arXiv 2405.03003 trains Llama 2 at 5e-2 with a scale of 300; the width of the range is ours"
    )

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """How many coefficients, and the scale."""
        return [
            coefficient_choice(stage),
            Choice(
                name="scale.fourierft",
                path=f"{stage}.adapter.scale",
                options=(50.0, 150.0, 300.0),
                default=150.0,
                why="arXiv 2405.03003 takes 100 to 300",
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``FourierFTConfig``."""
        from peft import FourierFTConfig

        return FourierFTConfig(
            n_frequency=settings.coefficients,
            scaling=settings.scale,
            random_loc_seed=start.seed,
            init_weights=True,
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


def coefficient_choice(stage: str) -> Choice:
    """How many coefficients are trained in each layer."""
    return Choice(name="coefficients", path=f"{stage}.adapter.coefficients", options=(250, 1000, 4000), default=1000)


def spectrum_size(linears: Sequence[Linear], coefficients: int, kind: str) -> int:
    """``coefficients`` a layer.

    Raises:
        UsageError: a layer has fewer entries.
    """
    least = min(linears, key=lambda linear: linear.inputs * linear.outputs)
    entries = least.inputs * least.outputs
    if coefficients > entries:
        raise UsageError(
            f"'{kind}' with {coefficients} coefficients has more than the {entries} entries of '{least.name}'",
            f"take at most {entries} coefficients",
        )
    return coefficients * len(linears)


METHOD = Fourierft()
