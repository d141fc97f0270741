"""What every scheduler must do. Subclass ``SchedulerSuite`` and give ``scheduler``: a fresh one."""

from __future__ import annotations

import pytest
from tests.stories import Story, planned, space, task

from tunewright.domain.budget import Budget
from tunewright.domain.job import Rungs
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Scheduler, Steering
from tunewright.domain.study import Study


def begun(*, direction: str = "max", trials: int = 20, rungs: Rungs = Rungs(steps=(25, 75), rows=100)) -> Story:  # noqa: B008  frozen
    return Story(space=space(), task=task(direction=direction), budget=Budget(trials=trials), rungs=rungs)


def reach(story: Story, scheduler: Scheduler, *scores: float, rows: int = 100) -> tuple[str, list[Steering]]:
    """A new trial reaches the rungs with ``scores`` and is asked about at each; it stays running."""
    (job,) = story.propose([planned(story)])
    story.launch(job)
    assert story.study.plan is not None
    steps = story.study.plan.rungs.steps
    answers = []
    for step, score in zip(steps, scores, strict=False):
        measurement = story.measure(job, step, score, rows=rows)
        answers.append(scheduler.decide(story.study, job, measurement))
    return job, answers


def settled(story: Story, scheduler: Scheduler, *finals: float) -> None:
    """Trials that ran to their ends, a little worse at the rungs."""
    for final in finals:
        job, _ = reach(story, scheduler, final - 0.2, final - 0.1)
        story.complete(job, final)


class SchedulerSuite:
    """The contract of ``Scheduler``. ``stops`` is False for one that lets everything run; to stop may be to pause."""

    stops = True
    needs_peers = True
    """Whether it lets a trial go on until there are enough others to compare it with."""

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        raise NotImplementedError

    def test_a_bad_trial_among_good_ones_is_stopped_with_its_score_in_the_reason(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81, 0.79)
        answers = [answer for _ in range(4) for answer in reach(story, scheduler, 0.11, 0.12)[1]]
        assert bool({answer.action for answer in answers} & {"stop", "pause"}) is self.stops
        assert all("0.11" in a.reason or "0.12" in a.reason for a in answers if a.action != "continue")

    def test_the_best_trial_so_far_is_never_stopped(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.5, 0.55, 0.6, 0.52)
        for i in range(4):
            assert {answer.action for answer in reach(story, scheduler, 0.7 + i / 50, 0.8 + i / 50)[1]} == {"continue"}

    def test_where_less_is_better_the_low_one_goes_on(self, scheduler: Scheduler) -> None:
        story = begun(direction="min")
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81, 0.79)
        assert {answer.action for answer in reach(story, scheduler, 0.11, 0.10)[1]} == {"continue"}
        high = [answer.action for _ in range(4) for answer in reach(story, scheduler, 2.0, 1.9)[1]]
        assert bool(set(high) & {"stop", "pause"}) is self.stops

    def test_the_yardstick_is_never_stopped(self, scheduler: Scheduler) -> None:
        story = begun()
        (default,) = story.propose([planned(story, origin="default")])
        story.launch(default)
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81)
        measurement = story.measure(default, 25, 0.01)
        assert scheduler.decide(story.study, default, measurement).action == "continue"

    def test_confirmations_and_the_test_are_never_stopped(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81)
        story.launch("confirm-0", role="confirm")
        measurement = story.measure("confirm-0", 25, 0.01)
        assert scheduler.decide(story.study, "confirm-0", measurement).action == "continue"

    @pytest.mark.parametrize(("budget", "needed"), [(20, 3), (8, 2)])
    def test_nothing_is_stopped_before_enough_trials_have_come_so_far(
        self, scheduler: Scheduler, budget: int, needed: int
    ) -> None:
        story = begun(trials=budget)
        for i in range(needed - 1):
            settled(story, scheduler, 0.8 + i / 100)
        _, answers = reach(story, scheduler, 0.01, 0.02)
        assert [answer.action for answer in answers] == ["continue", "continue"] or not self.needs_peers

    def test_scores_on_other_rows_are_not_compared(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81)
        _, answers = reach(story, scheduler, 0.01, 0.02, rows=304)
        assert [answer.action for answer in answers] == ["continue", "continue"] or not self.needs_peers

    def test_every_answer_has_a_reason(self, scheduler: Scheduler) -> None:
        story = begun()
        for final in (0.5, 0.8, 0.3, 0.7, 0.9, 0.2, 0.75):
            job, answers = reach(story, scheduler, final - 0.2, final - 0.1)
            assert all(answer.reason.strip() for answer in answers)
            story.complete(job, final)

    def test_it_learns_from_the_study_alone(self, scheduler: Scheduler) -> None:
        """A fresh one, and one that knew another study before, give the answers of the one that saw it all."""
        story = begun()
        other = begun()
        settled(other, scheduler, 0.1, 0.2, 0.3)
        for final in (0.5, 0.8, 0.75, 0.7, 0.3, 0.35, 0.6, 0.2):
            job, answers = reach(story, scheduler, final - 0.2, final - 0.1)
            again = type(scheduler)()
            last = story.study.jobs[job].measurements[-1]
            assert again.decide(Study(story.events), job, last) == answers[-1]
            story.complete(job, final)

    def test_asking_twice_and_before_the_journal_knows_changes_nothing(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81, 0.8)
        (job,) = story.propose([planned(story)])
        story.launch(job)
        before = Study(story.events)
        measurement = story.measure(job, 25, 0.05)
        early = scheduler.decide(before, job, measurement)
        assert (
            early == scheduler.decide(story.study, job, measurement) == scheduler.decide(story.study, job, measurement)
        )

    def test_a_rung_measured_again_after_a_crash_counts_once(self, scheduler: Scheduler) -> None:
        story = begun()
        settled(story, scheduler, 0.8, 0.82, 0.78, 0.81)
        job, _ = reach(story, scheduler, 0.75)
        measurement = story.measure(job, 25, 0.74)
        assert scheduler.decide(story.study, job, measurement).action == "continue"

    def test_an_end_that_is_clearly_behind_the_best_is_not_scored_whole(self, scheduler: Scheduler) -> None:
        """One that is as good or better always is, and so is the yardstick; every answer has its reason."""
        story = begun()
        (default,), (other,) = (story.propose([planned(story, origin=who)]) for who in ("default", "planner"))
        for job in (default, other):
            story.launch(job)
        good, bad = ((1.0, 1.0, 1.0, 0.0) * 50, (1.0, 0.0, 0.0, 0.0) * 50)
        ahead, alike = (Paired(against="t0", mine=side[:80], others=good) for side in ((1.0,) * 80, good))
        behind = Paired(against="t0", mine=bad[:80], others=good)
        answers = [scheduler.compare(story.study, other, paired) for paired in (ahead, alike, behind)]
        answers.append(scheduler.compare(story.study, default, behind))
        stopped = "stop" if self.stops else "continue"
        assert [one.action for one in answers] == ["continue", "continue", stopped, "continue"]
        assert all(one.reason for one in answers) and (not self.stops or "80 of 200 rows" in answers[2].reason)
