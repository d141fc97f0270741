"""The first trials of a study whose brief names what to compare: each of it once, with all else at its default.

"Compare lora, dora and gpart" asks for all three, and "sft against dft, and cpt then sft" for three plans of stages.
A sampler gives no such promise: with few trials it may never draw one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized

from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Idea
from tunewright.domain.space import Dimension
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes


def opening(study: Study) -> list[Idea]:
    """Ideas for what the brief names and nobody has proposed yet, in the space's order: plans of stages, adapters,
    selectors, policies of the mix, depths. Each is the default recipe but for that.
    """
    assert study.plan is not None
    if not study.proposals:
        return []  # trial 0, the default, comes first
    words, space = compared(study.wishes), study.plan.space
    searched = [dimension for dimension in space.active(space.default()) if dimension.name in words]
    if not searched:
        return []
    documents = [proposal.recipe.model_dump(mode="json") for proposal in study.proposals.values()]
    return [
        Idea(
            recipe=space.build(space.default(**{dimension.name: option})).reseeded(study.plan.seed),
            origin="brief",
            reason=f"the brief names it: each of the {words[dimension.name][0]} it names gets a trial at its defaults",
        )
        for dimension in searched
        for option in _waiting(dimension, documents)
    ]


def compared(wishes: Wishes) -> dict[str, tuple[str, int]]:
    """Dimensions of the space whose options the brief names -> what these are called, and how many it names."""
    named: tuple[tuple[str, str, Sized], ...] = (
        ("plan", "plans of stages", wishes.plans),
        ("adapter", "adapters", wishes.adapters),
        ("selector", "selections", wishes.selectors),
        ("mix_policy", "policies of the mix", wishes.mixes),
        ("depth", "numbers of depths", wishes.depths if 1 in wishes.depths else ()),
    )
    return {dimension: (word, len(kinds)) for dimension, word, kinds in named if kinds}


def opening_trials(wishes: Wishes) -> int:
    """Trials until everything that the brief names has been tried once, the default among them."""
    return 1 + sum(count - 1 for _, count in compared(wishes).values())


def _waiting(dimension: Dimension, documents: Iterable[Json]) -> list[Json]:
    """The options that no recipe of these has. A dimension without a choice has none."""
    had = [_value(dimension, document) for document in documents]
    return [option for option in getattr(dimension, "options", ()) if option not in had]


def _value(dimension: Dimension, document: Json) -> Json:
    """The value in a recipe; None where an edit has taken it away."""
    try:
        return dimension.read(document)
    except KeyError:
        return None
