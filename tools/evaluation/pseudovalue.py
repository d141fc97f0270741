"""A metric of one run as one number an item, whose mean is the metric: what sums over items and seeds are made of.

For a mean these are the items' scores. For any other metric they are its jackknife pseudo-values (Tukey 1958), shifted
to have the metric as their mean, as studies of readers and cases take them (Hillis, Berbaum and Metz 2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.domain.outcome import Item
from tunewright.domain.protocols import Scorer
from tunewright.tools.evaluation.resampling import Floats
from tunewright.tools.evaluation.scorer import is_mean
from tunewright.tools.evaluation.statistics import aggregate_of

GROUPS = 200
"""Items are left out in at most this many groups: past that the spread is known well enough."""


def pseudo_values(items: Sequence[Item], scorer: Scorer) -> Floats:
    """(N,) numbers of a run, in the order of its items' ids; (GROUPS,) where the metric is no mean and N is larger.

    Raises:
        ValueError: there are no items.
    """
    if not items:
        raise ValueError("a run has no items to be judged by")
    ordered = sorted(items, key=lambda item: item.id)
    if is_mean(scorer):
        return np.array([item.score for item in ordered], dtype=np.float64)
    n = len(ordered)
    groups = min(n, GROUPS)
    kept = np.arange(n)[None, :] % groups != np.arange(groups)[:, None]
    whole = scorer.aggregate(ordered)
    if groups == 1:
        return np.array([whole])
    aggregate, _ = aggregate_of(scorer, ordered, groups)
    left_out = aggregate(kept.astype(np.float64))
    values: Floats = -(groups - 1) * left_out
    values += whole - values.mean()
    return values
