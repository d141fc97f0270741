"""Lessons: what rules find in outcomes, and which claims code lets stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stories import Story, space, surface, task
from tests.studies import finished

from tunewright.agents.outcome_facts import ended_trials
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.check import verify
from tunewright.agents.reflection.curator import learned
from tunewright.agents.reflection.rules import by_rules
from tunewright.agents.routing import unreflected
from tunewright.domain.event import Learned
from tunewright.domain.lesson import Evidence, Lesson
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study

KIND = "stages.0.adapter.kind"


def story(*runs: dict[str, Any], direction: str = "max", base: float = 0.1) -> Story:
    """A study with one completed or failed trial a run: dimension values, and ``score`` or ``fault``."""
    told = Story(space=space(), task=task(direction=direction))
    told.launch("base", role="base")
    told.complete("base", base, steps=0, total_steps=0)
    plan = told.study.plan
    assert plan is not None
    for number, run in enumerate(runs):
        values = {name: value for name, value in run.items() if name not in ("score", "fault")}
        recipe = plan.space.build({**plan.space.default(), **values})
        origin = "default" if number == 0 else "sampler"
        (job,) = told.propose([Idea.model_validate({"recipe": recipe, "origin": origin, "reason": "r"})])
        if "fault" in run:
            told.launch(job)
            told.fail(job, run["fault"], "as the test wants")
        else:
            told.run(job, run.get("score", surface(recipe)))
            told.judge(job, told.study.incumbent or "base")
    return told


def case(study: Study, *trials: str) -> Case:
    """These trials under discussion; by default those that no reflection has read."""
    return Case(study, Path("nowhere"), trials or tuple(unreflected(study)))


def new_lessons(study: Study) -> list[Lesson]:
    return learned(study, by_rules(study, ended_trials(study)))[0]


def claims(study: Study) -> list[str]:
    lessons = new_lessons(study)
    assert [verify(lesson, study) for lesson in lessons] == [[] for _ in lessons]
    return [lesson.claim for lesson in lessons]


def test_one_adapter_beats_another_with_numbers() -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.81})
    (claim,) = claims(told.study)
    assert claim == "dora beats lora by 0.110, best trial against best: 0.810 (t1) against 0.700 (t0)"


def test_lower_is_better_where_the_metric_says_so() -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.95}, direction="min", base=2.0)
    assert claims(told.study)[0].startswith("lora beats dora by 0.250")


def test_a_difference_within_noise_is_no_win() -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.71})
    assert "not told apart" in claims(told.study)[0]


def test_where_the_best_two_are_alike_the_next_that_is_beaten_is_told_of_too() -> None:
    dora, ia3 = {"adapter": "dora", "lr.dora": 2e-4}, {"adapter": "ia3", "lr.ia3": 3e-3}
    full = {"adapter": "full", "lr.full": 2e-5, "score": 0.3}
    told = story({"score": 0.70}, {**dora, "score": 0.69}, {**ia3, "score": 0.40}, full)
    first, second = claims(told.study)[:2]
    assert first.startswith("lora and dora are not told apart") and second.startswith("lora beats ia3 by 0.300")
    assert not any("full" in claim for claim in claims(told.study)), "more would say little more"


def test_two_trials_are_alike_or_not_and_stay_so() -> None:
    """What was found of a pair item by item does not change with what other trials' scores differ by."""
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.75})
    (first,) = new_lessons(told.study)
    assert first.claim.startswith("dora beats lora by 0.050")
    told.tell(Learned(lesson=first))
    plan = told.study.plan
    assert plan is not None
    for rate in (1e-3, 2e-3, 4e-3):
        recipe = plan.space.build({**plan.space.default(), "adapter": "ia3", "lr.ia3": rate})
        (job,) = told.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
        told.run(job, 0.3)
        told.judge(job, "t1", half=0.2)
    assert not any("not told apart" in claim for claim in claims(told.study))


def test_a_failing_learning_rate_and_a_full_memory_are_learned() -> None:
    told = story(
        {"score": 0.70},
        {"lr.lora": 1.8e-3, "fault": "config"},
        {"adapter": "full", "lr.full": 5e-5, "batch": 32, "fault": "memory"},
    )
    found = claims(told.study)
    assert any("1.8e-3 is too high for lora (t1); 2e-4 held (t0)" in claim for claim in found)
    assert any("full at batch 32 can run out of memory (t2)" in claim for claim in found)


