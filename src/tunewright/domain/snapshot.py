"""A study as it stands, for whoever looks at it while others go on: nothing that is folded later shows in it."""

from __future__ import annotations

from typing import Any

from tunewright.domain.frozen import Frozen
from tunewright.domain.study import Study

_OURS = Study.__module__.rpartition(".")[0]


def snapshot(study: Study) -> Study:
    """A copy that shares what never changes, in time proportional to what the study holds. To be made where the study
    is folded, so that no event is half in it.
    """
    copied: Study = _copied(study, {})
    return copied


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """Containers and what keeps a state are copied, each once; values are not."""
    kind = type(value)
    if kind is dict:
        return {name: _copied(one, known) for name, one in value.items()}
    if kind is list:
        return [_copied(one, known) for one in value]
    if kind is set:
        return set(value)
    if not _keeps_state(kind):
        return value
    if id(value) not in known:
        known[id(value)] = made = object.__new__(kind)
        for name, one in vars(value).items():
            setattr(made, name, _copied(one, known))
    return known[id(value)]


def _keeps_state(kind: type) -> bool:
    if kind not in _kinds:
        _kinds[kind] = kind.__module__.startswith(_OURS) and not issubclass(kind, Frozen)
    return _kinds[kind]


_kinds: dict[type, bool] = {}
"""What was found out of each type: asking a model's class is slow."""
