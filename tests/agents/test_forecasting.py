"""What a space is made of where a task has sources of several kinds, and which rows a stage is priced by."""

from __future__ import annotations

import pytest
from tests.stories import Story, planned, space

from tunewright.agents.forecasting import _speed, make_space, rows_by_format, task_rows
from tunewright.agents.opening import opening
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.job_event import Role
from tunewright.domain.outcome import Completed, Failed, Fault, JobResult, Measurement, Outcome, Paused
from tunewright.domain.profile import DataProfile, SourceProfile
from tunewright.domain.proposal import Idea
from tunewright.domain.space import Simplex, Space
from tunewright.domain.study import Study
from tunewright.domain.task import DataSource, Metric, TaskSpec, Wishes
from tunewright.tools.data.rows import Row

SOURCES = {
    "a": DataSource(path="a.jsonl", name="a"),
    "b": DataSource(path="b.jsonl", name="b"),
    "crowd": DataSource(path="crowd.jsonl", name="crowd", measured=False),
    "book": DataSource(path="book.txt", name="book", format="text"),
    "diary": DataSource(path="diary.txt", name="diary", format="text"),
    "pairs": DataSource(path="pairs.jsonl", name="pairs", format="preference"),
    "chats": DataSource(path="chats.jsonl", name="chats", general=True),
}


def task(names: str) -> TaskSpec:
    return TaskSpec(
        model="tiny",
        sources=tuple(SOURCES[name] for name in names.split()),
        format="completion",
        input_field="prompt",
        target_field="completion",
        metric=Metric(name="exact_match"),
    )


def study(names: str, *plans: str, **wishes: object) -> Study:
    story = Story(space=space(), task=task(names))
    understood = next(one for one in story.events if isinstance(one, ev.Understood))
    wished = Wishes.model_validate({"plans": plans, "adapters": ("lora",), **wishes})
    story.tell(understood.model_copy(update={"wishes": wished}))
    return story.study


def mixed(made: Space) -> tuple[tuple[str, ...], str] | None:
    """What is mixed and where."""
    return next(((one.parts, one.path) for one in made.dimensions if isinstance(one, Simplex)), None)


@pytest.mark.parametrize(
    ("names", "plans", "expected"),
    [
        ("a", ("sft",), None),
        ("a book", ("cpt > sft",), None),
        ("a chats", ("sft",), None),
        ("a pairs", ("sft > dpo", "sft"), None),
        ("a b chats book", ("sft",), (("a", "b"), "stages.0.data.weights")),
        ("a crowd", ("sft",), (("a", "crowd"), "stages.0.data.weights")),
        ("a b book diary", ("cpt > sft",), (("a", "b"), "stages.@sft.data.weights")),
        ("a b", ("cpt > sft", "sft"), (("a", "b"), "stages.*.data.weights")),
        ("a b pairs", ("dpo",), None),
    ],
)
def test_what_is_mixed_is_the_sources_of_the_tasks_own_rows(
    names: str, plans: tuple[str, ...], expected: tuple[tuple[str, ...], str] | None
) -> None:
    assert mixed(make_space(study(names, *plans), (1.0,), 1.0)) == expected


def test_a_plan_without_a_stage_to_mix_for_has_no_weights() -> None:
    made = make_space(study("a b pairs", "sft > dpo", "dpo"), (1.0,), 1.0)
    assert mixed(made) == (("a", "b"), "stages.@sft.data.weights")
    recipe = made.build({**made.default(), "mix": [0.25, 0.75]})
    assert [stage.data.weights for stage in recipe.stages] == [(0.25, 0.75), ()]
    alone = made.build(made.default(plan="dpo"))
    assert "mix" not in made.default(plan="dpo") and alone.stages[0].data.weights == ()
    assert made.contains(recipe) and made.contains(alone)


