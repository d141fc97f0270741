"""The scheduler that asks a model of all trials what a rung says of the end."""

from __future__ import annotations

import pytest
from tests.conformance.scheduler import SchedulerSuite, begun
from tests.stories import Story, play, surface

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Paused
from tunewright.domain.protocols import Scheduler
from tunewright.domain.study import Study
from tunewright.search.pruning import open_scheduler
from tunewright.search.random import RandomStrategy


class TestPromising(SchedulerSuite):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return open_scheduler("promising")


def played(trials: int) -> Story:
    """Random trials of a smooth surface, each measured at its rungs."""
    story = begun(trials=40)
    play(story, RandomStrategy(seed=3).ask, trials=trials)
    return story


def at_first_rung(story: Story, value: float) -> str:
    (idea,) = RandomStrategy(seed=9).ask(story.study, 1)
    (job,) = story.propose([idea])
    story.launch(job)
    story.measure(job, 25, value)
    return job


def test_what_cannot_win_waits_and_what_may_goes_on_with_the_chance_in_words() -> None:
    story, scheduler = played(12), open_scheduler("promising")
    best = max(m.value for job in story.study.trials for m in job.measurements if m.rung == 0)
    job = at_first_rung(story, best - 0.3)
    answer = scheduler.decide(story.study, job, story.study.jobs[job].measurements[-1])
    assert answer.action == "pause" and "chance of" in answer.reason and "of what a new trial does" in answer.reason
    story.measure(job, 25, best + 0.3)
    answer = scheduler.decide(story.study, job, story.study.jobs[job].measurements[-1])
    assert answer.action == "continue" and "chance of" in answer.reason


def test_what_waits_is_promoted_when_its_kin_show_that_it_may_win() -> None:
    story, scheduler = played(12), open_scheduler("promising")
    best = max(m.value for job in story.study.trials for m in job.measurements if m.rung == 0)
    job = at_first_rung(story, best - 0.3)
    reason = scheduler.decide(story.study, job, story.study.jobs[job].measurements[-1]).reason
    outcome = Paused(reason=reason, cost=Cost(wall_s=5), waits="promotion")
    story.tell(ev.JobEnded(at=story.tick(), job=job, outcome=outcome))
    assert scheduler.promote(story.study) is None and scheduler.promote(story.study, closing=True) is None
    story.tell(
        ev.JobMeasured(
            at=story.tick(),
            job=job,
            measurement=story.study.jobs[job].measurements[-1].model_copy(update={"value": best + 0.3}),
        )
    )
    promotion = scheduler.promote(story.study)
    assert promotion is not None and promotion.job == job and "by now" in promotion.reason
    assert open_scheduler("promising").promote(Study(story.events)) == promotion
    assert surface(story.study.proposals[job].recipe) <= 1
