"""Which pair to ask for next.

The paper's (Cercola, Capretti, Formentin 2025, arXiv 2511.04286): dueling Thompson sampling, mixed by a parameter alpha
between looking for the best answer and looking where little is known. Its formula was not at hand: what follows is our
design. With probability alpha a pair *exploits*: each of its answers is the best one under weights drawn anew from the
posterior, as in double Thompson sampling for duels (Wu and Liu 2016, arXiv 1604.07101). Otherwise it *explores*: the
first answer is found like that, the second is the one whose difference from it has the largest posterior variance.

Where there are several prompts, each has such a duel, and the one whose label says most about the weights is asked for.
By the variance there too, long differences whose winner is known already would be preferred, and twenty simulated
preferences needed as many labels as at random.

``bald`` asks for the pair whose label says most, whichever answers it is of (Houlsby et al. 2011, arXiv 1112.5745):
choose it where all answers belong to one prompt and every comparison counts, since duels look at the best ones alone.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit

from tunewright.tools.preference.laplace import Array, Posterior
from tunewright.tools.preference.options import Acquire
from tunewright.tools.preference.pool import Indices, Pool

_NODES = 32


def choose(
    posterior: Posterior,
    pool: Pool,
    open_: NDArray[np.bool_],
    chance: np.random.Generator,
    *,
    count: int,
    alpha: float,
    acquire: Acquire = "thompson",
) -> list[int]:
    """``count`` pairs to ask for, or as many as are open; none of them twice.

    After each choice the posterior is that which its label will leave, as far as that is known without the label, so
    that a batch does not ask the same thing several times.

    Args:
        open_: (M,) whether each pair of the pool may be asked for.
        alpha: from 0, exploring alone, to 1; of ``thompson``.
    """
    left = open_.copy()
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        pairs = np.flatnonzero(left)
        if acquire == "random":
            pair = int(chance.choice(pairs))
        elif acquire == "bald":
            known = _margins(posterior, pool, pool.first[pairs], pool.second[pairs])
            pair = int(pairs[np.argmax(information(*known))])
        else:
            pair = duel(posterior, pool, pairs, chance, exploit=bool(chance.random() < alpha))
        chosen.append(pair)
        left[pair] = False
        posterior = posterior.expecting(pool.differences([pair])[0])
    return chosen


def duel(posterior: Posterior, pool: Pool, pairs: Indices, chance: np.random.Generator, *, exploit: bool) -> int:
    """The pair of ``pairs`` that dueling Thompson sampling asks for."""
    own = np.concatenate([pairs, pairs])  # both ways round: either answer may be the better one
    first = np.concatenate([pool.first[pairs], pool.second[pairs]])
    second = np.concatenate([pool.second[pairs], pool.first[pairs]])
    margin, variance = _margins(posterior, pool, first, second)
    best = (pool.features @ posterior.sample(chance))[first]
    beside = (pool.features @ posterior.sample(chance))[second] if exploit else variance
    order = np.lexsort((beside, best, pool.prompts[first]))
    duels = order[np.append(np.diff(pool.prompts[first][order]) != 0, True)]
    says = information(margin[duels], variance[duels])
    return int(own[duels[np.argmax(says)]])


def _margins(posterior: Posterior, pool: Pool, first: Indices, second: Indices) -> tuple[Array, Array]:
    """Means and variances of the difference in reward between answers."""
    rewards, points = pool.features @ posterior.mean, posterior.whitened(pool.features)
    return rewards[first] - rewards[second], np.square(points[first] - points[second]).sum(axis=1)


def information(margin: Array, variance: Array) -> Array:
    """(N,) mutual information in bits between the label of a pair and the weights.

    ``h(E[p]) - E[h(p)]`` with ``p = sigmoid(f)``, ``f ~ N(margin, variance)`` and ``h`` the entropy of a coin; both
    means by the same Gauss-Hermite rule, so that it is never negative.
    """
    nodes, weights = _rule()
    chance = expit(margin[:, None] + np.sqrt(variance)[:, None] * nodes)
    found: Array = _coin(chance @ weights) - _coin(chance) @ weights
    return np.maximum(found, 0.0)


@cache
def _rule() -> tuple[Array, Array]:
    """Nodes and weights of a mean over ``N(0, 1)``."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()


def _coin(chance: Array) -> Array:
    """The entropy in bits of coins that fall to one side with these probabilities."""
    found: Array = (entr(chance) + entr(1 - chance)) / math.log(2)
    return found
