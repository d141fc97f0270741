"""What there is to choose from, asked of the registries: nothing is listed twice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import unknown_name

if TYPE_CHECKING:
    from tunewright.tools.training.registry import Shelf

Row = dict[str, Any]


def methods(kind: str | None = None) -> dict[str, list[Row]]:
    """Kind of thing -> what there is of it; each row has ``kind`` (its name) and ``summary``.

    Raises:
        UnknownNameError: no such kind of thing.
    """
    if kind is not None and kind not in _SHELVES:
        raise unknown_name("kind of method", kind, _SHELVES)
    return {name: list_() for name, list_ in _SHELVES.items() if kind in (None, name)}


def _cards(shelf: Shelf) -> list[Row]:
    from tunewright.tools.training.card import card
    from tunewright.tools.training.registry import kinds

    return [card(shelf, kind) for kind in kinds(shelf)]


def _scorers() -> list[Row]:
    from tunewright.tools.evaluation.registry import scorer, scorers

    found = [scorer(name) for name in scorers()]
    return [
        {"kind": one.name, "summary": _first_line(one), "direction": one.direction, "needs": one.needs} for one in found
    ]


def _first_line(thing: object) -> str:
    """What its file says it is: the first sentence of the module's docstring."""
    kind = thing if isinstance(thing, type) else type(thing)
    return (sys.modules[kind.__module__].__doc__ or "").strip().partition("\n")[0]


def _samplers() -> list[Row]:
    from tunewright.search.samplers import samplers

    return _rows(samplers())


def _pruners() -> list[Row]:
    from tunewright.search.pruning import pruners

    return _rows(pruners())


def _sandboxes() -> list[Row]:
    from tunewright.sandbox.registry import backend, sandboxes

    return [{"kind": name, "summary": _first_line(backend(name))} for name in sandboxes()]


def _models() -> list[Row]:
    from tunewright.tools.models.aliases import aliases

    return _rows(aliases())


def _rows(named: dict[str, str]) -> list[Row]:
    return [{"kind": name, "summary": summary} for name, summary in named.items()]


_SHELVES: dict[str, Callable[[], list[Row]]] = {
    "adapters": partial(_cards, "adapters"),
    "objectives": partial(_cards, "objectives"),
    "rewards": partial(_cards, "rewards"),
    "selectors": partial(_cards, "selectors"),
    "mixes": partial(_cards, "mixes"),
    "scorers": _scorers,
    "samplers": _samplers,
    "pruners": _pruners,
    "sandboxes": _sandboxes,
    "models": _models,
}
