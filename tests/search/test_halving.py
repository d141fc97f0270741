"""Halving pauses what is behind at a rung, and promotes it when it is among the best by then."""

from __future__ import annotations

import pytest
from tests.conformance.scheduler import SchedulerSuite, begun, reach
from tests.stories import Story

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Paused
from tunewright.domain.protocols import Scheduler
from tunewright.domain.study import Study
from tunewright.search.halving import HalvingScheduler
from tunewright.search.pruning import open_scheduler


class TestHalving(SchedulerSuite):
    needs_peers = False

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return open_scheduler("halving")


def waits(story: Story, scheduler: Scheduler, score: float) -> str:
    """A trial that is paused at the first rung."""
    job, (answer,) = reach(story, scheduler, score)
    assert answer.action == "pause"
    outcome = Paused(reason=answer.reason, cost=Cost(wall_s=5), waits="promotion")
    story.tell(ev.JobEnded(at=story.tick(), job=job, outcome=outcome))
    return job


def test_the_first_wait_and_the_best_third_goes_on_at_once() -> None:
    story, scheduler = begun(), HalvingScheduler()
    waits(story, scheduler, 0.5)
    waits(story, scheduler, 0.6)
    _, (third, _) = reach(story, scheduler, 0.7, 0.75)
    assert third.action == "continue"
    assert third.reason == "0.7 at step 25 is number 1 of 3 at this rung; the best 1 go on"


def test_a_trial_that_waits_is_promoted_once_it_is_among_the_best_third() -> None:
    story, scheduler = begun(), HalvingScheduler()
    first = waits(story, scheduler, 0.5)
    assert scheduler.promote(story.study) is None
    waits(story, scheduler, 0.4)
    waits(story, scheduler, 0.3)
    promotion = scheduler.promote(story.study)
    assert promotion is not None and promotion.job == first
    assert promotion.reason == "0.5 is number 1 of 3 at this rung by now; the best 1 go on"
    assert HalvingScheduler().promote(Study(story.events)) == promotion
    story.tell(ev.JobPromoted(at=story.tick(), job=first, reason=promotion.reason))
    assert scheduler.promote(story.study) is None, "once is enough"
    story.launch(first, attempt=2)
    assert not story.study.jobs[first].waiting and story.study.jobs[first].open


def test_at_the_close_those_that_may_still_win_go_on_the_best_first() -> None:
    story, scheduler = begun(), HalvingScheduler()
    for score in (0.5, 0.62, 0.6):
        job, answers = reach(story, scheduler, score, score + 0.1)
        if answers[0].action == "pause":
            outcome = Paused(reason="behind", cost=Cost(wall_s=5), waits="promotion")
            story.tell(ev.JobEnded(at=story.tick(), job=job, outcome=outcome))
    assert len(story.study.waiting) == 3, "none is the best of three as it comes"
    promotion = scheduler.promote(story.study, closing=True)
    assert promotion is not None and promotion.job == "t1"
    story.tell(ev.JobPromoted(at=story.tick(), job="t1", reason="x"))
    following = scheduler.promote(story.study, closing=True)
    assert following is not None and following.job == "t2"
    assert "time left" in following.reason


def test_what_is_clearly_behind_is_not_worth_the_time_that_is_left() -> None:
    story, scheduler = begun(), HalvingScheduler()
    behind = waits(story, scheduler, 0.2)
    measured = story.study.jobs[behind].measurements[-1].model_copy(update={"low": 0.15, "high": 0.25})
    story.tell(ev.JobMeasured(at=story.tick(), job=behind, measurement=measured))
    job, _ = reach(story, scheduler, 0.6, 0.7)
    story.complete(job, 0.8)
    assert scheduler.promote(story.study, closing=True) is None
    near = measured.model_copy(update={"high": 0.65})
    story.tell(ev.JobMeasured(at=story.tick(), job=behind, measurement=near))
    assert scheduler.promote(story.study, closing=True) is not None


def test_what_was_let_on_at_the_close_is_not_held_up_again() -> None:
    story, scheduler = begun(), HalvingScheduler()
    first = waits(story, scheduler, 0.5)
    promotion = scheduler.promote(story.study, closing=True)
    assert promotion is not None
    story.tell(ev.JobPromoted(at=story.tick(), job=first, reason=promotion.reason, closing=True))
    story.launch(first, attempt=2)
    answer = scheduler.decide(story.study, first, story.measure(first, 75, 0.1))
    assert answer.action == "continue" and "nothing new" in answer.reason
