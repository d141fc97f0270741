"""DoReMi: more of the sources on which a small model is still behind what it could be. Xie et al., arXiv 2305.10429,
algorithm 1.

A reference is trained on the recipe's weights (or the sources' sizes), then a proxy on batches of all sources alike. At
each of the proxy's steps, with ``l_j`` the mean over source j's tokens of ``max(loss_proxy - loss_reference, 0)``::

    p <- (1 - eps) softmax(log p + eta l) + eps / k       a source that is not in the batch keeps its last l
    loss = sum_i p_source(i) loss_i / sum_i p_source(i)   over tokens

The weights are the mean of ``p`` over the steps. Noise, which the reference could not learn either, has no excess. In
the paper both models are small ones trained from nothing; here they are small LoRAs on the stage's own model, trained
for a share of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tunewright.domain.space import Dimension, Float
from tunewright.tools.training.mix_policy import Mixing, MixPolicyMethod, Mixture
from tunewright.tools.training.mixture_trials import ProxyConfig
from tunewright.tools.training.selector import Work
from tunewright.tools.training.simplex import scaled, softmax
from tunewright.tools.training.sources import seeded

if TYPE_CHECKING:
    from tunewright.tools.training.proxy import Proxy


class DoremiConfig(ProxyConfig):
    """Settings of DoReMi."""

    share: float = Field(0.2, gt=0, le=1)
    """Steps of the reference, and of the proxy, over the stage's."""
    eta: float = Field(1.0, gt=0)
    """How strongly weights follow the excess losses."""
    smoothing: float = Field(1e-3, ge=0, lt=1)
    """How much of the weights is even: eps."""


class Doremi(MixPolicyMethod):
    """Follows the excess loss."""

    kind = "doremi"
    summary = "more of what a proxy has still to learn that a reference could: two small trainings before the stage"
    paper = "arXiv 2305.10429"
    names = ("DoReMi", "domain reweighting with minimax optimization")
    Config = DoremiConfig
    families = ("supervised",)
    copies_model = True

    def dimensions(self, stage: str) -> list[Dimension]:
        """How long the small models are trained, and how strongly weights follow."""
        path = f"{stage}.data.policy"
        return [
            Float(
                name=f"share.{self.kind}", path=f"{path}.share", low=0.05, high=0.5, log=True, default=0.2,
                why="proxies as long as the run, of a smaller model, in arXiv 2305.10429; range ours",
            ),
            Float(
                name=f"eta.{self.kind}", path=f"{path}.eta", low=0.3, high=3.0, log=True, default=1.0,
                why="1 in arXiv 2305.10429 (range ours)",
            ),
        ]  # fmt: skip

    def passes(self, settings: Any, work: Work) -> float:
        """Two trainings and the reference's reading of the proxy's rows."""
        return float((3 + 3 + 1) * settings.share * work.epochs)

    def weigh(self, mixing: Mixing) -> Mixture:
        """The mean of the proxy's weights over its steps."""
        from tunewright.tools.training.proxy import proxy

        settings, sources, size = mixing.settings, mixing.sources, mixing.work.batch_size
        steps = max(1, round(settings.share * mixing.work.steps))
        reference = sources.draw(mixing.prior, seed=seeded(mixing.seed, "reference"), total=steps * size)
        some = [float(weight > 0) for weight in mixing.prior]
        even = sources.draw(scaled(some), seed=seeded(mixing.seed, "proxy"), total=steps * size)
        with proxy(
            mixing.model, rank=settings.rank, lr=settings.lr, seed=mixing.seed, filler=mixing.form.end,
            precision=mixing.precision,
        ) as small:  # fmt: skip
            for step in range(steps):
                small.step([mixing.encoded[place] for place in reference[step * size : (step + 1) * size]])
                mixing.check(step, 2 * steps)
            known = _references(small, mixing, even)
            small.reset()
            p, last, path = scaled(some), [0.0] * len(some), []
            for step in range(steps):
                p, last = _followed(small, mixing, even[step * size : (step + 1) * size], known, p, last)
                path.append(p)
                mixing.check(steps + step, 2 * steps)
        weights = tuple(sum(one[j] for one in path) / len(path) for j in range(len(some)))
        return Mixture(weights, facts={"steps": steps, "excess": last})


def updated(p: Sequence[float], excess: Sequence[float], eta: float, smoothing: float) -> tuple[float, ...]:
    """``p`` after a step: (1 - eps) softmax(log p + eta l) + eps / k, where ``k`` counts the sources of some weight.

    A source of weight 0 has no rows and gets none.
    """
    some = [j for j, weight in enumerate(p) if weight > 0]
    moved = softmax([math.log(p[j]) + eta * excess[j] for j in some])
    found = [0.0] * len(p)
    for j, weight in zip(some, moved, strict=True):
        found[j] = (1 - smoothing) * weight + smoothing / len(some)
    return tuple(found)


def _references(small: Proxy, mixing: Mixing, places: Sequence[int]) -> dict[int, Any]:
    """Row -> the trained reference's loss of each of its answer's tokens."""
    import torch

    size = mixing.work.batch_size
    once = list(dict.fromkeys(places))
    found: dict[int, Any] = {}
    with torch.no_grad():
        for start in range(0, len(once), size):
            batch = once[start : start + size]
            likely, wanted = small.likelihoods([mixing.encoded[place] for place in batch])
            found.update(zip(batch, (-likely.detach()).split(wanted.sum(1).tolist()), strict=True))
    return found


def _followed(
    small: Proxy,
    mixing: Mixing,
    places: Sequence[int],
    known: dict[int, Any],
    p: Sequence[float],
    last: Sequence[float],
) -> tuple[tuple[float, ...], list[float]]:
    """One step of the proxy: the weights after it, and the excess losses that they follow."""
    import torch

    sources, settings = mixing.sources, mixing.settings
    likely, wanted = small.likelihoods([mixing.encoded[place] for place in places])
    which = torch.tensor([sources.names.index(sources.rows[place]["source"]) for place in places], device=wanted.device)
    of = which.repeat_interleave(wanted.sum(1))
    excess = (-likely.detach() - torch.cat([known[place] for place in places])).clamp(min=0)
    here = [float(excess[of == j].mean()) if bool((of == j).any()) else last[j] for j in range(len(p))]
    p = updated(p, here, settings.eta, settings.smoothing)
    weights = torch.tensor(p, device=likely.device)[of]
    small.descend(-(weights * likely).sum() / weights.sum())
    return p, here


METHOD = Doremi()
