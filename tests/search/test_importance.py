"""Which settings the score hung on."""

from __future__ import annotations

import pytest
from tests.stories import Story, play, small_space, space, surface, task

from tunewright.domain.recipe import Recipe
from tunewright.search.importance import importance
from tunewright.search.random import RandomStrategy


def played(
    score: object = surface, *, trials: int = 40, sources: tuple[str, ...] = ("one",), direction: str = "max"
) -> Story:
    story = Story(space=space(sources=sources), task=task(direction=direction))
    play(story, RandomStrategy(0).ask, trials=trials, score=score)  # type: ignore[arg-type]  # object for brevity
    return story


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_setting_that_alone_decides_comes_first(direction: str) -> None:
    def by_batch(recipe: Recipe) -> float:
        return float(recipe.stages[0].optimisation.batch_size) + recipe.stages[0].optimisation.lr

    shares = importance(played(by_batch, direction=direction).study)
    assert next(iter(shares)) == "batch"
    assert shares["batch"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_the_parts_of_a_mix_are_one_setting() -> None:
    def by_mix(recipe: Recipe) -> float:
        return recipe.stages[0].data.weights[1]

    shares = importance(played(by_mix, sources=("one", "two", "three"), trials=60).study)
    assert next(iter(shares)) == "mix"
    assert not any("[" in name for name in shares)


def test_each_adapters_learning_rate_is_the_one_setting_lr() -> None:
    """The surface hangs on the learning rate and the adapter, and by nothing on batch and schedule."""
    shares = importance(played(trials=15).study)
    assert list(shares)[:2] == ["lr", "adapter"]
    assert shares.keys() == {"lr", "adapter", "rank", "targets", "epochs", "batch", "schedule"}
    assert shares["batch"] + shares["schedule"] < 0.1


def test_too_few_trials_say_nothing() -> None:
    assert importance(played(trials=5).study) == {}


def test_failed_trials_and_equal_scores_do_no_harm() -> None:
    story = Story(space=small_space(), task=task())
    jobs = story.propose(RandomStrategy(0).ask(story.study, 6))
    for job in jobs[:5]:
        story.run(job, 0.5)
    story.launch(jobs[5])
    story.fail(jobs[5], "config", "the loss is not a number")
    assert importance(story.study) == {}
    assert importance(played(lambda _: 0.5).study) == {}, "nothing varies, so nothing explains it"
