"""As much of every source: stratified sampling. Chen et al., arXiv 2411.05735, find that the policies before theirs do
not beat it reliably.
"""

from __future__ import annotations

from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture


class Uniform(MixPolicyMethod):
    """Weighs all sources alike."""

    kind = "uniform"
    summary = "as much of every source, small ones repeated: at no cost, and hard to beat on average over sources"
    paper = "arXiv 2411.05735"
    names = (
        "uniform mix",
        "uniform weights",
        "uniform sampling",
        "stratified sampling",
        "equal weights",
        "equal parts",
    )
    plain_word = True
    takes_weights = False

    def weigh(self, mixing: Mixing) -> Mixture:
        """One over the number of sources that have rows."""
        some = [bool(size) for size in mixing.sources.sizes]
        return Mixture(tuple(1 / sum(some) if one else 0.0 for one in some))


METHOD = Uniform()
