"""A study is what its events say: folded one by one, in order, to the same answers as all at once."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stories import Story, small_space, task
from tests.studies import finished

from tunewright import domain
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.moment import Moment
from tunewright.domain.outcome import Measurement, Paused
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise


@pytest.fixture
def story() -> Story:
    return Story(space=small_space(), task=task())


def idea(story: Story, rank: int = 2) -> Idea:
    plan = story.study.plan
    assert plan is not None
    chosen = plan.space.default() | {"rank": rank}
    return Idea(recipe=plan.space.build(chosen), origin="sampler", reason="unexplored")


class TestEvents:
    def test_every_event_survives_its_line(self) -> None:
        story = Story(space=small_space(), task=task())
        job = story.propose([idea(story)])[0]
        story.run(job, 0.7)
        story.judge(job, job)
        story.tell(ev.Finished(at=story.tick(), winner=None, reason="nothing beat the base model"))
        for one in story.events:
            again = ev.event.validate_json(one.model_dump_json())
            assert type(again) is type(one) and again.model_dump_json() == one.model_dump_json()

    def test_every_kind_of_event_is_in_the_union_once(self) -> None:
        for module in pkgutil.iter_modules(domain.__path__):
            importlib.import_module(f"{domain.__name__}.{module.name}")
        members = get_args(get_args(ev.Event)[0])
        assert set(members) == set(Moment.__subclasses__()), "wherever in the domain it lives"
        assert len({noun.model_fields["kind"].default for noun in members}) == len(members)


class TestDecisions:
    def test_what_waits_is_undecided_then_approved_then_launched(self, story: Story) -> None:
        one, other = story.propose([idea(story, 1), idea(story, 2)], approve=False)
        assert [p.id for p in story.study.undecided] == [one, other] and story.study.approved == []
        story.decide(one)
        story.decide(other, action="reject", reason="too small")
        assert story.study.undecided == [] and [p.id for p in story.study.approved] == [one]
        story.launch(one)
        assert story.study.approved == []

    def test_an_edit_is_what_is_launched_and_binds_itself(self, story: Story) -> None:
        (job,) = story.propose([idea(story, 1)], approve=False)
        edited = idea(story, 5).recipe
        story.decide(job, action="edit", recipe=edited)
        found = story.study.recipe_of(job)
        assert found.recipe == edited and found.idea.origin == "reviewer" and found.binding == edited.fingerprint
        assert story.study.proposals[job].recipe != edited

    def test_a_plan_proposed_again_is_not_approved(self, story: Story) -> None:
        plan = story.study.plan
        assert plan is not None and story.study.plan_approved
        story.tell(ev.PlanProposed(at=story.tick(), plan=plan.model_copy(update={"seed": 7})))
        assert not story.study.plan_approved
        story.tell(ev.PlanProposed(at=story.tick(), plan=plan))
        assert not story.study.plan_approved

    def test_answers_take_away_what_was_asked(self, story: Story) -> None:
        one, other = story.propose([idea(story, 1), idea(story, 2)], approve=False)
        story.tell(ev.ReviewAsked(at=story.tick(), targets=(one, other)))
        story.decide(other)
        assert story.study.asked == (one,)


class TestJobs:
    def test_a_job_goes_from_open_over_paused_to_ended(self, story: Story) -> None:
        (job,) = story.propose([idea(story)])
        story.launch(job)
        record = story.study.jobs[job]
        assert record.open and not record.ended and story.study.unfinished == [record]
        cost = Cost(wall_s=5, device_s=5)
        story.tell(ev.JobEnded(at=story.tick(), job=job, outcome=Paused(reason="Ctrl-C", cost=cost)))
        assert record.resumable and not record.ended and story.study.unfinished == [record]
        story.launch(job, attempt=2)
        story.complete(job, 0.8)
        assert record.ended and record.score == 0.8 and record.attempts == 2 and story.study.unfinished == []
        assert record.settled.wall_s == 5 + story.study.jobs[job].outcome.cost.wall_s  # type: ignore[union-attr]  completed

    def test_a_rung_measured_again_replaces_the_first(self, story: Story) -> None:
        (job,) = story.propose([idea(story)])
        story.launch(job)
        story.measure(job, 25, 0.3)
        story.measure(job, 75, 0.4)
        story.measure(job, 25, 0.31)
        assert {m.step: m.value for m in story.study.jobs[job].measurements} == {25: 0.31, 75: 0.4}

    def test_an_event_of_an_unknown_job_is_an_error(self) -> None:
        measurement = Measurement(value=0.5, rows=1, step=1, seconds=0)
        with pytest.raises(KeyError, match="t9"):
            Study().fold(ev.JobMeasured(job="t9", measurement=measurement))


class TestBest:
    def run(self, story: Story, *scores: float) -> list[str]:
        jobs = story.propose([idea(story, 1 + i % 5) for i in range(len(scores))])
        for job, score in zip(jobs, scores, strict=True):
            story.launch(job)
            measurement = Measurement(value=score, rows=10, step=1, seconds=1)
            story.complete(job, 0.5, measurement=measurement)
        return jobs

    @given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=6))
    def test_it_is_the_highest_and_the_earlier_in_a_tie(self, scores: list[float]) -> None:
        story = Story(space=small_space(), task=task())
        jobs = self.run(story, *scores)
        numbers = [score for score in scores if not math.isnan(score)]
        best = story.study.best()
        assert (best.id if best else None) == (jobs[scores.index(max(numbers))] if numbers else None)

    def test_less_is_better_where_the_metric_says_so(self) -> None:
        story = Story(space=small_space(), task=task(direction="min"))
        jobs = self.run(story, 0.5, 0.2, 0.9)
        best = story.study.best()
        assert best is not None and best.id == jobs[1]

    def test_confirmations_and_the_base_do_not_compete(self, story: Story) -> None:
        story.launch("base", role="base")
        story.complete("base", 0.99)
        story.launch("confirm-0", role="confirm")
        story.complete("confirm-0", 0.98)
        assert story.study.best() is None and story.study.base is not None and story.study.base.score == 0.99


class TestSummary:
    def test_a_finished_study_says_what_won_and_what_to_type(self) -> None:
        found = summarise(finished())
        assert found.state == "winner" and found.best_trial == found.winner and found.test_score is not None
        assert found.next == f"tunewright reproduce {found.best_run_id}"
        assert found.test_interval is not None and found.test_interval[0] < found.test_score < found.test_interval[1]
        statuses = {line.status for line in found.trial_list}
        assert statuses == {"completed", "pruned", "failed"} and found.trials == len(found.trial_list)
        assert all(line.reason for line in found.trial_list if line.status != "completed")

    def test_no_winner_is_a_state_of_its_own(self) -> None:
        found = summarise(finished(winner=False))
        assert found.state == "no-winner" and found.winner is None and found.next == "tunewright report route-01"
        assert found.reason

    def test_waiting_paused_and_running(self, story: Story) -> None:
        assert summarise(story.study).state == "paused"
        assert summarise(story.study).next == "tunewright resume route-01"
        assert summarise(story.study, running=True).state == "running"
        story.tell(ev.ReviewAsked(at=story.tick(), targets=("plan",)))
        found = summarise(story.study, running=True)
        assert found.state == "waiting" and found.next == "tunewright review route-01 --approve plan"

    def test_the_clock_of_a_study_that_crashed_does_not_run_on(self, story: Story) -> None:
        (job,) = story.propose([idea(story)])
        story.launch(job)
        story.measure(job, 25, 0.3)
        much_later = story.now + 86_400
        crashed = summarise(story.study, now=much_later)
        assert crashed.spent.wall_s < 60 and crashed.trial_list[0].seconds < 60
        assert summarise(story.study, running=True, now=much_later).spent.wall_s > 86_400

    def test_it_is_one_json_object(self) -> None:
        found = json.loads(summarise(finished()).model_dump_json())
        wanted = {"study", "base_score", "best_score", "best_run_id", "trials", "spent", "budget"}
        assert wanted <= found.keys() and found["spent"].keys() == found["budget"].keys()
