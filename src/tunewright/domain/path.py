"""Dotted paths into nested JSON, such as ``stages.0.optimisation.lr``: what spaces and edits speak.

In a list of stages a path may mean several: ``*`` all of them, ``@sft`` those that train by ``sft``, ``@grpo|dapo``
those that train by one of the two. Reading gives what the first has, writing writes to each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from tunewright.domain.frozen import Json


def get(document: Json, path: str) -> Json:
    """The value at ``path``; where the path means several places, the first one's.

    Raises:
        KeyError: nothing is there; the message is the path.
    """
    here = [document]
    for key in path.split("."):
        try:
            here = [item[where] for item in here for where in _places(item, key)]
        except (KeyError, IndexError, ValueError, TypeError):
            raise KeyError(path) from None
    if not here:
        raise KeyError(path)
    return here[0]


def put(document: Json, path: str, value: Json) -> Json:
    """A deep copy of ``document`` with ``value`` at ``path``. Missing mappings are made, list items are not.

    Raises:
        KeyError: the path leads through a list item that is not there, or through a scalar.
    """
    result = copy.deepcopy(document)
    here = [result]
    *parents, last = path.split(".")
    try:
        for key in parents:
            here = [_entered(item, where) for item in here for where in _places(item, key)]
        for item in here:
            for where in _places(item, last):
                item[where] = copy.deepcopy(value)
    except (IndexError, ValueError, TypeError, AttributeError):
        raise KeyError(path) from None
    if not here:
        raise KeyError(path)
    return result


def _places(item: Json, key: str) -> list[int | str]:
    """What a key means in a mapping or list: itself, an index, all items, or those with certain objectives."""
    if not isinstance(item, list | tuple):
        return [key]
    if key == "*":
        return list(range(len(item)))
    if key.startswith("@"):
        kinds = key[1:].split("|")
        return [at for at, stage in enumerate(item) if stage["objective"]["kind"] in kinds]
    return [int(key)]


def _entered(item: Json, where: int | str) -> Json:
    return item[where] if isinstance(where, int) else item.setdefault(where, {})


def label(path: str) -> str:
    """The word people use for a recipe path: ``stages.0.adapter.kind`` -> ``adapter``, ``....lr`` -> ``lr``.

    From the second stage on the stage is named too: ``stages.1.optimisation.lr`` -> ``stage 2 lr``; so is the
    objective where the path does: ``stages.@grpo.optimisation.lr`` -> ``grpo lr``.
    """
    if path == "stages":
        return "stages"
    keys = path.split(".")
    named = [key for key in keys if not key.isdigit() and key != "*" and not key.startswith("@")] or [path]
    word = named[-2] if named[-1] == "kind" and len(named) > 1 else named[-1]
    return _stage_word(keys) + _LABELS.get(word, word.replace("_", " "))


def _stage_word(keys: Sequence[str]) -> str:
    which = keys[1] if keys[0] == "stages" and len(keys) > 1 else ""
    if which.startswith("@"):
        return f"{which[1:].replace('|', '/')} "
    return f"stage {int(which) + 1} " if which.isdigit() and which != "0" else ""


_LABELS = {
    "r": "rank",
    "lora_alpha": "alpha",
    "placement": "targets",
    "weights": "mix",
    "batch_size": "batch",
    "warmup_ratio": "warmup",
    "max_grad_norm": "clipping",
    "stages": "depths",
}
