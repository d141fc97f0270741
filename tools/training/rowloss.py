"""How well a model says the rows' own answers: what selections and mixes look at. Changes nothing of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded

BATCH_TOKENS = 4096


def row_losses(
    model: Any, encoded: Sequence[Encoded], precision: str, check: Callable[[int, int], None] | None = None
) -> list[float]:
    """Nats a token of each answer after its prompt, the end token included.

    Args:
        check: called with rows done and rows in all; may raise.
    """
    from tunewright.tools.evaluation.inference import inference
    from tunewright.tools.evaluation.loss import mean_losses

    with inference(model, precision):
        return mean_losses(model, encoded, batch_tokens=BATCH_TOKENS, progress=check)
