"""Holm's correction: many comparisons, one error rate for all of them together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p adjusted for being one of many, in the order given: below 5 % in any of them is wrong one time in twenty.

    The smallest counts as often as there are comparisons, the next one time less, and so on; holds however they depend
    on each other (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
