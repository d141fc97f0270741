"""What is known of an adapter's size before it is trained. No torch."""

from __future__ import annotations

from tunewright.domain.recipe import Adapter, Recipe
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
    if adapter.compress < 1 or not _counted(method, adapter) or type(method).finish is not AdapterMethod.finish:
        return None
    return (_WHOLE if method.trains_adapter else _HALF) * method.trainable_parameters(facts, adapter)


def trained_parameters(facts: ModelFacts, recipe: Recipe) -> int | None:
    """How many numbers the last stage trains, as a trial's result counts them. None where data or a depth decide it.

    Raises:
        UsageError: a method that does not exist or does not fit the model.
    """
    stage = recipe.stages[-1]
    method = find_adapter(stage.adapter.kind)
    if stage.depth.on or not _counted(method, stage.adapter):
        return None
    return method.trainable_parameters(facts, stage.adapter)


def _counted(method: AdapterMethod, adapter: Adapter) -> bool:
    """Whether what is trained is counted exactly without a look at the data."""
    return method.counts_exactly and not adapter.placement.startswith("page")
