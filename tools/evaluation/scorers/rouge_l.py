"""ROUGE-L: how much of the target is found in the answer in the same order (Lin 2004, ACL W04-1013)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.tools.evaluation.scorer import MeanScorer, f1, words


class RougeL(MeanScorer):
    """F measure (beta = 1) over the longest common subsequence of words, without stemming."""

    name = "rouge_l"
    best = 1.0

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        said, wanted = words(prediction), words(row["target"])
        return f1(common_subsequence(said, wanted), len(said), len(wanted))


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, in one pass over ``b`` with a bit for each word of ``a``.

    Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: defaultdict[str, int] = defaultdict(int)
    for i, word in enumerate(a):
        places[word] |= 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(a) - row.bit_count()


SCORER = RougeL()
