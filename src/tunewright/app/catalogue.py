"""What there is to choose from, asked of the registries: nothing is listed twice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tunewright.domain.errors import unknown_name

Row = dict[str, Any]


def methods(kind: str | None = None) -> dict[str, list[Row]]:
    """Kind of thing -> what there is of it; each row has ``kind`` (its name) and ``summary``.

    Raises:
        UnknownNameError: no such kind of thing.
    """
    if kind is not None and kind not in _SHELVES:
        raise unknown_name("kind of method", kind, _SHELVES)
    return {name: list_() for name, list_ in _SHELVES.items() if kind in (None, name)}


def _adapters() -> list[Row]:
    from tunewright.tools.training.card import adapter_card
    from tunewright.tools.training.registry import adapters

    return [adapter_card(name) for name in adapters()]


def _objectives() -> list[Row]:
    from tunewright.tools.training.registry import objective, objectives

    found = [objective(name) for name in objectives()]
    return [{"kind": one.kind, "summary": one.summary, "paper": one.paper} for one in found]


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
    "adapters": _adapters,
    "objectives": _objectives,
    "scorers": _scorers,
    "samplers": _samplers,
    "pruners": _pruners,
    "sandboxes": _sandboxes,
    "models": _models,
}
