"""RegMix: many small trials of mixtures, a regression on them, and the mixtures that it likes best. Liu et al.,
arXiv 2407.01492.

1. Mixtures are drawn around the recipe's weights (or the sources' sizes) from Dirichlet distributions.
2. A proxy is trained on each for a few steps; the loss of held-out rows of the target is measured.
3. A regression of the loss on the mixture predicts a great many other mixtures; the mean of the best is taken.

The paper trains 512 models of a million parameters on a billion tokens and fits LightGBM. Here a proxy is a small LoRA
on the stage's own model, and scikit-learn's gradient boosting takes LightGBM's place. The first mixture tried is the
recipe's own. How well the ranking of mixtures is predicted for those left out of a fit is told: where it is not,
the weights are little more than the mean of what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.space import Dimension, Int
from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture
from tunewright.tools.training.mixture_trials import TrialsConfig, chosen_targets, measured, trial_passes, tried
from tunewright.tools.training.selector import Work
from tunewright.tools.training.simplex import dirichlet, scaled

_TRUSTED = 0.3
"""Rank correlation below which the user is warned (ours)."""


class RegmixConfig(TrialsConfig):
    """Settings of RegMix."""

    simulated: int = Field(20_000, ge=100)
    """Mixtures that are predicted."""
    best: int = Field(128, ge=1)
    """How many of them, the best, are averaged."""


class Regmix(MixPolicyMethod):
    """Learns from small trials which mixture leads to the lowest loss."""

    kind = "regmix"
    summary = "train a small proxy on each of many mixtures and regress the loss: dear, once before the stage"
    paper = "arXiv 2407.01492"
    names = ("RegMix", "regression mix", "mixture regression")
    Config = RegmixConfig
    families = ("supervised",)
    copies_model = True

    def dimensions(self, stage: str) -> list[Dimension]:
        """How many mixtures are tried, and for how long."""
        path = f"{stage}.data.policy"
        return [
            Int(
                name=f"mixtures.{self.kind}", path=f"{path}.mixtures", low=12, high=48, log=True, default=24,
                why="512 for 17 domains in arXiv 2407.01492; few sources need fewer (ours)",
            ),
            Int(
                name=f"proxy_steps.{self.kind}", path=f"{path}.proxy_steps", low=5, high=40, log=True, default=10,
                why="1000 steps of a model of 1M parameters in arXiv 2407.01492; range for a small LoRA (ours)",
            ),
        ]  # fmt: skip

    def passes(self, settings: Any, work: Work) -> float:
        """Of all trials."""
        return trial_passes(settings, work.rows, work.batch_size)

    def weigh(self, mixing: Mixing) -> Mixture:
        """The mean of the best mixtures."""
        import numpy

        settings: Any = mixing.settings
        at = measured(mixing, settings.hold_out, settings.val_rows)
        wanted = chosen_targets(settings, at)
        chance = numpy.random.default_rng(mixing.seed)
        design = [mixing.prior, *dirichlet(mixing.prior, settings.mixtures - 1, chance)]
        losses = [sum(row[i] for i in wanted) / len(wanted) for row in tried(mixing, design, at)]
        trust = rank_correlation(design, losses, mixing.seed)
        if trust < _TRUSTED:
            mixing.note(
                f"the regression of {len(design)} mixtures predicts their order poorly: rank correlation {trust:.2f}"
            )
        candidates = dirichlet(mixing.prior, settings.simulated, chance)
        weights = best_mixture(design, losses, candidates, settings.best, mixing.seed)
        return Mixture(
            weights, facts={"rank_correlation": trust, "tried": [list(one) for one in design], "losses": losses}
        )


def best_mixture(
    design: Sequence[Sequence[float]],
    losses: Sequence[float],
    candidates: Sequence[Sequence[float]],
    best: int,
    seed: int,
) -> tuple[float, ...]:
    """The mean of the candidates of the lowest predicted losses.

    Args:
        design: the mixtures tried, each on the simplex.
        losses: what each led to.
    """
    import numpy

    predicted = _fitted(design, losses, seed).predict(numpy.asarray(candidates))
    chosen = numpy.argsort(predicted, kind="stable")[:best]
    return scaled(numpy.asarray(candidates)[chosen].mean(0).tolist())


def rank_correlation(design: Sequence[Sequence[float]], losses: Sequence[float], seed: int, folds: int = 4) -> float:
    """Spearman's, between the losses and what is predicted of them by fits without them; 0 where either is constant."""
    import numpy
    from scipy.stats import rankdata

    mixtures, values = numpy.asarray(design), numpy.asarray(losses)
    predicted = numpy.zeros(len(values))
    for fold in range(folds):
        out = numpy.arange(len(values)) % folds == fold
        predicted[out] = _fitted(mixtures[~out], values[~out], seed).predict(mixtures[out])
    one, other = rankdata(values), rankdata(predicted)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(numpy.corrcoef(one, other)[0, 1])


def _fitted(design: Any, losses: Any, seed: int) -> Any:
    import numpy
    from sklearn.ensemble import GradientBoostingRegressor  # type: ignore[import-untyped]

    model = GradientBoostingRegressor(
        n_estimators=300, learning_rate=0.03, max_depth=3, min_samples_leaf=2, subsample=0.8, random_state=seed
    )
    return model.fit(numpy.asarray(design), numpy.asarray(losses))


METHOD = Regmix()
