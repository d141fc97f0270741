"""The pruners keep their contract; reasons say what was compared."""

from __future__ import annotations

import pytest
from tests.conformance.scheduler import SchedulerSuite, begun, reach, settled

from tunewright.domain.errors import UnknownNameError
from tunewright.domain.protocols import Scheduler
from tunewright.search.pruning import open_scheduler, pruners


class TestMedian(SchedulerSuite):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return open_scheduler("median")


class TestHyperband(SchedulerSuite):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return open_scheduler("hyperband")


class TestNone(SchedulerSuite):
    stops = False

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return open_scheduler("none")


def test_the_median_is_named_with_what_it_is_of() -> None:
    story, scheduler = begun(), open_scheduler("median")
    settled(story, scheduler, 0.8, 0.9, 0.7, 0.6)
    _, (answer, _) = reach(story, scheduler, 0.31, 0.31)
    assert answer.action == "stop"
    assert answer.reason == "0.31 at step 25 is below the median 0.55 of 4 trials at that step"


def test_a_dip_after_a_good_rung_is_forgiven_and_said() -> None:
    story, scheduler = begun(), open_scheduler("median")
    settled(story, scheduler, 0.8, 0.8, 0.8)
    _, answers = reach(story, scheduler, 0.75, 0.5)
    assert [answer.action for answer in answers] == ["continue", "continue"]
    assert "earlier rung" in answers[1].reason


def test_pruned_trials_do_not_lower_the_bar() -> None:
    story, scheduler = begun(), open_scheduler("median")
    settled(story, scheduler, 0.8, 0.8, 0.8)
    for _ in range(5):
        job, answers = reach(story, scheduler, 0.1)
        assert answers[0].action == "stop"
        story.prune(job)


def test_a_score_that_is_no_number_stops_the_trial() -> None:
    story, scheduler = begun(), open_scheduler("hyperband")
    _, (answer,) = reach(story, scheduler, float("nan"))
    assert answer.action == "stop"
    assert "not a number" in answer.reason


def test_hyperband_stops_more_than_the_median_and_lets_a_bracket_run() -> None:
    stopped = {"median": 0, "hyperband": 0}
    for name in stopped:
        story, scheduler = begun(trials=60), open_scheduler(name)
        for i in range(40):
            final = 0.5 + (i * 7 % 40) / 100
            job, answers = reach(story, scheduler, final - 0.2, final - 0.1)
            stopped[name] += any(answer.action == "stop" for answer in answers)
            story.complete(job, final)
    assert 0 < stopped["median"] < stopped["hyperband"] < 40


def test_an_unknown_scheduler_lists_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match="unknown pruner 'medain'") as caught:
        open_scheduler("medain")
    assert "did you mean 'median'" in caught.value.hint
    assert all(line.endswith(".") for line in pruners().values())
