"""What every strategy must do. Subclass ``StrategySuite`` and give ``make``: a factory of fresh strategies.

Each call of the factory must give a strategy that remembers nothing of the others, files included.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.stories import Story, play, small_space, space, surface, task

from tunewright.domain.proposal import Idea
from tunewright.domain.protocols import Strategy
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.search.random import RandomStrategy

Make = Callable[[], Strategy]


def begun(searched: Space | None = None, *, direction: str = "max", seed: int = 0) -> Story:
    """A study whose plan is approved and which has no proposal yet."""
    return Story(space=searched or space(), task=task(direction=direction), seed=seed)


def fingerprints(ideas: list[Idea]) -> list[str]:
    return [idea.recipe.fingerprint for idea in ideas]


class StrategySuite:
    """The contract of ``Strategy``, and what a person expects of it."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError

    def test_the_default_comes_first_and_says_so(self, make: Make) -> None:
        story = begun(seed=7)
        first = make().ask(story.study, 1)
        assert [idea.origin for idea in first] == ["default"]
        assert story.study.plan is not None
        assert first[0].recipe == story.study.plan.space.build(story.study.plan.space.default()).reseeded(7)

    def test_the_default_comes_once(self, make: Make) -> None:
        story, strategy = begun(), make()
        ideas = play(story, strategy.ask, trials=12, batch=3)
        assert [idea.origin for idea in ideas].count("default") == 1
        default = ideas[0].recipe.fingerprint
        assert default not in fingerprints(ideas[1:])

    @pytest.mark.parametrize("sources", [("one",), ("one", "two", "three")])
    def test_every_idea_is_inside_the_space_with_the_plans_seed_and_a_reason(
        self, make: Make, sources: tuple[str, ...]
    ) -> None:
        story, strategy = begun(space(sources=sources), seed=3), make()
        for idea in play(story, strategy.ask, trials=25, batch=2):
            assert story.study.plan is not None
            assert story.study.plan.space.problems(idea.recipe) == []
            assert idea.recipe.seed == 3
            assert idea.reason.strip()
            assert idea.parent is None or idea.parent in story.study.jobs

    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_no_more_ideas_than_asked_for(self, make: Make, count: int) -> None:
        assert len(make().ask(begun().study, count)) == count

    def test_asking_twice_gives_the_same_ideas(self, make: Make) -> None:
        story, strategy = begun(), make()
        assert strategy.ask(story.study, 3) == strategy.ask(story.study, 3)
        play(story, strategy.ask, trials=15, batch=2)
        again = [strategy.ask(story.study, 3) for _ in range(3)]
        assert again[0] == again[1] == again[2]
        story.propose(again[0])
        assert not set(fingerprints(strategy.ask(story.study, 3))) & set(fingerprints(again[0]))

    def test_fewer_or_more_asked_for_are_the_same_first_ideas(self, make: Make) -> None:
        story, strategy = begun(), make()
        play(story, strategy.ask, trials=8)
        three = strategy.ask(story.study, 3)
        assert strategy.ask(story.study, 1) == three[:1]
        assert strategy.ask(story.study, 4)[:3] == three

    def test_no_recipe_is_proposed_twice(self, make: Make) -> None:
        ideas = play(begun(), make().ask, trials=40, batch=4)
        assert len(set(fingerprints(ideas))) == 40

    @pytest.mark.parametrize("played", [1, 6, 17])
    def test_rebuilt_from_the_events_it_has_the_same_ideas(self, make: Make, played: int) -> None:
        story, strategy = begun(), make()
        play(story, strategy.ask, trials=played, batch=2)
        running, _ = story.propose(strategy.ask(story.study, 2))
        story.launch(running)
        story.measure(running, 25, 0.4)
        assert make().ask(Study(story.events), 3) == strategy.ask(story.study, 3)

    def test_rebuilt_with_other_peoples_ideas_in_between_it_has_the_same_ideas(self, make: Make) -> None:
        story, strategy = begun(), make()
        play(story, strategy.ask, trials=10)
        for _ in range(3):
            ideas = strategy.ask(story.study, 2)
            planned = Idea(recipe=planners(story, len(story.study.proposals)), origin="planner", reason="h1")
            for job in story.propose([ideas[0], planned, ideas[1]]):
                story.run(job, surface(story.study.proposals[job].recipe))
        assert make().ask(Study(story.events), 2) == strategy.ask(story.study, 2)

    def test_it_goes_on_after_rejections_edits_prunings_and_faults(self, make: Make) -> None:
        story, strategy = begun(), make()
        play(story, strategy.ask, trials=6)
        for mishap in (rejected, edited, pruned, out_of_memory, machine_lost, not_a_number, paused):
            (idea,) = strategy.ask(story.study, 1)
            (job,) = story.propose([idea], approve=False)
            mishap(story, job)
        after = play(story, strategy.ask, trials=6)
        assert len(after) == 6
        before = [proposal.recipe.fingerprint for proposal in story.study.proposals.values()]
        assert len(set(before)) == len(before)
        assert make().ask(Study(story.events), 1) == strategy.ask(story.study, 1)

    def test_what_a_reviewer_made_of_an_idea_is_not_proposed_again(self, make: Make) -> None:
        story, strategy = begun(small_space()), make()
        assert story.study.plan is not None
        searched = story.study.plan.space
        (job,) = story.propose(strategy.ask(story.study, 1), approve=False)
        story.decide(job, action="edit", recipe=searched.build({"adapter": "full"}))
        story.run(job, 0.5)
        rest = play(story, strategy.ask, trials=10)
        assert len(rest) == 4, "six points, one proposed and another run in its place"

    def test_a_small_space_is_walked_to_its_end_and_then_there_are_no_ideas(self, make: Make) -> None:
        story, strategy = begun(small_space()), make()
        ideas = play(story, strategy.ask, trials=20, batch=4)
        assert len(set(fingerprints(ideas))) == len(ideas) == 6
        assert strategy.ask(story.study, 3) == []

    def test_three_hundred_trials_later_its_ideas_are_still_new(self, make: Make) -> None:
        story, strategy = begun(), make()
        play(story, strategy.ask, trials=5)
        play(story, RandomStrategy(seed=1).ask, trials=300)
        late = play(story, strategy.ask, trials=20)
        assert len({idea.recipe.fingerprint for idea in late}) == 20

    @pytest.mark.parametrize("direction", ["max", "min"])
    def test_it_finds_better_than_the_default(self, make: Make, direction: str) -> None:
        sign = 1 if direction == "max" else -1
        story = begun(direction=direction)
        ideas = play(story, make().ask, trials=40, score=lambda recipe: sign * surface(recipe))
        best = max(surface(idea.recipe) for idea in ideas)
        assert best > surface(ideas[0].recipe) + 0.04
        top = story.study.best()
        assert top is not None and top.score == sign * best


