"""Base of the methods whose model is PEFT's wrapper: a file then says only its config, its size and its ranges."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import AdapterMethod, Start

_REFUSALS = (ValueError, TypeError, RuntimeError, NotImplementedError, AssertionError, KeyError, AttributeError)
"""What PEFT raises where a method does not fit a model."""


class PeftMethod(AdapterMethod):
    """A method of PEFT, or one registered with it, that sits on linear modules."""

    fits_conv1d: bool = False
    """Whether it takes GPT-2's transposed linear layers."""

    @abstractmethod
    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's config.

        Args:
            settings: an instance of ``Config``.
            targets: ``target_modules``.
            model: the base model, for what PEFT must be told of it.
        """

    @abstractmethod
    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """How many parameters are trained where the adapter sits on these modules. ``build`` asks it too, first of all.

        Raises:
            UsageError: the settings do not fit them.
        """

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """What can be searched beside the learning rate."""
        return []

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Its own, and its learning rate."""
        return [*self.own_dimensions(stage, max_rank=max_rank), self.learning_rate(stage)]

    def linears(self, facts: ModelFacts, adapter: Adapter) -> list[Linear]:
        """The modules it sits on; for a placement that a probe decides, the largest that it could choose.

        Raises:
            UsageError: there are none, or they are of a kind it does not take.
        """
        if facts.conv1d and not self.fits_conv1d:
            raise _conv1d(self.kind)
        probed = placement.probed(adapter.placement)
        if probed is not None:
            return sorted(facts.linears, key=self.extent, reverse=True)[:probed]
        chosen = set(placement.select([linear.name for linear in facts.linears], adapter.placement))
        return [linear for linear in facts.linears if linear.name in chosen]

    def extent(self, linear: Linear) -> int:
        """What the parameters on a module grow with: ranks the modules that a probe could choose."""
        return linear.inputs + linear.outputs

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """As ``size`` says."""
        return self.size(self.linears(facts, adapter), self.Config.model_validate(adapter.settings))

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper."""
        if transposed(model) and not self.fits_conv1d:
            raise _conv1d(self.kind)
        settings = self.Config.model_validate(adapter.settings)
        targets = self.targets(model, adapter, start)
        self.size(linears_of(model, targets), settings)
        return wrapped(self.kind, model, lambda: self.config(settings, targets, model, start), start.seed)

    def targets(self, model: Any, adapter: Adapter, start: Start) -> list[str]:
        """PEFT's ``target_modules`` for the placement."""
        probed = placement.probed(adapter.placement)
        if probed is None:
            return placement.target_modules(model, adapter.placement)
        from tunewright.tools.training.page import dominant_modules

        everything = [name for name, _ in model.named_modules()]
        return placement.suffixes(dominant_modules(model, start, count=probed), everything)


class UnplacedMethod(AdapterMethod):
    """A method of PEFT that sits on no linear modules, so that there is no place to choose."""

    placements = ("all-linear",)

    @abstractmethod
    def config(self, settings: Any, model: Any, start: Start) -> Any:
        """PEFT's config.

        Raises:
            UsageError: the settings do not fit the model.
        """

    def own_dimensions(self, stage: str) -> list[Dimension]:
        """What can be searched beside the learning rate."""
        return []

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Its own, and its learning rate."""
        return [*self.own_dimensions(stage), self.learning_rate(stage)]

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper."""
        settings = self.Config.model_validate(adapter.settings)
        return wrapped(self.kind, model, lambda: self.config(settings, model, start), start.seed)


def wrapped(kind: str, model: Any, config: Callable[[], Any], seed: int) -> Any:
    """The model in PEFT's wrapper, drawn from ``seed``.

    Raises:
        UsageError: PEFT refuses the model.
    """
    import torch
    from peft import get_peft_model

    try:
        made = config()
        torch.manual_seed(seed)
        return get_peft_model(model, made)
    except UsageError:
        raise
    except _REFUSALS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"'{kind}' does not fit this model: {reason[:300]}", "take 'lora', which fits every model"
        ) from error


def rank_choice(
    stage: str, options: Sequence[int], default: int, max_rank: int | None, *, name: str = "rank", why: str = ""
) -> Choice:
    """A search over ranks, none above ``max_rank``; the smaller of ``max_rank`` and the least option if none is left.

    Args:
        options: in rising order.
        name: the dimension and the setting it is for.
    """
    ranks = [rank for rank in options if max_rank is None or rank <= max_rank] or [min(max_rank or 1, options[0])]
    chosen = default if default in ranks else ranks[-1]
    return Choice(name=name, path=f"{stage}.adapter.{name}", options=tuple(ranks), default=chosen, why=why)


def lora_size(linears: Sequence[Linear], rank: int) -> int:
    """``rank (inputs + outputs)`` a module: what matrices of LoRA's shapes hold."""
    return sum(rank * (linear.inputs + linear.outputs) for linear in linears)


def linears_of(model: Any, targets: Sequence[str]) -> list[Linear]:
    """The linear modules of a loaded model that PEFT's ``target_modules`` mean, in the model's order."""
    from transformers.pytorch_utils import Conv1D

    found = []
    for name in placement.linear_modules(model):
        if placement.matches(name, targets):
            module = model.get_submodule(name)
            outputs, inputs = module.weight.shape
            if isinstance(module, Conv1D):
                outputs, inputs = inputs, outputs
            found.append(Linear(name=name, inputs=inputs, outputs=outputs))
    return found


def transposed(model: Any) -> bool:
    """Whether the model's linear layers are GPT-2's, with weights of (inputs, outputs)."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _conv1d(kind: str) -> UsageError:
    return UsageError(f"'{kind}' does not take the transposed linear layers of this model", "take 'lora', which does")
