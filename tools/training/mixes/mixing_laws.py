"""Data mixing laws: each source's loss as an exponential function of the mixture, fitted to small trials and minimised.
Ye et al., arXiv 2403.16952.

``L_i(p) = c_i + k_i exp(sum_j t_ij p_j)`` for the held-out rows of each source i (tools/training/mixing_law.py); the
sum over the targets is minimised on the simplex. The paper goes on to extrapolate over steps and model sizes with power
laws; here the law is of a small LoRA after a few steps on the stage's own model. No source is gone through more than
``most_repeats`` times in the stage.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.space import Dimension, Int
from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture
from tunewright.tools.training.mixture_trials import TrialsConfig, chosen_targets, measured, trial_passes, tried
from tunewright.tools.training.selector import Work
from tunewright.tools.training.simplex import capped, dirichlet, repeats


class MixingLawsConfig(TrialsConfig):
    """Settings of data mixing laws."""

    mixtures: int = Field(16, ge=4)
    """How many mixtures are tried, each by a proxy."""
    most_repeats: float = Field(4.0, gt=0)
    """How often a source is gone through in the stage, at most."""


class MixingLaws(MixPolicyMethod):
    """Fits a law and takes its minimum."""

    kind = "mixing_laws"
    summary = "train a small proxy on each of some mixtures and fit an exponential law: dear, once before the stage"
    paper = "arXiv 2403.16952"
    names = ("data mixing laws", "mixing laws", "mixing law")
    Config = MixingLawsConfig
    families = ("supervised",)
    copies_model = True

    def dimensions(self, stage: str) -> list[Dimension]:
        """How many mixtures are tried, and for how long."""
        path = f"{stage}.data.policy"
        return [
            Int(
                name=f"mixtures.{self.kind}", path=f"{path}.mixtures", low=8, high=32, log=True, default=16,
                why="the law has one number more than there are sources for each of them (ours)",
            ),
            Int(
                name=f"proxy_steps.{self.kind}", path=f"{path}.proxy_steps", low=5, high=40, log=True, default=10,
                why="thousands of steps for pre-training in arXiv 2403.16952; range for a small LoRA (ours)",
            ),
        ]  # fmt: skip

    def passes(self, settings: Any, work: Work) -> float:
        """Of all trials."""
        return trial_passes(settings, work.rows, work.batch_size)

    def weigh(self, mixing: Mixing) -> Mixture:
        """The minimum of the fitted law."""
        import numpy

        from tunewright.tools.training.mixing_law import fit, lowest

        settings: Any = mixing.settings
        at = measured(mixing, settings.hold_out, settings.val_rows)
        wanted = chosen_targets(settings, at)
        chance = numpy.random.default_rng(mixing.seed)
        design = [mixing.prior, *dirichlet(mixing.prior, settings.mixtures - 1, chance, strengths=(0.5, 10.0))]
        losses = tried(mixing, design, at)
        laws = [fit(design, [row[i] for row in losses]) for i in wanted]
        sizes = mixing.sources.sizes
        most = repeats(sizes, mixing.trained, settings.most_repeats)
        bounds = [bound if weight else 0.0 for bound, weight in zip(most, mixing.prior, strict=True)]
        room = [bound / min(1.0, sum(bounds)) for bound in bounds]
        weights = capped(lowest(laws, [1.0] * len(laws), room), room)
        off = max(
            float(numpy.abs(law(design) - [row[i] for row in losses]).max())
            for law, i in zip(laws, wanted, strict=True)
        )
        return Mixture(
            weights, facts={"tried": [list(one) for one in design], "losses": losses, "largest_residual": off}
        )


METHOD = MixingLaws()
