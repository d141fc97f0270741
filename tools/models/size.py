"""What an adapter takes on disk at least, before it is trained. No torch."""

from __future__ import annotations

from tunewright.domain.recipe import Recipe
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import AdapterMethod
from tunewright.tools.training.registry import adapter as find_adapter

_WHOLE, _HALF = 4.0, 2.0
"""Bytes of a number. Adapters are trained and saved in 32 bits; a model's own weights may be saved as it came."""


def least_adapter_bytes(facts: ModelFacts, recipe: Recipe) -> float | None:
    """Of the last stage's adapter, without the file's header and settings; those of earlier stages that are saved
    beside it come on top. None where data decide how much it trains, where it is compressed after training, or made
    into something else at its end: what is left then is not known.

    Raises:
        UsageError: a method that does not exist or does not fit the model.
    """
    adapter = recipe.stages[-1].adapter
    method = find_adapter(adapter.kind)
    exact = method.counts_exactly and not adapter.placement.startswith("page")
    if adapter.compress < 1 or not exact or type(method).finish is not AdapterMethod.finish:
        return None
    return (_WHOLE if method.trains_adapter else _HALF) * method.trainable_parameters(facts, adapter)
