"""One epoch's worth of rows by the weights of a data mix."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from tunewright.domain.errors import DataError
from tunewright.tools.data.rows import Row


def mix(
    rows: Sequence[Row], sources: Sequence[str], weights: Sequence[float], *, seed: int, total: int | None = None
) -> list[Row]:
    """Rows drawn from the sources in proportion to ``weights``, in random order.

    A source asked for more than it has is gone through again; one asked for less gives a random part, another
    with every seed. So a new seed for each epoch shows all of a source in the long run.

    Args:
        rows: the training rows.
        sources: names in the order of ``TaskSpec.sources``.
        weights: on the simplex, in the same order; empty means every row once.
        seed: decides draw and order; the same seed gives the same list.
        total: how many rows; as many as there are if it is not said.

    Raises:
        DataError: as many weights as sources are needed, and rows wherever a weight is not zero.
    """
    chance = random.Random(seed)
    count = len(rows) if total is None else total
    if not weights:
        mixed = list(rows) if count == len(rows) else _draw(list(rows), count, "all", chance)
    else:
        if len(weights) != len(sources):
            raise DataError(
                f"{len(weights)} data weights for {len(sources)} sources", f"give one each for {', '.join(sources)}"
            )
        mixed = []
        for name, share in zip(sources, _shares(weights, count), strict=True):
            mixed += _draw([row for row in rows if row["source"] == name], share, name, chance)
    chance.shuffle(mixed)
    return mixed


def _draw(rows: list[Row], count: int, name: str, chance: random.Random) -> list[Row]:
    """``count`` rows: whole passes first, then a random part of one."""
    if count and not rows:
        raise DataError(f"source '{name}' has no training rows but a weight", "give it the weight 0, or more rows")
    passes, rest = divmod(count, len(rows)) if rows else (0, 0)
    return rows * passes + chance.sample(rows, rest)


def _shares(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers that sum to ``total``, by largest remainder; the earlier source wins a tie."""
    exact = [weight / sum(weights) * total for weight in weights]
    shares = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
