"""Share of generated answers that are JSON (RFC 8259), whatever they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from tunewright.tools.evaluation.scorer import MeanScorer


def strict_json(text: str) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none; ``NaN`` is not, nor is what is nested deeper than can be read.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class JsonValid(MeanScorer):
    name = "json_valid"
    best = 1.0

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        try:
            strict_json(prediction)
        except ValueError:
            return 0.0
        return 1.0


SCORER = JsonValid()
