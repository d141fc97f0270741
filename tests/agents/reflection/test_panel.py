"""The reflection panel: what it asks, finds, keeps and would try next, with and without language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.reflection.meeting import EPOCHS, KIND, LR, diverged, meet, overfit, reflected
from tests.agents.test_lessons import case, story
from tests.stories import Story
from tests.studies import told as whole_story

from tunewright.agents.advice.turns import planner_ideas
from tunewright.agents.reflection.check import verify
from tunewright.agents.reflection.critics import counterfactual, critics, optimisation, overfitting
from tunewright.agents.reflection.curator import duplicate, signed
from tunewright.agents.reflection.experiments import experiment, from_lessons, next_experiment
from tunewright.agents.reflection.panel import Panel, trouble
from tunewright.domain import event as ev
from tunewright.domain.lesson import Check, Evidence, Lesson, Remembered
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study


def test_nobody_is_asked_while_all_is_well() -> None:
    told = story({"score": 0.6}, {"rank": 16, "score": 0.7})
    found = reflected(meet(told))
    assert (found.asked, found.rounds, found.experiment) == ("", 0, None)
    assert [one.by for one in found.findings] == ["reflector"]


def test_a_breakdown_asks_for_a_lower_rate_between_the_two() -> None:
    told = diverged()
    found = reflected(meet(told))
    assert found.asked == "t1: diverged"
    assert found.experiment is not None and found.experiment.origin == "planner"
    rate = found.experiment.recipe.stages[0].optimisation.lr
    assert 2e-4 < rate < 1.8e-3
    assert found.experiment.hypothesis is not None
    assert found.experiment.hypothesis.refuted_if.trial == "t0"


def test_an_overfit_asks_for_fewer_passes_and_is_learned() -> None:
    told = overfit()
    events = meet(told, ["t1"])
    finding = overfitting.find(case(told.study, "t1"))
    assert finding is not None and finding.edits == {EPOCHS: 1.0}
    lessons = [one.lesson for one in events if isinstance(one, ev.Learned)]
    assert any("3 epochs overfit lora (t1): 0.750 at step 75, 0.550 at the end" in one.claim for one in lessons)
    assert [verify(one, told.study) for one in lessons] == [[] for _ in lessons]


def test_three_trials_without_a_gain_are_trouble_once() -> None:
    told = story({"score": 0.7}, *({"rank": rank, "score": 0.6} for rank in (2, 4, 16)))
    for trial in ("t0", "t1", "t2"):
        assert reflected(meet(told, [trial])).asked == ""
    assert reflected(meet(told, ["t3"])).asked == "3 trials without a gain: t1, t2, t3"
    assert trouble(case(told.study, "t3")) == ""


def test_a_pair_that_differs_in_one_setting_tells_its_cause() -> None:
    told = story({"score": 0.7}, {"rank": 32, "score": 0.6})
    finding = counterfactual.find(case(told.study, "t1"))
    assert finding is not None and finding.lesson is not None
    assert finding.lesson.claim == "rank 8 does better than 32, all else the same: 0.700 (t0) against 0.600 (t1)"
    assert verify(finding.lesson, told.study) == []


def test_the_setting_that_did_best_elsewhere_is_carried_over() -> None:
    told = story(
        {"score": 0.7},
        {"rank": 16, "lr.lora": 3e-4, "score": 0.61},
        {"schedule": "constant", "rank": 12, "batch": 8, "score": 0.68},
        {"schedule": "constant", "rank": 6, "batch": 32, "score": 0.69},
    )
    finding = counterfactual.find(case(told.study, "t3"))
    assert finding is not None and finding.edits == {"stages.0.optimisation.schedule": "constant"}


def test_a_rate_is_moved_towards_its_better_neighbour() -> None:
    told = story({"score": 0.7}, {"lr.lora": 8e-4, "score": 0.69}, {"lr.lora": 6e-5, "score": 0.4})
    finding = optimisation._rate(case(told.study, "t2"))
    assert finding is not None and 2e-4 < float(finding.edits[LR]) < 8e-4


def test_every_critic_has_its_role_and_its_prompt() -> None:
    roles = [one.role for one in critics()]
    names = ["cost", "counterfactual", "data", "optimisation", "overfitting"]
    assert roles == [f"critic.{name}" for name in names]


def test_no_experiment_goes_against_a_standing_warning() -> None:
    told = diverged(1e-3)
    meet(told)
    assert any(one.check and one.check.rule == "too hot" for one in told.study.lessons)
    assert experiment(told.study, "t0", {LR: 1.5e-3}, "hotter") is None
    assert experiment(told.study, "t0", {LR: 5e-4}, "between") is not None


# The queue


def test_experiments_are_proposed_within_the_planners_share() -> None:
    told = diverged()
    queued = reflected(meet(told)).experiment
    assert queued is not None
    assert next_experiment(told.study) == queued
    for rank in (2, 3, 4, 5, 6, 7):  # the share begins when the sampler has had its start
        plan = told.study.plan
        assert plan is not None
        recipe = plan.space.build({**plan.space.default(), "rank": rank})
        (job,) = told.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
        told.run(job, 0.5)
    ideas = planner_ideas(told.study, experiment=next_experiment)
    assert ideas in ([], [queued])
    told.propose([queued])
    assert next_experiment(told.study) is None


def test_an_experiment_is_left_out_once_the_trial_it_was_to_improve_on_is_overtaken() -> None:
    told = diverged()
    queued = reflected(meet(told)).experiment
    assert queued is not None and next_experiment(told.study) == queued
    plan = told.study.plan
    assert plan is not None
    for rank, score, stands in ((2, 0.61, True), (16, 0.95, False)):
        recipe = plan.space.build({**plan.space.default(), "rank": rank})
        (job,) = told.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
        told.run(job, score)
        told.judge(job, told.study.incumbent or "base")
        assert (next_experiment(told.study) == queued) is stands


def test_the_newest_experiment_goes_first() -> None:
    told = story({"score": 0.7})
    made = [experiment(told.study, "t0", {LR: rate}, "next") for rate in (1e-4, 5e-4)]
    for one in made:
        told.tell(ev.Reflected(at=told.tick(), trials=(), experiment=one))
    assert next_experiment(told.study) == made[1] is not None


def test_a_rate_that_has_near_neighbours_is_settled() -> None:
    told = story({"score": 0.7}, {"lr.lora": 3e-4, "score": 0.69}, {"lr.lora": 1.5e-4, "score": 0.6})
    assert optimisation._rate(case(told.study, "t2")) is None


def recalled(told: Story, **changes: Any) -> Remembered:
    lesson = Lesson(
        claim="dora beats lora by 0.110, best trial against best: 0.810 (t1) against 0.700 (t0)",
        evidence=(Evidence(trial="t1", quantity="score", value=0.81),),
        supporting=("t1", "t0"),
        confidence=0.6,
        study="route-00",
        check=Check(rule="beats", about={"adapter": "dora", "other": "lora"}),
        advice={KIND: "dora"},
    )
    made = Remembered(lesson=lesson, likeness=0.7, **changes)
    told.tell(ev.Recalled(at=told.tick(), lessons=(made,)))
    return made


def test_what_another_study_learned_is_followed_by_its_id_and_pays_for_it() -> None:
    told = story({"score": 0.7})
    old = recalled(told)
    idea = next_experiment(told.study)
    assert idea is not None and idea.cites == (old.id,)
    assert idea.reason.startswith(f"after {old.id} of route-00: ")
    assert idea.recipe.stages[0].adapter.kind == "dora"
    (job,) = told.propose([idea])
    told.run(job, 0.5)
    told.judge(job, "t0")
    events = meet(told, [job])
    tags = [(one.lesson, one.tag) for one in events if isinstance(one, ev.Weighed)]
    assert tags == [(old.id, "harmful")]
    assert told.study.insights.memory[old.id].harmful == 1
    assert [one for one in meet(told, [job]) if isinstance(one, ev.Weighed)] == [], "each trial counts once"


def test_a_lesson_is_dropped_when_it_harms_as_much_as_it_helps() -> None:
    told = story({"score": 0.7})
    old = recalled(told, harmful=2)
    assert told.study.insights.memory[old.id].dropped
    assert from_lessons(told.study, "t0") is None
    assert next_experiment(told.study) is None


def test_a_later_trial_that_contradicts_a_claim_halves_its_confidence() -> None:
    told = story({"score": 0.7})
    old = recalled(told)
    plan = told.study.plan
    assert plan is not None
    for values, score in (({"adapter": "dora", "lr.dora": 2e-4}, 0.71), ({"rank": 16}, 0.8)):
        (job,) = told.propose(
            [Idea(recipe=plan.space.build({**plan.space.default(), **values}), origin="sampler", reason="r")]
        )
        told.run(job, score)
        told.judge(job, told.study.incumbent or "base")
        meet(told, [job])
    standing = told.study.insights.memory[old.id]
    assert (standing.contradicted, standing.confidence) == (1, 0.3)


def test_nobody_asks_how_to_beat_the_best_value_that_there_is() -> None:
    told = story({"score": 1.0}, {"rank": 4, "score": 1.0}, {"rank": 16, "score": 1.0}, {"rank": 32, "score": 0.99})
    (met,) = [one for one in meet(told) if isinstance(one, ev.Reflected)]
    assert met.asked == "" and met.experiment is None
    below = story({"score": 0.9}, *({"rank": rank, "score": 0.9} for rank in (4, 16, 32)))
    assert any(one.asked for one in meet(below) if isinstance(one, ev.Reflected))


def test_who_catches_up_contradicts_that_it_was_beaten() -> None:
    told = story({"score": 0.7}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.81})
    (lesson,) = [one.lesson for one in meet(told) if isinstance(one, ev.Learned)]
    assert lesson.check is not None and lesson.check.rule == "beats"
    plan = told.study.plan
    assert plan is not None
    for rank, score in ((16, 0.75), (32, 0.80)):
        recipe = plan.space.build({**plan.space.default(), "rank": rank})
        (job,) = told.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
        told.run(job, score)
        told.judge(job, "t1")
        events = meet(told, [job])
    (weighed,) = [one for one in events if isinstance(one, ev.Weighed)]
    assert (weighed.lesson, weighed.tag) == (lesson.id, "contradicted")
    assert weighed.why == "lora is not told apart from dora's best (t1)"
    assert any("not told apart" in one.lesson.claim for one in events if isinstance(one, ev.Learned))
    assert told.study.insights.memory[lesson.id].contradicted == 1


def test_near_duplicates_are_not_learned_twice() -> None:
    told = story({"score": 0.7})
    old = recalled(told).lesson
    again = old.model_copy(update={"claim": "dora beats lora by 0.2", "study": "", "evidence": old.evidence[:1]})
    assert duplicate(again, [old]) is old
    turned = {"about": {"adapter": "lora", "other": "dora"}, "rule": "beats"}
    assert duplicate(again.model_copy(update={"check": Check.model_validate(turned)}), [old]) is None
    said = again.model_copy(update={"check": None, "claim": "longer warm-up calms the first steps of dora (t3)"})
    same = said.model_copy(update={"claim": "longer warm-up calms the first steps of dora (t9)"})
    other = said.model_copy(update={"claim": "a constant schedule is as good as any other"})
    assert duplicate(same, [old, said]) is said
    assert duplicate(other, [old, said]) is None


def test_a_lesson_has_an_id_and_says_what_it_is_of_use_for() -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.81})
    lesson = next(one.lesson for one in meet(told) if isinstance(one, ev.Learned))
    assert lesson.id.startswith("l-") and len(lesson.id) == 10
    assert lesson.study == "route-01"
    assert {"format:label", "metric:accuracy", "model:smollm", "adapter:dora"} <= set(lesson.tags)
    assert signed(told.study, lesson).id == lesson.id


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), trials=st.integers(2, 12), winner=st.booleans())
def test_no_lesson_is_made_from_outcomes_later_than_its_claim(seed: int, trials: int, winner: bool) -> None:
    """At the moment of a claim its trials have ended, its numbers hold, and what comes later would not change it."""
    events = [one for one in whole_story(trials=trials, seed=seed, winner=winner).events if one.kind != "learned"]
    study, panel = Study(), Panel(Path("nowhere"))
    before: list[ev.Event] = []
    for one in events:
        study.fold(one)
        before.append(one)
        unscored = isinstance(one, ev.JobEnded) and one.job in study.proposals and study.jobs[one.job].score is None
        if not isinstance(one, ev.Judged) and not unscored:
            continue
        trial = one.verdict.trial if isinstance(one, ev.Judged) else one.job
        met = panel.meet(study, [trial])
        then = Study(before)
        again = panel.meet(then, [trial])
        assert [_timeless(one) for one in met] == [_timeless(one) for one in again]
        for found in met:
            if isinstance(found, ev.Learned):
                assert verify(found.lesson, then) == []
                cited = {fact.trial for fact in found.lesson.evidence}
                assert all(then.jobs[id].ended for id in cited)
            study.fold(found)
            before.append(found)


def _timeless(one: ev.Event) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"at"})
