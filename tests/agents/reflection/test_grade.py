"""The outcome grader: what a trial is held against, and that nothing later changes its grade."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stories import Story, space, task
from tests.studies import told

from tunewright.agents.reflection.grade import Grade, grade, grades, weighted_hit
from tunewright.domain import event as ev
from tunewright.domain.job import TrialSpec
from tunewright.domain.proposal import Hope, Hypothesis, Idea, Refutation
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study


def begun(direction: str = "max", base: float = 0.1) -> Story:
    story = Story(space=space(), task=task(direction=direction))
    story.launch("base", role="base")
    story.complete("base", base, steps=0, total_steps=0)
    return story


def recipe(story: Story, **values: Any) -> Recipe:
    assert story.study.plan is not None
    found = story.study.plan.space
    return found.build({**found.default(), **values})


def propose(story: Story, *, lr: float = 2e-4, **idea: Any) -> str:
    made = {"recipe": recipe(story, **{"lr.lora": lr}), "origin": "sampler", "reason": "r", **idea}
    return story.propose([Idea.model_validate(made)])[0]


def test_a_trial_is_held_against_the_incumbent_of_its_own_end() -> None:
    story = begun()
    first = propose(story)
    story.run(first, 0.6)
    story.judge(first, "base")
    second = propose(story, lr=4e-4)
    story.run(second, 0.7)
    assert grade(story.study, second).against == "t0"
    assert grade(story.study, second).gain == pytest.approx(0.1)
    assert grade(story.study, second).gained
    story.judge(second, "t0")
    assert grade(story.study, second).against == "t0"


def test_less_is_better_where_the_metric_says_so() -> None:
    story = begun("min", base=2.0)
    (trial,) = [propose(story)]
    story.run(trial, 1.5)
    assert grade(story.study, trial).gain == pytest.approx(0.5)
    assert "overfitted" in grade(story.study, trial).troubles  # its rungs were at 0.9 and 1.275


@pytest.mark.parametrize(
    ("fault", "message", "trouble"),
    [
        ("config", "the loss is nan at step 1: try a lower learning rate", "diverged"),
        ("config", "the recipe trains no parameter", "config"),
        ("memory", "7.9 of 6.0 GiB", "memory"),
        ("infra", "the engine is gone", "infra"),
    ],
)
def test_a_fault_is_the_trouble(fault: Any, message: str, trouble: str) -> None:
    story = begun()
    trial = propose(story)
    story.launch(trial)
    story.fail(trial, fault, message)
    found = grade(story.study, trial)
    assert found.troubles == (trouble,)
    assert found.gain is None
    assert found.lost == (trouble != "infra")


def test_curves_tell_overfitting_from_a_run_that_was_too_short() -> None:
    story = begun()
    over, short, flat = (propose(story, lr=lr) for lr in (2e-4, 3e-4, 4e-4))
    for trial, rungs, end in ((over, (0.5, 0.8), 0.6), (short, (0.2, 0.4), 0.7), (flat, (0.5, 0.59), 0.6)):
        story.launch(trial)
        for step, value in zip((25, 75), rungs, strict=True):
            story.measure(trial, step, value)
        story.complete(trial, end)
        story.judge(trial, "base")
    assert grade(story.study, over).trouble == "overfitted"
    assert grade(story.study, short).trouble == "rising"
    assert grade(story.study, flat).troubles == ("no gain",)


def test_worse_than_the_untouched_model() -> None:
    story = begun(base=0.6)
    trial = propose(story)
    story.run(trial, 0.3)
    assert grade(story.study, trial).troubles[:1] == ("below base",)


def test_the_share_is_of_the_scarcest_currency() -> None:
    story = begun()
    trial = propose(story)
    story.run(trial, 0.5, seconds=900.0)
    found = grade(story.study, trial)
    assert story.study.budget is not None
    caps = {name: getattr(story.study.budget, name) for name in ("wall_s", "trials")}
    assert found.share == pytest.approx(max(900 / caps["wall_s"], 1 / caps["trials"] if caps["trials"] else 0))


def test_a_hypothesis_is_put_to_the_test() -> None:
    story = begun()
    first = propose(story)
    story.run(first, 0.6)
    story.judge(first, "base")

    def ask(condition: Refutation, score: float, lr: float) -> bool | None:
        trial = propose(story, lr=lr, hypothesis=Hypothesis(claim="a higher rate helps", refuted_if=condition))
        story.run(trial, score)
        return grade(story.study, trial).refuted

    gain = Refutation(quantity="gain", relation="<", value=0.02, trial="t0")
    assert ask(gain, 0.61, 3e-4) is True
    assert ask(gain, 0.63, 4e-4) is False
    assert ask(Refutation(quantity="score", relation="<=", value=0.5), 0.5, 5e-4) is True
    assert ask(Refutation(quantity="adapter_bytes", relation=">", value=1.0, trial="t0"), 0.5, 6e-4) is False
    assert ask(Refutation(quantity="gain", relation="<", value=0.0, trial="t77"), 0.5, 7e-4) is None
    assert ask(Refutation(quantity="nonsense", relation="<", value=0.0), 0.5, 8e-4) is None


def test_a_forecast_is_graded() -> None:
    story = begun()
    first = propose(story, hope=Hope(gain=0.1, chance=0.8, by="rules"))
    story.run(first, 0.7)
    story.judge(first, "base")
    failed = propose(story, lr=9e-4, hope=Hope(gain=0.1, chance=0.8, by="rules"))
    story.launch(failed)
    story.fail(failed, "config", "the loss is nan at step 3")
    assert grade(story.study, first).hit == pytest.approx(0.8, abs=0.01)
    assert grade(story.study, failed).hit == -0.8


@given(
    hope=st.builds(Hope, gain=st.floats(-1, 1), chance=st.floats(0, 1), by=st.just("rules")),
    gain=st.floats(-10, 10),
    eps=st.floats(0, 1),
)
def test_a_hit_is_bounded_by_its_chance_and_has_the_sign_of_being_right(hope: Hope, gain: float, eps: float) -> None:
    weight = weighted_hit(hope, gain, eps)
    p = hope.chance if hope.gain > 0 else 1 - hope.chance
    assert math.isfinite(weight)
    assert abs(weight) <= p
    if (hope.gain > 0) == (gain > 0):
        assert weight >= 0
    else:
        assert weight <= 0


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), trials=st.integers(1, 14), winner=st.booleans())
def test_no_grade_looks_ahead(seed: int, trials: int, winner: bool) -> None:
    """A trial's grade at its verdict is its grade for ever; at its end, but for the verdict."""
    events = told(trials=trials, seed=seed, winner=winner).events
    study, sofar = Study(events), Study()
    whole = {one.trial: one for one in grades(study)}
    left = set(whole)
    for one in events:
        sofar.fold(one)
        match one:
            case ev.JobEnded(job=trial) if trial in whole and sofar.jobs[trial].ended:
                then = grade(sofar, trial)
                assert without_verdict(then) == without_verdict(whole[trial])
                assert then in grades(sofar)
                left -= {trial} - study.judged
            case ev.Judged(verdict=verdict) if verdict.trial in whole:
                assert whole[verdict.trial] in grades(sofar)
                left.discard(verdict.trial)
    assert not left


