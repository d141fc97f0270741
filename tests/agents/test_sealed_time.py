"""How long the sealed test may take: as the winner's own evaluation says, and longer while there is time."""

from __future__ import annotations

import pytest
from tests.stories import Story, space, task

from tunewright.agents.nodes import finisher
from tunewright.agents.nodes.finisher import allowed_seconds
from tunewright.domain.budget import Budget
from tunewright.domain.proposal import Idea


def finished(*, wall_s: float | None = 10_000, eval_s: float = 30.0) -> Story:
    """A base that is scored in 6 s, and one trial."""
    budget = Budget(wall_s=wall_s, trials=40)
    story = Story(space=space(), task=task(), budget=budget)
    story.launch("base", role="base")
    story.complete("base", 0.2, seconds=8, eval_s=6.0)
    (job,) = story.propose([Idea(recipe=space().build(space().default()), origin="default", reason="yardstick")])
    story.run(job, 0.5, eval_s=eval_s)
    return story


def left(story: Story) -> float:
    assert story.study.budget is not None and story.study.budget.wall_s is not None
    return story.study.budget.left(story.study.spent(story.now))["wall_s"]


def test_an_adapter_that_is_slow_to_score_has_as_much_more_time() -> None:
    study = finished(eval_s=6.0).study
    assert finisher.test_seconds(study, "t0") == finisher.test_seconds(study) == pytest.approx(10 + 1.5 * 8, abs=0.5)
    slow = finished().study
    assert finisher.test_seconds(slow) == finisher.test_seconds(study)
    assert finisher.test_seconds(slow, "t0") == pytest.approx(10 + 1.5 * (8 + 24), abs=0.5)


def test_what_the_budget_has_left_may_be_taken_and_no_more() -> None:
    story = finished()
    assert allowed_seconds(story.study, 60, 20, story.now) == 180
    story.now += left(story) - 100
    assert allowed_seconds(story.study, 60, 20, story.now) == pytest.approx(80, abs=1), "the next one keeps its own"
    assert allowed_seconds(story.study, 90, 20, story.now) == 90, "the winner's goes before the base model's"
    story.now += 60
    assert allowed_seconds(story.study, 90, 20, story.now) == pytest.approx(40, abs=1), "rather tried than lost"
    story.now += 38
    assert allowed_seconds(story.study, 90, 20, story.now) == 90, "the ledger refuses it"


def test_without_a_cap_on_time_it_may_take_three_times_what_it_needs() -> None:
    assert allowed_seconds(finished(wall_s=None).study, 60, 20) == 180
