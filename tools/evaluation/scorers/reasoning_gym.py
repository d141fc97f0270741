"""The verifier that reasoning-gym ships with each of its tasks (Stojanovski et al. 2025, arXiv:2505.24760)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.scorer import MeanScorer

Verifier = Callable[..., float]


class ReasoningGym(MeanScorer):
    """Rows carry the columns ``dataset`` (the task's name there) and ``entry_metadata`` (the entry's ``metadata``).

    Verifiers are code of another package that reads a model's output: they run where the model runs, in the sandbox.
    """

    name = "reasoning_gym"
    best = 1.0

    def check(self, task: TaskSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            import reasoning_gym  # noqa: F401  whether it is there is all that is asked
        except ImportError as error:
            raise not_installed() from error
        for row in rows:
            try:
                _verifier(_dataset(row))
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(
                    f"row {row['id']} names no task of reasoning-gym: {error}",
                    "each row needs the columns dataset and entry_metadata",
                ) from error

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        try:
            entry = {
                "question": row["meta"].get("question", row["input"]),
                "answer": row["meta"].get("answer", row["target"]),
                "metadata": _metadata(row),
            }
            value = float(_verifier(_dataset(row))(answer=prediction.strip(), entry=entry))
        except Exception:  # a hundred verifiers of another package: one that chokes on an answer has not accepted it
            return 0.0
        return 0.0 if math.isnan(value) else min(1.0, max(0.0, value))


def not_installed() -> UsageError:
    """The error where there is no such package."""
    return UsageError(
        "'reasoning_gym' needs the package reasoning-gym, which is not installed",
        "install the examples: pip install 'tunewright[examples]'",
    )


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """The entry's metadata; a CSV file holds it as JSON text."""
    found = row["meta"].get("entry_metadata", {})
    return dict(json.loads(found) if isinstance(found, str) else found)


def _dataset(row: Mapping[str, Any]) -> str:
    return str(row["meta"]["dataset"] if "dataset" in row["meta"] else _metadata(row)["source_dataset"])


@cache
def _verifier(dataset: str) -> Verifier:
    import reasoning_gym

    verifier: Verifier = reasoning_gym.get_score_answer_fn(dataset)
    return verifier


SCORER = ReasoningGym()