def without_verdict(found: Grade) -> Grade:
    return replace(found, answer=None, troubles=tuple(one for one in found.troubles if one != "no gain"))


def test_the_verdict_item_by_item_counts_and_not_what_scores_had_to_differ_by_before() -> None:
    """Two good models are wrong on the same items: less tells them apart than a good one from the untouched model."""
    story = begun()
    first = propose(story)
    story.run(first, 0.5)
    story.judge(first, "base", half=0.2)
    second = propose(story, lr=4e-4)
    story.run(second, 0.6)
    before = grade(story.study, second)
    assert not before.gained and before.trouble == "no gain"
    story.judge(second, "t0", half=0.07)
    after = grade(story.study, second)
    assert after.gained and not after.troubles
    assert after.says(cost=False).startswith("+0.100 over t0, better item by item")
    third = propose(story, lr=8e-4)
    story.run(third, 0.55)
    story.judge(third, "t1", half=0.04)
    assert grade(story.study, third).lost
    assert replace(after, troubles=("diverged",), answer="undecided").lost, "by its own fault, whatever the items say"


def test_an_old_journal_loads_and_a_binding_does_not_hang_on_what_is_hoped() -> None:
    story = begun()
    made = recipe(story)
    plain = Idea(recipe=made, origin="planner", reason="r")
    assert plain.hope is plain.hypothesis is None
    assert Idea.model_validate({"recipe": made, "origin": "planner", "reason": "r"}).cites == ()
    hoping = plain.model_copy(update={"hope": Hope(gain=1.0, chance=0.5, by="rules"), "cites": ("l-00000000",)})
    assert hoping.recipe.fingerprint == plain.recipe.fingerprint
    assert not {"idea", "hope", "hypothesis", "cites"} & set(TrialSpec.model_fields), "a binding is the specification's"
