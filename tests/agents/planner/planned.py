"""A study that is planned: a scripted model's answer, the real methods, and prices without a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stories import BUDGET, Story, task
from tests.stories import space as some_space

from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.forecasting import make_space
from tunewright.agents.planner.asking import Planner
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.change import Change
from tunewright.domain.event import Recalled
from tunewright.domain.job import Rungs
from tunewright.domain.lesson import Evidence, Lesson, Remembered
from tunewright.domain.proposal import Forecast, Plan, Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Dimension
from tunewright.domain.study import Study
from tunewright.domain.task import Brief, Constraint, Wishes
from tunewright.tools.training.registry import check_recipe

SUMMARY = {"summary": "A plan."}
MB_A_RANK = 0.25
PARAMETERS_A_MB = 250_000
NONE = Wishes()


def price(_: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
    """A minute an epoch; so many megabytes a rank, a gigabyte for the whole model, and one for any other adapter."""
    stage = recipe.stages[-1]
    seconds = sum(60 * (one.optimisation.epochs or 0) + 5 for one in recipe.stages)
    size = MB_A_RANK * stage.adapter.settings.get("rank", 4) if stage.adapter.kind != "full" else 1000
    return Forecast(
        seconds=Range(expected=seconds, low=seconds * 0.8, high=seconds * 1.4),
        memory_gib=Range(expected=2, low=1.5, high=2.5),
        cost=Cost(wall_s=seconds * 1.4, device_s=seconds * 1.4, trials=1),
        adapter_bytes=1e6 * size,
        trainable_parameters=int(PARAMETERS_A_MB * size),
    )


def change(action: str, name: str, *options: Any, **ends: float) -> dict[str, Any]:
    return {"action": action, "name": name, "options": list(options), "reason": "so I think", **ends}


@dataclass
class Planned:
    """A study after its base model was measured, and what a planner makes of it."""

    folder: Path
    wishes: Wishes = NONE
    text: str = "Teach smollm2-135m to route data/messages.jsonl. At most 30 minutes and 12 trials."
    constraints: Sequence[Constraint] = ()
    budget: Budget = BUDGET
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.story = Story(space=some_space(), task=task(constraints=self.constraints), budget=self.budget)
        self.study.wishes, self.study.brief = self.wishes, Brief(text=self.text)
        self.study.options = self.study.options.model_copy(update={"memory_gib": 8.0})
        self.story.launch("base", role="base")
        self.story.complete("base", 0.1, seconds=14)

    @property
    def study(self) -> Study:
        return self.story.study

    def recall(self, **lesson: Any) -> str:
        """A lesson of an earlier study; its id."""
        fact = Evidence(trial="t3", quantity="score", value=0.8)
        made = {
            "claim": "dora is best",
            "evidence": (fact,),
            "supporting": ("t3",),
            "confidence": 0.8,
            "study": "old-01",
        }
        one = Remembered(lesson=Lesson.model_validate(made | lesson), likeness=0.9)
        self.story.tell(Recalled(at=self.story.tick(), lessons=(one,)))
        return one.id

    def by_rules(self) -> Plan:
        return self.planner.plan(self.study, None)

    def plan(self, **answer: Any) -> Plan:
        """The plan by a model that answers so."""
        return self.answered(SUMMARY | answer)

    def answered(self, *answers: Any) -> Plan:
        """The plan by a model that gives these answers until one holds."""
        file = self.folder / "script.jsonl"
        file.write_text("".join(json.dumps({"role": "planner", "answer": one, "tokens": 9}) + "\n" for one in answers))
        brain = ScriptedBrain(file, record=lambda one: None)
        return self.planner.plan(self.study, brain, warn=self.warnings.append)

    @property
    def planner(self) -> Planner:
        return Planner(price=price, make_space=make_space, check=check_recipe, now=self.story.now)


def dimension(plan: Plan, name: str) -> Dimension:
    return next(one for one in plan.space.dimensions if one.name == name)


def says(plan: Plan, name: str) -> str:
    return dimension(plan, name).says()


def fates(plan: Plan) -> list[str]:
    return [one.fate for one in plan.changes]


def only(plan: Plan) -> Change:
    (one,) = plan.changes
    return one
