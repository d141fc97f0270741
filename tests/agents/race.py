"""Studies of which only the items matter, for tests of the finish: who was right on which row, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.stories import LABELS, Story, space, task

from tunewright.agents.nodes.evaluator import make_evaluator
from tunewright.agents.notebook import Notebook
from tunewright.agents.repeat import Scores, finalists, repeats
from tunewright.agents.winner import Ending, ending
from tunewright.domain.budget import Budget
from tunewright.domain.event import Event
from tunewright.domain.job_event import Role
from tunewright.domain.outcome import Item
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint, Goal

Array = NDArray[np.float64]


class Race:
    """A study told run by run; each run's items are given.

    Args:
        folder: the study's.
        base: the untouched model's scores.
    """

    def __init__(
        self,
        folder: Path,
        base: Array,
        *,
        constraints: Sequence[Constraint] = (),
        goals: Sequence[Goal] = (),
        direction: str = "max",
        budget: Budget | None = None,
    ) -> None:
        wanted = task(direction=direction, constraints=constraints).model_copy(update={"goals": tuple(goals)})
        budget = budget or Budget(wall_s=100_000, trials=12)
        self.story, self.folder = Story(space=space(), task=wanted, budget=budget), folder
        self._evaluator = make_evaluator(Notebook(self, lambda _: None), folder)
        self._ended("base", base, role="base")

    def trial(self, scores: Array, **result: object) -> str:
        """The next trial, the first of them the default recipe, judged as in the search."""
        plan = self.story.study.plan
        assert plan is not None
        number = len(self.story.study.proposals)
        point = {**plan.space.default(), "lr.lora": 2e-4 * (1 + number / 50)}
        origin = "sampler" if number else "default"
        (job,) = self.story.propose(
            [Idea.model_validate({"recipe": plan.space.build(point), "origin": origin, "reason": "of the test"})]
        )
        self._ended(job, scores, **result)
        self._evaluator({"study": self.story.study.name})
        return job

    def fresh(self, trial: str, scores: Array) -> str:
        """The trial's recipe on a fresh seed."""
        job = f"c{len(self.story.study.confirmations) + 1}"
        self._ended(job, scores, role="confirm", proposal=trial)
        return job

    def chosen(self) -> list[str]:
        """The finalists."""
        return finalists(self.study, Scores(self.study, self.folder))

    def due(self) -> list[tuple[str, str, int, bool]]:
        """Job, trial, seed and whether it was planned, of each training on a fresh seed."""
        found = repeats(self.study, Scores(self.study, self.folder), self.chosen())
        return [(one.job, one.trial, one.seed, one.planned) for one in found]

    def ending(self) -> Ending:
        return ending(self.study, self.folder)

    @property
    def study(self) -> Study:
        return self.story.study

    def append(self, event: Event) -> None:
        self.story.tell(event)

    def _ended(
        self, job: str, scores: Array, *, role: Role = "trial", proposal: str | None = None, **result: object
    ) -> None:
        self.story.launch(job, role=role, proposal=proposal)
        out = self.folder / "trials" / job / "out"
        out.mkdir(parents=True)
        (out / "items.jsonl").write_text("".join(_item(at, one) + "\n" for at, one in enumerate(scores)))
        self.story.complete(job, float(scores.mean()), rows=scores.size, **result)


def _item(at: int, score: float) -> str:
    label = LABELS[at % len(LABELS)]
    said = label if score == 1 else "other"
    return Item(id=f"{at:05}", score=float(score), prediction=said, target=label).model_dump_json()