def planners(story: Story, number: int) -> Recipe:
    """A recipe as a planner would propose it, another one for each number."""
    assert story.study.plan is not None
    searched = story.study.plan.space
    return searched.build({**searched.default(), "lr.lora": 1e-4 * (1 + 0.1 * number)})


def rejected(story: Story, job: str) -> None:
    story.decide(job, action="reject", reason="too slow")


def edited(story: Story, job: str) -> None:
    story.decide(job, action="edit", reason="a standard value", recipe=planners(story, 70))
    story.run(job, 0.7)


def pruned(story: Story, job: str) -> None:
    story.decide(job)
    story.launch(job)
    story.measure(job, 25, 0.2)
    story.prune(job)


def out_of_memory(story: Story, job: str) -> None:
    story.decide(job)
    story.launch(job)
    story.fail(job, "memory", "7.9 of 6.0 GiB")


def machine_lost(story: Story, job: str) -> None:
    """An infra fault, tried again and completed."""
    story.decide(job)
    story.launch(job)
    story.fail(job, "infra", "the engine went away")
    story.launch(job, attempt=2)
    story.complete(job, 0.6)


def not_a_number(story: Story, job: str) -> None:
    story.decide(job)
    story.launch(job)
    story.measure(job, 25, float("nan"))
    story.complete(job, float("nan"))


def paused(story: Story, job: str) -> None:
    """Approved, launched and still at it."""
    story.decide(job)
    story.launch(job)
