"""Overlap of words between answer and target, as in SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tunewright.tools.evaluation.scorer import MeanScorer, f1, words

_ARTICLES = frozenset({"a", "an", "the"})


class TokenF1(MeanScorer):
    """Words are compared in lower case, without punctuation and English articles, and as a bag."""

    name = "token_f1"
    best = 1.0

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        said, wanted = (
            Counter(word for word in words(text) if word not in _ARTICLES) for text in (prediction, row["target"])
        )
        return f1((said & wanted).total(), said.total(), wanted.total())


SCORER = TokenF1()
