"""Mean token loss of each row's target: what training minimises, measured on rows it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.tools.evaluation.inference import Progress
from tunewright.tools.evaluation.likelihood import log_likelihoods
from tunewright.tools.models.prompt import Encoded


def mean_losses(
    model: Any, encoded: Sequence[Encoded], *, batch_tokens: int, progress: Progress | None = None
) -> list[float]:
    """Nats a token of each completion, its end token included, in the given order. Call it inside ``inference``."""
    pairs = [(one.prompt, one.completion) for one in encoded]
    sums = log_likelihoods(model, pairs, batch_tokens=batch_tokens, progress=progress)
    # 0.0 - x, since -0.0 reads badly in a report
    return [0.0 - total / len(one.completion) for total, one in zip(sums, encoded, strict=True)]
