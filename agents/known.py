"""What there is to choose from while a brief is read: models, metrics and methods, with their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tunewright.agents.brief import Look
from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.naming import Naming
from tunewright.domain.errors import UsageError
from tunewright.domain.task import Direction


class Known:
    """What there is to choose from, and the reader of data; each found once."""

    def __init__(self, look: Look) -> None:
        from tunewright.tools.evaluation import registry as scoring
        from tunewright.tools.models.aliases import aliases

        self.look = look
        self.aliases: Sequence[str] = tuple(aliases())
        self.menu = menu()
        self.adapters: Sequence[str] = tuple(self.menu.adapters)
        self.scorers: Mapping[str, Direction] = _directions(scoring.scorers(), scoring.scorer)


def menu() -> Menu:
    """Every method there is, with its names."""
    from tunewright.tools.training import registry

    def shelf(name: registry.Shelf) -> dict[str, Naming]:
        return {kind: Naming(*registry.naming(name, kind)) for kind in registry.kinds(name)}

    objectives = shelf("objectives")
    rolling = [kind for kind in objectives if registry.objective(kind).family == "reinforcement"]
    adapters = shelf("adapters")
    return Menu(
        adapters=adapters,
        in_place=frozenset(kind for kind in adapters if _in_place(kind)),
        objectives=objectives,
        rewards=shelf("rewards"),
        selectors=shelf("selectors"),
        mixes=shelf("mixes"),
        rolling=frozenset(rolling),
        quoted={kind: setting for kind in registry.rewards() if (setting := registry.reward(kind).quoted)},
    )


def _in_place(kind: str) -> bool:
    """Whether it trains the model's own weights; a package's that cannot be imported says nothing of it."""
    from tunewright.tools.training import registry

    try:
        return not registry.adapter(kind).trains_adapter
    except UsageError:
        return False


def _directions(names: Sequence[str], find: Callable[[str], object]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name in names:
        try:
            direction = getattr(find(name), "direction", "max")
        except UsageError:
            continue  # another package's scorer that cannot be imported says so when it is asked for by name
        found[name] = "min" if direction == "min" else "max"
    return found
