"""A study that begins from earlier ones: what fits its space, what it gains, what it costs where they mislead."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from tests.stories import Story, play, small_space, space, surface, task

from tunewright.domain.precedent import FoundRecipe, Kin, Precedent, TaskFeatures
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.precedent import earlier, nearest
from tunewright.search.random import RandomStrategy

FEATURES = TaskFeatures(format="label", metric="accuracy", labels=20, rows=1000, model="abc", parameters=1000)


def kin(sign: float = 1.0, likeness: float = 1.0, trials: int = 25) -> Kin:
    """A study of the same surface, or with ``sign`` -1 of its opposite."""
    story = Story(space=space(), task=task())
    ideas = play(story, RandomStrategy(seed=11).ask, trials=trials)
    default = surface(ideas[0].recipe)
    found = tuple(FoundRecipe(recipe=i.recipe, gain=sign * (surface(i.recipe) - default)) for i in ideas)
    return Kin(precedent=Precedent(study="earlier", features=FEATURES, found=found), likeness=likeness)


def begun(*precedents: Kin) -> Story:
    story = Story(space=space(), task=task())
    assert story.study.plan is not None
    story.study.plan = story.study.plan.model_copy(update={"kin": precedents})
    return story


def bests(path: Path, trials: int, *precedents: Kin) -> float:
    found = []
    for seed in range(4):
        story = begun(*precedents)
        play(
            story,
            OptunaStrategy(path / f"{len(precedents)}-{trials}-{seed}", sampler="tree", seed=seed).ask,
            trials=trials,
        )
        best = story.study.best()
        found.append(best.score if best and best.score else 0.0)
    return statistics.fmean(found)


def test_a_sister_study_is_worth_some_trials(tmp_path: Path) -> None:
    assert bests(tmp_path / "warm", 6, kin()) > bests(tmp_path / "cold", 6) + 0.01


def test_a_misleading_one_costs_little(tmp_path: Path) -> None:
    assert bests(tmp_path / "misled", 24, kin(sign=-1.0)) > bests(tmp_path / "cold", 24) - 0.02


def test_the_default_still_comes_first_and_ideas_stay_in_the_space(tmp_path: Path) -> None:
    story = begun(kin(likeness=0.5))
    ideas = play(story, OptunaStrategy(tmp_path / "j", sampler="tree").ask, trials=10, batch=2)
    assert ideas[0].origin == "default"
    assert story.study.plan is not None
    assert all(story.study.plan.space.contains(idea.recipe) for idea in ideas)


def changed(searched: Space, **settings: object) -> Recipe:
    return searched.build({**searched.default(), **settings})


@pytest.mark.parametrize("sources", [("messages",), ("a", "b")])
def test_numbers_are_brought_to_the_nearest_and_other_kinds_are_left_out(sources: tuple[str, ...]) -> None:
    searched = space(sources=sources)
    recipe = changed(space(), **{"lr.lora": 4e-4, "rank": 24})
    found = nearest(recipe, searched)
    assert found is not None and searched.problems(searched.build(found)) == []
    assert found["adapter"] == "lora" and found["lr.lora"] == 4e-4
    only = small_space()
    assert nearest(recipe, only) is not None or "lora" not in str(only)
    none = recipe.model_dump(mode="json")
    none["stages"][0]["adapter"]["kind"] = "ia3-of-another-world"
    assert nearest(Recipe.model_validate(none), searched) is None


def test_each_earlier_study_has_an_origin_of_its_own_and_gains_as_scores() -> None:
    both = (kin(trials=4), kin(trials=3, likeness=0.4))
    found = earlier(both, space())
    assert [one.origin for one in found] == [1] * 4 + [2] * 3
    assert found[0].seen == ((1.0, 0.0),), "the default gains nothing over itself"
    assert all(not one.running and not one.faulty for one in found)
