"""The list of layers that a model goes through, and what is trained in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tunewright.domain.errors import UsageError

_LISTS = {
    "llama": ("model", "layers"),
    "mistral": ("model", "layers"),
    "qwen2": ("model", "layers"),
    "qwen3": ("model", "layers"),
    "gpt2": ("transformer", "h"),
}
"""Model type -> where its layers are. Each is a list of equal layers that the model goes through from first to last,
whatever its length."""


class Layers:
    """A model's layers, which can be replaced for a time by fewer.

    Args:
        model: with an adapter on it, or without.

    Raises:
        UsageError: its layers are not known here, or are not of one kind.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        kind = base.config.model_type
        if kind not in _LISTS:
            raise UsageError(
                f"progressive depth does not know the layers of a '{kind}' model",
                f"take one of {', '.join(sorted(_LISTS))}, or set stages to 1",
            )
        kinds = set(getattr(base.config, "layer_types", None) or ())
        if len(kinds) > 1:
            raise UsageError(
                f"this model's layers are of several kinds ({', '.join(sorted(kinds))}): one cannot stand for another",
                "take a model with one kind of layer, or set stages to 1",
            )
        part, self._name = _LISTS[kind]
        self._holder = getattr(base, part)
        self._whole = getattr(self._holder, self._name)
        self.all: tuple[Any, ...] = tuple(self._whole)
        self.adapters = [_trained(layer) for layer in self.all]
        """Of each layer its trained weights, by their names within it."""

    def check(self) -> None:
        """Whether one layer can stand for another.

        Raises:
            UsageError: layers differ in shape or adapter, or something is trained outside of them.
        """
        shapes = [{name: tuple(weight.shape) for name, weight in layer.named_parameters()} for layer in self.all]
        for number, own in enumerate(shapes):
            if own != shapes[0] or self.adapters[number].keys() != self.adapters[0].keys():
                raise UsageError(
                    f"layer {number} differs from layer 0 in its shapes or in where the adapter is",
                    "take a placement and an adapter that are the same in every layer, or set stages to 1",
                )
        inside = {id(weight) for own in self.adapters for weight in own.values()}
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and id(weight) not in inside:
                raise UsageError(
                    f"'{name}' is trained and belongs to no single layer", "take another adapter, or set stages to 1"
                )

    def put(self, chosen: Sequence[Any]) -> None:
        """Makes the model go through these layers."""
        from torch.nn import ModuleList

        whole = len(chosen) == len(self.all) and all(one is own for one, own in zip(chosen, self.all, strict=True))
        setattr(self._holder, self._name, self._whole if whole else ModuleList(chosen))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within the block the model goes through all of its own layers."""
        before = getattr(self._holder, self._name)
        setattr(self._holder, self._name, self._whole)
        try:
            yield
        finally:
            setattr(self._holder, self._name, before)


def _trained(layer: Any) -> dict[str, Any]:
    return {name: weight for name, weight in layer.named_parameters() if weight.requires_grad}