def test_no_learning_rate_is_blamed_if_a_higher_one_held() -> None:
    told = story({"score": 0.70}, {"lr.lora": 4e-4, "fault": "config"}, {"lr.lora": 1e-3, "score": 0.8})
    assert not any("too high" in claim for claim in claims(told.study))


def test_rank_without_effect_and_a_default_that_stands() -> None:
    told = story(*({"rank": rank, "score": 0.70 + 0.002 * i} for i, rank in enumerate((8, 2, 4, 16, 32))))
    found = claims(told.study)
    assert any(claim.startswith("rank made no difference beyond noise for lora") for claim in found)
    assert any("no trial beats the default recipe" in claim for claim in found)


def test_nothing_is_learned_twice() -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.81})
    for lesson in new_lessons(told.study):
        told.tell(Learned(lesson=lesson))
    assert claims(told.study) == []


def test_an_empty_study_teaches_nothing() -> None:
    assert by_rules(Study(), []) == []
    assert claims(story().study) == []


@pytest.mark.parametrize("trials", [1, 4, 9, 14])
def test_every_lesson_of_the_rules_holds_on_whole_studies(trials: int) -> None:
    for seed in range(3):
        claims(finished(trials=trials, seed=seed))
        claims(finished(trials=trials, seed=seed, winner=False))


GOOD = Lesson(
    claim="dora reaches 0.810 (t1), 0.110 above lora (t0)",
    conditions=("1,418 training rows",),
    evidence=(
        Evidence(trial="t1", quantity="score", value=0.81),
        Evidence(trial="t1", quantity=KIND, value="dora"),
        Evidence(trial="t0", quantity="score", value=0.7),
    ),
    supporting=("t1", "t0"),
    confidence=0.6,
)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, None),
        ({"claim": "dora reaches 81 % (t1)"}, None),
        ({"claim": "dora is best by 0.2 (t1)"}, "0.2"),
        ({"claim": "dora reaches 0.9 (t1)"}, "0.9"),
        ({"claim": "dora (t1) beats ia3 (t5)"}, "t5"),
        ({"claim": "dora at r64 is best (t1)"}, "64"),
        ({"conditions": ("5000 training rows",)}, "5000"),
        ({"supporting": ("t1", "t9")}, "t9"),
        ({"supporting": ("t1", "t2")}, "nothing of it is cited"),
        ({"contradicting": ("t1",)}, "at once"),
        ({"evidence": (Evidence(trial="t1", quantity="score", value=0.83),)}, "not 0.83"),
        ({"evidence": (Evidence(trial="t1", quantity=KIND, value="lora"),)}, "not lora"),
        ({"evidence": (Evidence(trial="t1", quantity="stages.0.magic", value=1.0),)}, "has no stages.0.magic"),
        ({"evidence": (Evidence(trial="t2", quantity="score", value=0.5),)}, "has no score"),
        ({"evidence": (Evidence(trial="t7", quantity="score", value=0.5),)}, "no trial 't7'"),
    ],
)
def test_a_lesson_stands_only_on_the_journals_own_numbers(changed: dict[str, Any], says: str | None) -> None:
    told = story({"score": 0.70}, {"adapter": "dora", "lr.dora": 2e-4, "score": 0.81}, {"fault": "config"})
    wrong = verify(GOOD.model_copy(update=changed), told.study)
    if says is None:
        assert wrong == []
    else:
        assert says in " ".join(wrong)


def test_a_trial_that_runs_cannot_be_cited() -> None:
    told = story({"score": 0.70})
    plan = told.study.plan
    assert plan is not None
    recipe = plan.space.build({**plan.space.default(), "rank": 4})
    (job,) = told.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
    told.launch(job)
    lesson = Lesson(
        claim="t1 is small", evidence=(Evidence(trial=job, quantity="stages.0.adapter.r", value=4),),
        supporting=(job,), confidence=0.5,
    )  # fmt: skip
    assert "ended" in verify(lesson, told.study)[0]
