"""The pairs that may be asked for: two answers to one prompt, known by their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tunewright.tools.preference.laplace import Array

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """N answers to some prompts, and the M pairs of answers to the same prompt."""

    features: Array
    """(N, D)"""
    prompts: Indices
    """(N,) number of the prompt that each answer is to; the answers to one prompt follow one another."""
    first: Indices
    """(M,) numbers of answers"""
    second: Indices
    """(M,), each greater than the one in ``first``"""

    @classmethod
    def of(cls, features: Array, answers: Sequence[int]) -> Self:
        """The pool of (N, D) features.

        Args:
            answers: how many there are to each prompt, in their order; N in all.
        """
        starts = np.cumsum([0, *answers])
        pairs = [
            (start + i, start + j)
            for start, count in zip(starts[:-1].tolist(), answers, strict=True)
            for i in range(count)
            for j in range(i + 1, count)
        ]
        first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return cls(features, np.repeat(np.arange(len(answers)), answers), first, second)

    def __len__(self) -> int:
        return len(self.first)

    def differences(self, pairs: Indices | Sequence[int]) -> Array:
        """(len(pairs), D) features of the first answer minus those of the second."""
        found: Array = self.features[self.first[pairs]] - self.features[self.second[pairs]]
        return found
