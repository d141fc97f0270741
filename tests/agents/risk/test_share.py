"""The planner's share of trials: three in ten at most, less after ideas that buy nothing, back after one that does."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stories import Story, planned, space, task

from tunewright.agents.risk.share import MOST, ideas_left, records, share
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.outcome import Paused


def begun(trials: int = 24, **budget: Any) -> Story:
    """A study whose base model scores 0.2, and its sampler's first trials each a little more than nothing."""
    story = Story(space=space(), task=task(), budget=Budget(wall_s=6000, trials=trials, **budget))
    story.launch("base", role="base")
    story.complete("base", 0.2)
    return story


def tried(story: Story, origin: Any, score: float, *, seconds: float = 60.0) -> None:
    """One trial of somebody's, judged against the incumbent."""
    (job,) = story.propose([planned(story, origin=origin)])
    story.launch(job)
    story.complete(job, score, seconds=seconds)
    story.judge(job, story.study.incumbent or "base")


def started(scores: tuple[float, ...] = (0.3, 0.4, 0.5, 0.5, 0.55, 0.55), **budget: Any) -> Story:
    story = begun(**budget)
    for score in scores:
        tried(story, "sampler", score)
    return story


def test_nothing_before_the_samplers_start_up_and_at_most_three_in_ten_after() -> None:
    story = begun()
    for _ in range(6):
        assert ideas_left(story.study) == 0
        tried(story, "sampler", 0.3)
    assert ideas_left(story.study) == 1 and share(story.study) == MOST


def test_ideas_are_spread_and_not_made_up_for_after_the_start_up() -> None:
    story, origins = started(), []
    for _ in range(12):
        origins.append("planner" if ideas_left(story.study) else "sampler")
        tried(story, origins[-1], 0.5)
    turns = [at for at, origin in enumerate(origins) if origin == "planner"]
    assert turns[0] == 0
    assert all(later - turn > 2 for turn, later in itertools.pairwise(turns))


def test_what_waits_at_a_rung_has_cost_and_not_gained() -> None:
    story = started()
    before = share(story.study)
    for _ in range(2):
        (job,) = story.propose([planned(story, origin="planner")])
        story.launch(job)
        outcome = Paused(reason="behind", cost=Cost(wall_s=20.0), waits="promotion")
        story.tell(ev.JobEnded(at=story.tick(20.0), job=job, outcome=outcome))
        assert share(story.study) < before
        before = share(story.study)


def test_ideas_that_buy_nothing_starve_the_planner_and_one_that_does_brings_it_back() -> None:
    story, shares = started(), []
    for turn in range(5):
        shares.append(share(story.study))
        tried(story, "planner", 0.3)
        tried(story, "sampler", 0.6 + 0.04 * turn)
    assert shares == sorted(shares, reverse=True) and shares[-1] < MOST / 3
    before = share(story.study)
    for _ in range(3):
        tried(story, "planner", 0.95)
    assert share(story.study) > before


def test_dear_ideas_have_to_buy_more() -> None:
    cheap, dear = started(), started()
    for story, seconds in ((cheap, 60.0), (dear, 600.0)):
        tried(story, "planner", 0.58, seconds=seconds)
        tried(story, "sampler", 0.66)
    assert share(dear.study) < share(cheap.study)


def test_a_language_models_bill_is_part_of_the_cost() -> None:
    free, paid = started(usd=1.0), started(usd=1.0)
    paid.tell(ev.ModelAsked(at=paid.tick(), role="proposer", model="m", cost=Cost(usd=0.3), valid=True))
    for story in (free, paid):
        tried(story, "planner", 0.58)
        tried(story, "sampler", 0.66)
    assert paid.study.model_cost == Cost(usd=0.3)
    assert records(paid.study)[0].cost > records(free.study)[0].cost
    assert share(paid.study) < share(free.study)


@settings(max_examples=30, deadline=None)
@given(moves=st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0), st.floats(1.0, 900.0)), max_size=20))
def test_it_is_a_share_whatever_happens(moves: list[tuple[bool, float, float]]) -> None:
    story = begun()
    for planner, score, seconds in moves:
        left = ideas_left(story.study)
        assert 0 <= share(story.study) <= MOST and left >= 0
        origin = "planner" if planner and left else "sampler"
        tried(story, origin, score, seconds=seconds)
        own = sum(one.idea.origin == "planner" for one in story.study.proposals.values())
        assert own <= MOST * len(story.study.proposals)
