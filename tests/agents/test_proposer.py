"""Which proposals the budget lets through: a long one leaves time for those to come, others are run while they fit."""

from __future__ import annotations

import time

import pytest
from tests.stories import CODE, FORECAST, Story, planned, space, task

from tunewright.agents.nodes.proposer import make_proposer
from tunewright.agents.notebook import Notebook
from tunewright.agents.specification import Specifier
from tunewright.agents.state import State
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.job import Rungs
from tunewright.domain.outcome import Paused
from tunewright.domain.proposal import Forecast, Idea, Range
from tunewright.domain.protocols import Promotion
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes
from tunewright.search.pruning import NoScheduler

KEEP = 240.0  # of the story's plan
EPOCH_S = 50.0
SINCE_S = 20.0
"""What the study has taken so far: the ledger looks at the clock."""


class Told:
    """A journal in memory."""

    def __init__(self, story: Story) -> None:
        self.story = story

    @property
    def study(self) -> Study:
        return self.story.study

    def append(self, event: ev.Event) -> None:
        self.story.tell(event)


class Clock:
    """Forecasts in proportion to epochs, with a doubt of a fifth."""

    def __call__(self, study: Study, recipe: Recipe) -> Forecast:
        return self.at(study, recipe, Rungs())

    def at(self, study: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
        seconds = EPOCH_S * float(recipe.stages[0].optimisation.epochs or 0)
        high = 1.2 * seconds
        return FORECAST.model_copy(
            update={
                "seconds": Range(expected=seconds, low=seconds, high=high),
                "cost": Cost(wall_s=high, device_s=high, trials=1),
            }
        )


class Epochs:
    """A strategy of trials of one length, each with a learning rate of its own."""

    def __init__(self, epochs: float) -> None:
        self.epochs = epochs

    def ask(self, study: Study, count: int) -> list[Idea]:
        assert study.plan is not None
        found, known = study.plan.space, len(study.proposals)
        points = [
            {**found.default(), "epochs": self.epochs, "lr.lora": 1e-4 * (1 + (known + one) / 100)}
            for one in range(count)
        ]
        return [Idea(recipe=found.build(point), origin="sampler", reason="a length") for point in points]


def decided(left: float, epochs: float) -> tuple[int, str]:
    """How many of the first proposals may run, where so many seconds are left beside what the plan keeps for its
    finish and twelve trials are planned; and why the search ended, if it did.
    """
    budget = Budget(wall_s=KEEP + left + SINCE_S, trials=12)
    story = Story(space=space(), task=task(), budget=budget, started=time.time() - SINCE_S)
    plan = next(one for one in story.events if isinstance(one, ev.PlanProposed)).plan
    story.tell(ev.PlanProposed(at=story.tick(), plan=plan.model_copy(update={"batch": 3})))
    specifier = Specifier(code=CODE, image=None, forecast=Clock(), check=lambda _: None)
    notebook = Notebook(Told(story), lambda _: None)
    node = make_proposer(
        notebook, specifier, lambda _: Epochs(epochs), lambda _: [], lambda _: NoScheduler(), pytest.fail
    )
    node(State(study=story.study.name))
    refused = {target for target, one in story.study.decisions.items() if one.action == "reject"}
    return len(story.study.proposals.keys() - refused), story.study.search_ended or ""


@pytest.mark.parametrize(
    ("left", "epochs", "runs"),
    [
        (3000, 3.0, True),  # time for twelve of the default's 100 s and this one
        (1000, 3.0, False),  # it would take the time of those to come
        (1000, 2.0, True),  # as long as they are: not all twelve fit, this one does
        (135, 2.0, True),
        (100, 2.0, True),  # its forecast's high end does not fit, that of half of it does
        (100, 1.0, True),
        (50, 2.0, False),  # nor that of half of it
    ],
)
def test_a_trial_no_longer_than_the_default_is_run_while_it_fits(left: float, epochs: float, runs: bool) -> None:
    count, ended = decided(left, epochs)
    assert (count > 0) == runs
    assert bool(ended) != runs


def test_a_batch_leaves_time_for_its_own() -> None:
    assert decided(235, 2.0)[0] == 2
    assert decided(3000, 2.0)[0] == 3


class Waits:
    """A scheduler that would let a trial go on when nothing new can be begun."""

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        return Promotion(job="t0", reason="it may") if closing else None


@pytest.mark.parametrize(("named", "ends"), [((), True), (("lora", "ia3"), False)])
def test_a_search_that_has_enough_ends_with_the_reason_once_all_that_the_brief_names_was_tried(
    named: tuple[str, ...], ends: bool
) -> None:
    story = Story(space=space(), task=task(), started=time.time() - SINCE_S)
    story.tell(ev.Understood(at=story.tick(), task=task(), budget=story.study.budget, wishes=Wishes(adapters=named)))
    story.propose([planned(story, origin="default")])
    story.launch("t0")
    outcome = Paused(reason="behind", cost=Cost(wall_s=1), waits="promotion")
    story.tell(ev.JobEnded(at=story.tick(), job="t0", outcome=outcome))
    notebook = Notebook(Told(story), lambda _: None)
    specifier = Specifier(code=CODE, image=None, forecast=Clock(), check=lambda _: None)
    node = make_proposer(
        notebook, specifier, lambda _: Epochs(2.0), lambda _: [], lambda _: Waits(), pytest.fail, lambda _: "enough"
    )  # type: ignore[arg-type]  # of a scheduler no more is asked here
    node(State(study=story.study.name))
    assert story.study.search_ended == ("enough" if ends else None)
    assert not story.study.jobs["t0"].promoted, "what waits is not worth it either"
    assert (len(story.study.proposals) > 1) != ends


def test_a_planners_idea_that_does_not_fit_does_not_end_the_search() -> None:
    story = Story(space=space(), task=task(), budget=Budget(wall_s=KEEP + 100 + SINCE_S), started=time.time() - SINCE_S)
    story.propose([planned(story, origin="default")])
    found = space()
    stock = [Idea(recipe=found.build({**found.default(), "lr.lora": 2e-4}), origin="planner", reason="mine")]
    specifier = Specifier(code=CODE, image=None, forecast=Clock(), check=lambda _: None)
    notebook = Notebook(Told(story), lambda _: None)
    node = make_proposer(
        notebook, specifier, lambda _: Epochs(2.0), lambda _: [stock.pop()] if stock else [], lambda _: NoScheduler(),
        pytest.fail,
    )  # fmt: skip
    node(State(study=story.study.name))
    assert [(one.idea.origin, one.recipe.stages[0].optimisation.epochs) for one in story.study.proposals.values()] == [
        ("default", 2.0), ("planner", 2.0), ("sampler", 1.0),
    ]  # fmt: skip
    assert story.study.decisions["t1"].action == "reject" and "t2" not in story.study.decisions
    assert story.study.search_ended is None
