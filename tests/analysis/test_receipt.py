"""The receipt adds up, pays who proposed a step, and says what a language model cost beside the classical arm."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stories import Story, planned, space, task
from tests.studies import finished

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.study import Study
from tunewright.tools.analysis.receipt import price_lines, receipt, receipt_lines, receipt_rows

ORIGINS = ("sampler", "planner", "reviewer")


def told(*trials: tuple[Any, float], winner: int | None = -1) -> Story:
    """A finished study of trials by origin and score, each a minute long, over a base model of 0.2."""
    story = Story(space=space(), task=task(), budget=Budget(wall_s=9000, trials=40))
    story.launch("base", role="base")
    story.complete("base", 0.2)
    for origin, score in trials:
        (job,) = story.propose([planned(story, origin="sampler" if origin == "reviewer" else origin)], approve=False)
        recipe = story.study.proposals[job].recipe.reseeded(7)
        edit = {"action": "edit", "recipe": recipe} if origin == "reviewer" else {}
        story.decide(job, **edit)  # type: ignore[arg-type]  # the keys are its own
        story.launch(job)
        story.complete(job, score)
    won = f"t{range(len(trials))[winner]}" if winner is not None else None
    story.tell(ev.Finished(at=story.tick(), winner=won, reason="a test"))
    return story


def gains(study: Study) -> dict[str, float]:
    return {one.origin: round(one.gain, 9) for one in receipt(study).parts if one.gain is not None}


def test_each_step_is_its_proposers_and_what_a_parent_had_stays_the_parents() -> None:
    study = told(("default", 0.5), ("sampler", 0.6), ("planner", 0.65), ("reviewer", 0.7), ("planner", 0.72)).study
    assert gains(study) == {"default": 0.3, "sampler": 0.1, "planner": 0.07, "reviewer": 0.05}
    assert receipt(study).gain == pytest.approx(0.52)
    assert receipt_lines(study)[0] == (
        "+0.520 over the base model = default recipe +0.300, sampler +0.100, planner +0.070, reviewer's edits +0.050"
    )


@settings(max_examples=40, deadline=None)
@given(scores=st.lists(st.tuples(st.sampled_from(ORIGINS), st.floats(0.0, 1.0)), min_size=1, max_size=8))
def test_the_parts_add_up_to_the_gain(scores: list[tuple[str, float]]) -> None:
    best = max(range(len(scores)), key=lambda at: scores[at][1])
    study = told(*scores, winner=best).study
    found = receipt(study)
    total = scores[best][1] - 0.2
    if total <= 0:
        return
    assert found.gain == pytest.approx(total)
    assert math.fsum(one.gain or 0 for one in found.parts) == pytest.approx(total)
    assert sum(one.trials for one in found.parts) == len(scores) == sum(int(row[1]) for row in receipt_rows(study))


def test_a_trial_that_a_limit_bars_takes_no_step() -> None:
    story = told(("default", 0.5), ("planner", 0.65), ("sampler", 0.7))
    story.study.barred["t1"] = "too large"
    assert gains(story.study) == {"default": 0.3, "sampler": 0.2, "planner": 0.0}


def test_what_a_language_model_cost_stands_beside_what_it_bought() -> None:
    story = told(("default", 0.5), ("planner", 0.65), ("sampler", 0.6), winner=1)
    story.tell(
        ev.ModelAsked(at=story.tick(), role="proposer", model="m", cost=Cost(llm_tokens=4321, usd=0.02), valid=True)
    )
    assert price_lines(story.study)[0] == "language models cost 4,321 tokens and $0.02 and bought 1 trial, +0.150"
    nothing = told(("default", 0.5))
    nothing.tell(ev.ModelAsked(at=1e9, role="proposer", model="m", cost=Cost(llm_tokens=10), valid=False))
    assert price_lines(nothing.study) == ["language models cost 10 tokens and bought nothing that was run"]


def test_the_classical_arm_is_compared_at_the_same_cost() -> None:
    study = told(
        ("default", 0.5), ("planner", 0.65), ("sampler", 0.6), ("planner", 0.8), ("sampler", 0.7), winner=3
    ).study
    arm = receipt(study).arm
    assert arm is not None and arm.cost_s == pytest.approx(180.0)
    assert (arm.score, arm.together, arm.whole) == (0.7, 0.65, 0.8), "three trials each, then all five"
    assert price_lines(study) == [
        "without planner and reviewer 0.700 after 3:00 of trials; all together 0.650 after as much, 0.800 in the end"
    ]


def test_a_study_of_the_sampler_alone_has_no_price_and_no_arm_and_without_a_winner_there_is_no_split() -> None:
    assert price_lines(told(("default", 0.5), ("sampler", 0.6)).study) == []
    lost = told(("default", 0.1), ("planner", 0.15), winner=None).study
    assert receipt(lost).gain is None and not any("over the base" in line for line in receipt_lines(lost))
    assert [row[-1] for row in receipt_rows(lost)] == ["\N{EN DASH}"] * 2
    assert receipt(finished()).gain == pytest.approx(sum(one.gain or 0 for one in receipt(finished()).parts))
