"""What an idea costs weighs as much as time is short: hand-computed."""

from __future__ import annotations

import pytest
from tests.stories import Story, play, space, task

from tunewright.domain.budget import Budget
from tunewright.search.random import RandomStrategy
from tunewright.search.scarcity import cost_weight


def after(budget: Budget, trials: int = 4) -> Story:
    story = Story(space=space(), task=task(), budget=budget)
    play(story, RandomStrategy(seed=0).ask, trials=trials)
    return story


def test_without_a_cap_on_trials_it_weighs_as_much_as_time_is_left() -> None:
    assert cost_weight(after(Budget(wall_s=10_000), trials=0).study) == pytest.approx(1.0, abs=0.001)
    study = after(Budget(wall_s=10_000)).study
    assert study.plan is not None
    whole = 10_000 - study.plan.keep.wall_s
    assert cost_weight(study) == pytest.approx(1 - study.spent(study.seen_at).wall_s / whole)


def test_without_a_cap_on_time_it_does_not_weigh() -> None:
    assert cost_weight(after(Budget(trials=12)).study) == 0.0


def test_between_the_two_it_is_what_the_trials_left_would_take_of_the_time_left() -> None:
    story = after(Budget(wall_s=10_000, trials=10))
    study = story.study
    assert study.plan is not None
    each = sum(job.settled.wall_s for job in study.trials) / 4
    rest = 10_000 - study.spent(study.seen_at).wall_s - study.plan.keep.wall_s
    warmth = rest / (10_000 - study.plan.keep.wall_s)
    assert cost_weight(study) == pytest.approx(6 * each / rest * warmth)
    assert 0 < cost_weight(study) < 1
    short = after(Budget(wall_s=900, trials=100)).study
    assert short.plan is not None
    assert cost_weight(short) == pytest.approx(1 - short.spent(short.seen_at).wall_s / (900 - short.plan.keep.wall_s))