def test_a_policy_of_the_mix_is_of_the_stages_that_it_mixes_for() -> None:
    one = study("a b pairs", "dpo", "sft > dpo", mixes=("temperature", "uniform"))
    made = make_space(one, (1.0,), 1.0)
    after = made.build(made.default(plan="sft > dpo"))
    assert [stage.data.policy.kind for stage in after.stages] == ["temperature", "given"]
    assert made.contains(after) and "mix_policy" not in made.default()
    story = Story(space=made, task=task("a b pairs"))
    story.tell(ev.Understood(at=story.tick(), task=task("a b pairs"), budget=one.budget, wishes=one.wishes))
    story.propose([Idea(recipe=made.build(made.default()), origin="default", reason="the yardstick")])
    assert [idea.recipe.plan for idea in opening(story.study)] == ["sft > dpo"], "the default has no policy to change"


def test_a_trial_is_as_long_as_the_tasks_own_rows_say() -> None:
    profile = DataProfile(
        sources=tuple(
            SourceProfile(name=name, rows=rows) for name, rows in {"a": 90, "crowd": 10, "book": 900}.items()
        ),
        rows=1000,
    )
    one = study("a crowd book", "sft")
    assert one.data is not None
    one.data = one.data.model_copy(update={"train": one.data.train.model_copy(update={"rows": 973})})
    one.profile = profile
    assert task_rows(one) == 63 + 10, "seven tenths of the measured source, and all of the one for training only"
    one.profile = None
    assert task_rows(one) == 973


def test_a_stage_is_priced_by_its_own_rows() -> None:
    rows = [
        Row(id=f"{name}{i}", source=name, input="", target="", meta={})
        for name, count in {"a": 3, "crowd": 2, "book": 5, "chats": 50, "pairs": 4}.items()
        for i in range(count)
    ]
    counted = rows_by_format(task("a crowd book chats pairs"), rows)
    assert counted == {"completion": 5, "text": 5, "preference": 4}


def test_forecasts_learn_from_trials_that_were_paused_first_steps_and_limits_that_were_passed() -> None:
    story = Story(space=space(), task=task("a"))
    story.study.options = story.study.options.model_copy(update={"memory_gib": 4.0})
    measured = Measurement(value=0.5, rows=10, step=0, seconds=1.0)
    done = JobResult(status="done", measurement=measured, eval_s=1.0, peak_memory_gib=1.0)

    def end(job: str, outcome: Outcome, role: Role = "trial", proposal: str | None = None) -> None:
        story.launch(job, role=role, proposal=proposal)
        story.tell(ev.JobEnded(at=story.tick(), job=job, outcome=outcome))

    end("base", Completed(result=done, cost=Cost(wall_s=2.0)), "base")
    story.propose([planned(story)])
    story.propose([planned(story)])
    story.propose([planned(story)])
    half = JobResult(status="paused", steps=5, total_steps=10, train_s=3.0)
    end("t0", Paused(reason="at its rung", waits="promotion", cost=Cost(wall_s=5.0), result=half))
    weighed = JobResult(status="done", steps=2, peak_memory_gib=3.0)
    end("t1-preflight", Completed(result=weighed, cost=Cost(wall_s=1.0)), "preflight", "t1")
    end("t1", Failed(fault=Fault(kind="config", message="NaN"), cost=Cost(wall_s=1.0)))
    end("t2", Failed(fault=Fault(kind="memory", message="killed"), cost=Cost(wall_s=1.0)))
    speed = _speed(story.study)
    assert [(one.share, one.wall_s, one.attempts) for one in speed.trials] == [(0.5, 5.0, 1)]
    recipes = [story.study.recipe_of(id).recipe for id in ("t1", "t2")]
    assert speed.peaks == ((recipes[0], pytest.approx(3.0625)),) and speed.passed == ((recipes[1], 4.0),)
    story.launch("t0", attempt=2)
    shared = done.model_copy(update={"shared_steps": 5, "steps": 10})
    story.tell(ev.JobEnded(at=story.tick(), job="t0", outcome=Completed(result=shared, cost=Cost(wall_s=9.0))))
    assert _speed(story.study).trials == (), "what was given its first stages says nothing of what they cost"
