"""Kinds that a model wants searched besides: adapters, and plans of stages. What the brief says of either stays as it
is: where it names some, none is added, and what it rules out or only mentions is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tunewright.agents.brief.answers import words_of
from tunewright.agents.brief.kinds import USUAL_OBJECTIVES
from tunewright.agents.brief.naming import Naming, spelling
from tunewright.agents.brief.plan import MOST_STAGES
from tunewright.agents.brief.text import Text
from tunewright.agents.forecasting import searched_adapters
from tunewright.agents.planner.answer import ChangeAnswer, Value
from tunewright.domain.errors import BudgetError, UsageError
from tunewright.domain.recipe import PLAN_ARROW, Recipe
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes
from tunewright.tools.training import registry

MOST_ADAPTERS, MOST_PLANS = 3, 2
"""How many may be added: each takes trials from the others."""

SpaceOf = Callable[[Wishes], Space]
"""The study's space under other wishes.

It raises ``UsageError`` or ``BudgetError`` where there is none.
"""


@dataclass
class Wider:
    """What a study searches, with what is added to it.

    Args:
        study: whose brief limits it.
        space_of: makes the space under the new wishes.
        misfit: says of a recipe why it cannot be run here.
    """

    study: Study
    space_of: SpaceOf
    misfit: Callable[[Recipe], str]

    def __post_init__(self) -> None:
        self.wishes = self.study.wishes
        self._adapters: list[str] = []
        self._plans: list[str] = []

    def take(self, change: ChangeAnswer) -> tuple[list[str], list[str]]:
        """What is added, and why the rest is not."""
        adding, adds = adapter_limits, self._adapter
        if what_is_added(change) == "plan":
            adding, adds = plan_limits, self._plan
        locked = adding(self.study)
        if locked:
            return [], [locked]
        done: list[str] = []
        notes: list[str] = []
        for option in change.options:
            why = adds(option)
            (notes if why else done).append(why or str(option))
        return done, notes or ([] if done else ["nothing is named"])

    def _adapter(self, option: Value) -> str:
        kind = str(option).strip()
        if kind not in registry.adapters():
            return f"there is no adapter '{kind[:40]}'"
        if kind in self.study.wishes.without:
            return f"the brief rules out {kind}"
        alone = self.wishes.model_copy(update={"adapters": (kind,)})
        if kind in (present := searched_adapters(self.wishes)):
            return self._tried(alone, kind) or f"{kind} is searched already"
        if len(self._adapters) >= MOST_ADAPTERS:
            return f"{kind} is one more than the {MOST_ADAPTERS} that may be added"
        why = self._tried(alone, kind)
        if not why:
            self._adapters.append(kind)
            self.wishes = self.wishes.model_copy(update={"adapters": (*present, kind)})
        return why

    def _plan(self, option: Value) -> str:
        stages = [one.strip() for one in str(option).replace("->", ">").split(">")]
        plan, present = PLAN_ARROW.join(stages), self.wishes.plans or (usual_plan(self.study),)
        strange = [one for one in stages if one not in addable_objectives(self.study)]
        if strange:
            return f"'{strange[0][:40]}' is no objective that can be added here"
        if len(stages) > MOST_STAGES or len(set(stages)) < len(stages):
            return f"a plan has at most {MOST_STAGES} stages, each objective once"
        if plan in present:
            return f"{plan} is searched already"
        if len(self._plans) >= MOST_PLANS:
            return f"{plan} is one more than the {MOST_PLANS} that may be added"
        wider = self.wishes.model_copy(update={"plans": (*present, plan)})
        why = self._tried(wider.model_copy(update={"plans": (plan,)}), plan)
        why = why or self._tried(wider, plan)
        if not why:
            self._plans.append(plan)
            self.wishes = wider
        return why

    def _tried(self, wishes: Wishes, what: str) -> str:
        """Why what they add cannot be run here at its defaults; nothing if it can."""
        try:
            space = self.space_of(wishes)
        except (BudgetError, UsageError) as error:
            return f"{what} cannot be searched: {error.message}"
        why = self.misfit(space.build(space.default()))
        return f"{what} cannot be run here: {why}" if why else ""


def what_is_added(change: ChangeAnswer) -> str:
    """``adapter`` or ``plan`` where a change adds kinds of one; nothing where it does something else."""
    if change.action not in ("add", "widen"):
        return ""
    name = change.name.strip()
    if name == "adapter" or name.endswith(".adapter.kind"):
        return "adapter"
    return "plan" if name in ("plan", "plans", "stages") else ""


def adapter_limits(study: Study) -> str:
    """Why no adapter may be added; nothing if some may."""
    named = study.wishes.adapters
    return f"the brief names the adapters: {', '.join(named)}" if named else ""


def plan_limits(study: Study) -> str:
    """Why no plan of stages may be added; nothing if some may."""
    wishes = study.wishes
    if wishes.plans:
        return f"the brief names what is trained by: {', '.join(wishes.plans)}"
    if wishes.depths or wishes.clients > 1:
        return "the brief wants depths or clients, which go with the plan that it has"
    return ""


def addable_adapters(study: Study) -> list[str]:
    """Kinds that may be added, by what the brief says; whether each can be run here is seen when it is."""
    if adapter_limits(study):
        return []
    present = searched_adapters(study.wishes)
    return _importable(
        "adapters", (kind for kind in registry.adapters() if kind not in (*present, *study.wishes.without))
    )


def addable_objectives(study: Study) -> list[str]:
    """Objectives that an added plan may have: of the usual one's family, for rows that there are, none that the brief
    mentions. It names none to be searched, so one that it mentions is not wanted.
    """
    if plan_limits(study) or study.task is None or study.brief is None:
        return []
    usual = registry.objective(usual_plan(study))
    there = set(study.task.formats.values())
    known = _importable("objectives", registry.objectives())
    kinds = [kind for kind in known if registry.objective(kind).family == usual.family]
    fitting = [kind for kind in kinds if there.intersection(registry.objective(kind).formats)]
    mentioned = set(_mentioned(words_of(study).text, "objectives", fitting)) - {usual.kind}
    return [kind for kind in fitting if kind not in mentioned]


def usual_plan(study: Study) -> str:
    """What is trained by where the brief does not say."""
    assert study.task is not None
    return USUAL_OBJECTIVES.get(study.task.format, "sft")


def _importable(shelf: registry.Shelf, kinds: Iterable[str]) -> list[str]:
    """Without those of other packages that cannot be imported: they say so when a brief asks for them."""
    found = []
    for kind in kinds:
        try:
            registry.method(shelf, kind)
        except UsageError:
            continue
        found.append(kind)
    return found


def _mentioned(text: str, shelf: registry.Shelf, kinds: Sequence[str]) -> Iterable[str]:
    """Kinds whose name stands in the text."""
    read = Text(text)
    for kind in kinds:
        if any(True for _ in read.find(spelling(kind, Naming(*registry.naming(shelf, kind))))):
            yield kind
