"""The weights that the recipe says, or in proportion to the sources' sizes where it says none."""

from __future__ import annotations

from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture


class Given(MixPolicyMethod):
    """Decides nothing."""

    kind = "given"
    summary = "the recipe's own weights, which the search chooses; in proportion to sizes where there are none"
    paper = "the baseline of every paper on mixtures"
    names = ("given weights", "fixed weights", "searched weights")
    plain_word = True

    def weigh(self, mixing: Mixing) -> Mixture:
        """As they are."""
        return Mixture(mixing.prior)


METHOD = Given()
