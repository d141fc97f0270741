"""The road a study takes, read off its journal alone."""

from __future__ import annotations

from tests.stories import Story, planned, space, task

from tunewright.agents.routing import due, free_slots, next_step, unjudged, unreflected
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.outcome import Paused
from tunewright.domain.proposal import Decision
from tunewright.domain.study import Study
from tunewright.domain.understanding import Question


def a_story() -> Story:
    story = Story(space=space(), task=task())
    story.launch("base", role="base")
    story.complete("base", 0.1)
    return story


def test_a_study_without_a_plan_is_planned_and_then_shown() -> None:
    story = a_story()
    before_plan = [one for one in story.events if not isinstance(one, ev.PlanProposed | ev.Decided)]
    assert next_step(Study(before_plan)) == "planner"
    assert next_step(Study([*before_plan, *(e for e in story.events if isinstance(e, ev.PlanProposed))])) == (
        "plan_approval"
    )
    assert next_step(story.study) == "proposer"


def test_what_a_brief_leaves_open_is_settled_before_anything_else() -> None:
    created = a_story().events[0]
    question = Question(id="q1", text="Which?", about="metric", assumption="accuracy")
    reading = ev.Understood(task=task(), budget=Budget(trials=3), questions=(question,))
    study = Study([created, ev.Wondered(reading=reading)])
    assert next_step(study) == "clarification"
    study.fold(ev.Clarified(question="q1"))
    assert next_step(study) == "planner"


def test_an_approval_of_another_plan_does_not_count() -> None:
    story = a_story()
    assert story.study.plan is not None
    story.tell(ev.PlanProposed(plan=story.study.plan.model_copy(update={"confirm_seeds": 1})))
    assert next_step(story.study) == "plan_approval"
    stale = Decision(target="plan", action="approve", by="person", binds="0" * 64)
    story.tell(ev.Decided(decision=stale))
    assert next_step(story.study) == "plan_approval"


def test_a_rejected_plan_goes_to_the_finish() -> None:
    story = a_story()
    story.tell(ev.Decided(decision=Decision(target="plan", action="reject", by="person", reason="too long")))
    assert next_step(story.study) == "finisher"


def test_the_round_of_a_trial() -> None:
    story = a_story()
    (job,) = story.propose([planned(story)], approve=False)
    assert next_step(story.study) == "batch_approval"
    story.decide(job)
    assert next_step(story.study) == "trainer"
    story.launch(job)
    assert next_step(story.study) == "trainer", "a crash leaves it open: the trainer takes it up"
    story.complete(job, 0.5)
    assert unjudged(story.study) == [job]
    assert next_step(story.study) == "evaluator"
    story.judge(job, "base")
    assert unreflected(story.study) == [job]
    assert next_step(story.study) == "reflection"
    story.tell(ev.Reflected(trials=(job,)))
    assert next_step(story.study) == "proposer"


def test_a_rejected_batch_is_followed_by_another() -> None:
    story = a_story()
    (job,) = story.propose([planned(story)], approve=False)
    story.decide(job, action="reject", reason="tried last month")
    assert next_step(story.study) == "proposer"


def test_a_paused_trial_is_continued_before_anything_else() -> None:
    story = a_story()
    first, _ = story.propose([planned(story), planned(story)])
    story.launch(first)
    story.tell(ev.JobEnded(job=first, outcome=Paused(reason="stopped by Ctrl-C", cost=Cost(wall_s=3))))
    assert next_step(story.study) == "trainer"
    assert next_step(story.study, stop=True) == "end"


def with_slots(story: Story, slots: int, review: str = "never") -> Story:
    story.study.options = story.study.options.model_copy(update={"slots": slots, "review": review})
    return story


def test_free_slots_are_filled_and_then_what_runs_is_waited_for() -> None:
    story = with_slots(a_story(), 2)
    first, second = story.propose([planned(story), planned(story)])
    story.launch(first)
    assert next_step(story.study) == "trainer" and due(story.study) == second
    assert next_step(story.study, stop=True) == "trainer", "what runs is seen to its checkpoint"
    story.launch(second)
    assert free_slots(story.study) == 0 and next_step(story.study) == "trainer"
    story.complete(first, 0.5)
    assert next_step(story.study) == "evaluator"
    story.judge(first, "base")
    story.tell(ev.Reflected(trials=(first,)))
    assert next_step(story.study) == "proposer", "beside the one that runs"
    story.propose([planned(story)], approve=False)
    assert next_step(story.study) == "batch_approval"
    with_slots(story, 2, "batch")
    assert next_step(story.study) == "trainer", "a person is asked when nothing runs"


def test_what_waits_is_passed_over_until_it_is_promoted_and_closed_at_the_end() -> None:
    story = a_story()
    (job,) = story.propose([planned(story)])
    story.launch(job)
    story.measure(job, 25, 0.4)
    waits = Paused(reason="number 2 of 3", cost=Cost(wall_s=3), waits="promotion")
    story.tell(ev.JobEnded(job=job, outcome=waits))
    assert next_step(story.study) == "proposer" and due(story.study) is None
    ended = Study([*story.events, ev.SearchEnded(reason="enough")])
    assert next_step(ended) == "trainer", "nothing will promote it any more"
    story.tell(ev.JobPromoted(job=job, reason="number 1 of 4"))
    assert next_step(story.study) == "trainer" and due(story.study) == job


def test_a_failed_trial_is_reflected_on_but_not_judged() -> None:
    story = a_story()
    (job,) = story.propose([planned(story)])
    story.launch(job)
    story.fail(job, "config", "loss is NaN at step 3")
    assert unjudged(story.study) == []
    assert next_step(story.study) == "reflection"


def test_the_end_needs_both_a_result_and_its_views() -> None:
    story = a_story()
    story.tell(ev.SearchEnded(reason="all 12 trials of the budget are used"))
    assert next_step(story.study) == "finisher"
    story.tell(ev.Finished(winner=None, reason="no trial was run"))
    assert next_step(story.study) == "finisher", "the report is still owed"
    story.tell(ev.Published())
    assert next_step(story.study) == "end"
