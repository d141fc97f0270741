"""The space that a study searches, put together from what its methods declare."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Json
from tunewright.domain.space import Choice, Condition, Dimension, Simplex, Space
from tunewright.tools.training.registry import adapter as find_adapter

_STAGE = "stages.0"
_WANTED_BATCH = 16


def recipe_space(
    *,
    adapters: Sequence[str],
    sources: Sequence[str],
    max_rank: int | None = None,
    epochs: Sequence[float] = (1.0, 2.0, 3.0),
    batch_sizes: Sequence[int] = (8, 16, 32),
    compress: Sequence[float] = (),
    seed: int = 0,
) -> Space:
    """One supervised stage: adapter, its settings and learning rate, schedule, batch size, length, data mix.

    The default is the first adapter, trained longest, with the batch size nearest to 16.

    Args:
        adapters: kinds of adapter; the first is the default.
        sources: names of the data sources; weights are searched if there are several.
        max_rank: no rank above it.
        epochs: lengths to choose from.
        batch_sizes: rows per step to choose from.
        compress: shares of the update's energy to keep after training, the default first; none is searched if empty.
        seed: of every recipe; it is never searched.

    Raises:
        UnknownNameError: no such adapter.
        UsageError: no adapter, length or batch size is given.
    """
    kinds = list(dict.fromkeys(adapters))
    if not kinds or not epochs or not batch_sizes:
        raise UsageError("a space needs at least one adapter, one length and one batch size")
    stage: dict[str, Json] = {"objective": {"kind": "sft"}, "data": {}, "adapter": {}, "optimisation": {}}
    template: dict[str, Json] = {"seed": seed, "stages": [stage]}
    dimensions: list[Dimension] = []

    def choose(name: str, path: str, options: Sequence[Json], default: Json, when: tuple[Condition, ...] = ()) -> None:
        """A dimension where there is a choice, else a line of the template."""
        if len(options) > 1 or when:
            dimensions.append(Choice(name=name, path=path, options=tuple(options), default=default, when=when))
        else:
            part, _, key = path.removeprefix(f"{_STAGE}.").partition(".")
            stage[part][key] = options[0]

    choose("adapter", f"{_STAGE}.adapter.kind", kinds, kinds[0])
    dimensions += _own(kinds, max_rank)
    able = [kind for kind in kinds if find_adapter(kind).compresses]
    if compress and able:
        when = () if able == kinds else (Condition(name="adapter", values=tuple(able)),)
        choose("compress", f"{_STAGE}.adapter.compress", list(dict.fromkeys(compress)), compress[0], when)
    choose("schedule", f"{_STAGE}.optimisation.schedule", ("cosine", "linear", "constant"), "cosine")
    sizes = sorted(set(batch_sizes))
    nearest = min(sizes, key=lambda size: abs(size - _WANTED_BATCH))
    choose("batch_size", f"{_STAGE}.optimisation.batch_size", sizes, nearest)
    lengths = sorted(set(epochs))
    choose("epochs", f"{_STAGE}.optimisation.epochs", lengths, lengths[-1])
    if len(sources) > 1:
        even = tuple([round(1 / len(sources), 6)] * (len(sources) - 1))
        dimensions.append(
            Simplex(
                name="mix",
                path=f"{_STAGE}.data.weights",
                parts=tuple(sources),
                default=(*even, 1 - sum(even)),
            )
        )
    return Space(template=template, dimensions=tuple(dimensions))


def _own(kinds: Sequence[str], max_rank: int | None) -> list[Dimension]:
    """What the methods declare; equal dimensions of several methods are one, under a condition that names them.

    Where methods mean different things by one name, the one that most of them mean keeps it, whatever their order.
    """
    users: dict[str, list[tuple[Dimension, list[str]]]] = {}
    for kind in kinds:
        method = find_adapter(kind)
        declared = method.dimensions(_STAGE, max_rank=max_rank)
        if len(method.placements) > 1:
            declared.insert(0, _placement(method.placements))
        for dimension in declared:
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
            when = () if len(using) == len(kinds) else (Condition(name="adapter", values=tuple(using)),)
            found.append(dimension.model_copy(update={"name": name, "when": (*when, *dimension.when)}))
    return found


def _placement(options: tuple[str, ...]) -> Choice:
    return Choice(
        name="placement",
        path=f"{_STAGE}.adapter.placement",
        options=options,
        default=options[0],
        why="every linear layer is the safe choice: LoRA Without Regret",
    )
