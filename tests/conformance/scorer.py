"""What every scorer must do. Subclass, give a ``scorer`` fixture and a ``row`` fixture if yours reads ``meta``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tunewright.domain.outcome import Item
from tunewright.domain.protocols import Scorer

HOSTILE = {
    "empty": "",
    "blank": " \t\r\n",
    "10,000 letters": "a" * 10_000,
    "10,000 words": "word " * 10_000,
    "zero byte": "4\x002",
    "unpaired surrogate": "\ud800 4",
    "other scripts": "\uff14\uff12 \u0664\u0662 \u56db\u5341\u4e8c \u2167",
    "right to left": "\u202e24\u202c",
    "combining": "e\u0301" * 500,
    "brackets": "[" * 10_000,
    "format string": "{0.__class__} %s %n {input}",
    "not a number": "nan",
    "infinite": "-inf",
    "huge number": "9" * 9_999,
    "huge exponent": "1e999999999",
    "code": "__import__('os').abort()",
    "markup": "<answer>4</answer>",
    "pattern": "(a+)+$" * 50,
}


class ScorerConformance:
    """The contract of ``tunewright.domain.protocols.Scorer``."""

    @pytest.fixture
    def row(self) -> Mapping[str, Any]:
        return {"id": "0", "source": "s", "input": "What is 6 * 7?", "target": "42", "meta": {}}

    def test_says_what_it_is(self, scorer: Scorer) -> None:
        assert scorer.name
        assert scorer.direction in ("max", "min")
        assert scorer.needs in ("labels", "generation", "loss", "preference")

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("kind", HOSTILE)
    def test_takes_any_prediction(self, scorer: Scorer, row: Mapping[str, Any], kind: str) -> None:
        score = scorer.score(HOSTILE[kind], row)
        assert isinstance(score, float)
        assert not math.isnan(score)
        if scorer.direction == "max":
            assert 0.0 <= score <= 1.0
        else:
            assert score >= 0.0

    @pytest.mark.parametrize("target", ["", " ", "\x00", "\u2167", "a" * 10_000])
    def test_takes_any_target(self, scorer: Scorer, row: Mapping[str, Any], target: str) -> None:
        assert not math.isnan(scorer.score("42", {**row, "target": target}))

    def test_is_deterministic(self, scorer: Scorer, row: Mapping[str, Any]) -> None:
        for prediction in ("42", "1.5", *HOSTILE.values()):
            assert scorer.score(prediction, row) == scorer.score(prediction, row)

    def test_leaves_the_row_alone(self, scorer: Scorer, row: Mapping[str, Any]) -> None:
        before = repr(row)
        scorer.score("42", row)
        assert repr(row) == before

    def test_aggregate_does_not_depend_on_order(self, scorer: Scorer) -> None:
        run = self._run()
        assert scorer.aggregate(run) == pytest.approx(scorer.aggregate(run[::-1]), rel=1e-12)

    def test_one_item_has_an_aggregate(self, scorer: Scorer) -> None:
        assert math.isfinite(scorer.aggregate(self._run()[:1]))

    def test_resample_is_aggregate_of_repeated_items(self, scorer: Scorer) -> None:
        resample = getattr(scorer, "resample", None)
        if resample is None:
            return  # not owed: statistics then call aggregate
        run = self._run()
        counts = np.random.default_rng(0).integers(0, 3, (20, len(run)))
        counts[:, 0] += 1
        repeated = [[run[i] for i in np.repeat(np.arange(len(run)), row)] for row in counts]
        expected = [scorer.aggregate(items) for items in repeated]
        assert resample(run, counts.astype(float)) == pytest.approx(expected, rel=1e-9)

    @staticmethod
    def _run() -> list[Item]:
        rng = np.random.default_rng(1)
        said, wanted = rng.choice(list("abc"), (2, 12))
        return [
            Item(id=str(i), score=float(s == t), prediction=str(s), target=str(t))
            for i, (s, t) in enumerate(zip(said, wanted, strict=True))
        ]
