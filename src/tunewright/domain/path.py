"""Dotted paths into nested JSON, such as ``stages.0.optimisation.lr``: what spaces and edits speak."""

from __future__ import annotations

import copy

from tunewright.domain.frozen import Json


def get(document: Json, path: str) -> Json:
    """The value at ``path``.

    Raises:
        KeyError: nothing is there; the message is the path.
    """
    here = document
    for key in path.split("."):
        try:
            here = here[int(key)] if isinstance(here, list | tuple) else here[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise KeyError(path) from None
    return here


def put(document: Json, path: str, value: Json) -> Json:
    """A deep copy of ``document`` with ``value`` at ``path``. Missing mappings are made, list items are not.

    Raises:
        KeyError: the path leads through a list item that is not there, or through a scalar.
    """
    result = copy.deepcopy(document)
    here = result
    *parents, last = path.split(".")
    try:
        for key in parents:
            here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value
    except (IndexError, ValueError, TypeError, AttributeError):
        raise KeyError(path) from None
    return result
