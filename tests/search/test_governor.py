"""A search ends early where nothing is left that could be told from noise, and only where it may."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stories import Story, play, space, surface, task

from tunewright.domain.budget import Budget
from tunewright.domain.event import StudyOptions
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes
from tunewright.search.governor import LEAST_TRIALS, Governor, Outlook, due, noise_of
from tunewright.search.optuna import OptunaStrategy


def searched(folder: Path, trials: int, score: Callable[[Recipe], float], *, budget: Budget | None = None) -> Story:
    story = Story(space=space(), task=task(), budget=budget or Budget(wall_s=10_000, trials=40))
    play(story, OptunaStrategy(folder / "optuna.journal", sampler="tree").ask, trials=trials, score=score)
    for one in story.study.trials[1:]:
        story.judge(one.id, "t0")
    return story


def level(recipe: Recipe) -> float:
    """All recipes alike but for luck."""
    return 0.7 + random.Random(recipe.fingerprint).gauss(0, 0.002)


def test_where_all_recipes_are_alike_it_ends_and_says_what_is_left_and_what_noise_is(tmp_path: Path) -> None:
    story = searched(tmp_path, 32, level)
    reason = Governor().ends(story.study)
    assert reason == Governor().ends(Study(story.events)), "of the journal alone"
    assert "with 20 % of the budget left" in reason and "accuracy" in reason
    assert "a difference has a standard error of 0.015" in reason
    outlook = Governor().outlook(story.study)
    assert outlook is not None and outlook.ideas == 8 and outlook.total < outlook.noise
    early = searched(tmp_path / "early", LEAST_TRIALS - 1, level)
    assert Governor().ends(early.study) == "", "too few trials to say so"


def test_where_something_is_left_to_find_it_goes_on(tmp_path: Path) -> None:
    story = searched(tmp_path, 12, surface)
    outlook = Governor().outlook(story.study)
    assert outlook is not None and outlook.total > outlook.noise
    assert Governor().ends(story.study) == ""


def test_where_there_is_nothing_better_it_ends_and_says_who_has_it(tmp_path: Path) -> None:
    story = searched(tmp_path, 12, lambda recipe: 1.0 if (found := surface(recipe)) > 0.7 else found / 2)
    top = max(story.study.trials, key=lambda one: one.score or 0.0)
    low = min(story.study.trials, key=lambda one: one.score or 0.0)
    story.judge(low.id, low.id)
    assert top.score == 1.0 and Governor().ends(story.study) == ""
    governor = Governor(best={"accuracy": 1.0}.get)
    assert governor.ends(story.study) == "", "what is better than the incumbent may yet become it"
    assert story.judge(top.id, low.id) == top.id
    assert f"{top.id} has the best accuracy that there is" in governor.ends(story.study)
    assert Governor(best={"accuracy": 1.1}.get).ends(story.study) == ""
    assert Governor(best=lambda metric: None).ends(story.study) == ""


def test_it_is_not_asked_where_the_brief_or_the_user_wants_every_trial(tmp_path: Path) -> None:
    study = searched(tmp_path, 12, level).study
    assert due(study)
    study.wishes = Wishes(every_trial=True)
    assert not due(study) and Governor().ends(study) == ""
    study.wishes, study.options = Wishes(), StudyOptions(early_end=False)
    assert not due(study)


def test_noise_is_the_middle_verdicts_and_before_there_are_any_that_of_a_score(tmp_path: Path) -> None:
    story = Story(space=space(), task=task())
    assert noise_of(story.study) is None
    play(story, OptunaStrategy(tmp_path / "optuna.journal", sampler="random").ask, trials=3)
    alone = noise_of(story.study)
    assert alone is not None and 0.01 < alone < 0.04
    story.judge("t1", "t0", half=0.05)
    assert noise_of(story.study) == pytest.approx(0.05 / 1.96)


def test_what_is_left_is_never_more_than_all_ideas_or_than_knowing_everything() -> None:
    assert Outlook(gain=0.01, ideas=30, ceiling=0.05, noise=0.02).total == 0.05
    assert Outlook(gain=0.001, ideas=3, ceiling=0.05, noise=0.02).total == pytest.approx(0.003)
