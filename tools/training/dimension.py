"""Dimensions that several methods declare, as a space has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.domain.space import Condition, Dimension


def shared(kinds: Sequence[str], declared: Callable[[str], list[Dimension]], choice: str) -> list[Dimension]:
    """What methods declare; equal dimensions of several methods are one, under a condition that names them.

    Where methods mean different things by one name, the one that most of them mean keeps it, whatever their order.

    Args:
        choice: the dimension that chooses among ``kinds``.
    """
    users: dict[str, list[tuple[Dimension, list[str]]]] = {}
    for kind in kinds:
        for dimension in declared(kind):
            meanings = users.setdefault(dimension.name, [])
            same = next((using for meaning, using in meanings if meaning == dimension), None)
            if same is None:
                meanings.append((dimension, [kind]))
            else:
                same.append(kind)
    found: list[Dimension] = []
    for meanings in users.values():
        common = max(meanings, key=lambda meaning: len(meaning[1]))
        for dimension, using in meanings:
            name = dimension.name if using is common[1] else f"{dimension.name}.{using[0]}"
            when = () if len(using) == len(kinds) else (Condition(name=choice, values=tuple(using)),)
            found.append(dimension.model_copy(update={"name": name, "when": (*when, *dimension.when)}))
    return found
