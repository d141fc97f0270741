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


def label(path: str) -> str:
    """The word people use for a recipe path: ``stages.0.adapter.kind`` -> ``adapter``, ``....lr`` -> ``lr``.

    From the second stage on the stage is named too: ``stages.1.optimisation.lr`` -> ``stage 2 lr``.
    """
    keys = path.split(".")
    stage = f"stage {int(keys[1]) + 1} " if keys[0] == "stages" and keys[1:2] and keys[1] not in ("0", "") else ""
    named = [key for key in keys if not key.isdigit()] or [path]
    word = named[-2] if named[-1] == "kind" and len(named) > 1 else named[-1]
    return stage + _LABELS.get(word, word.replace("_", " "))


_LABELS = {
    "r": "rank",
    "lora_alpha": "alpha",
    "placement": "targets",
    "weights": "mix",
    "batch_size": "batch",
    "warmup_ratio": "warmup",
    "max_grad_norm": "clipping",
}
