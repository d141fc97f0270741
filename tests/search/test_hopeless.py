"""What is surely worse than the best trial is called hopeless, and nothing before enough is known."""

from __future__ import annotations

from tests.conformance.scheduler import begun
from tests.stories import Story, play, surface

from tunewright.domain.recipe import Recipe
from tunewright.search.expecting import Expecting
from tunewright.search.hopeless import CHANCE, LEAST, Hopeless
from tunewright.search.random import RandomStrategy


def played(trials: int) -> Story:
    """Random trials, the best of them the incumbent."""
    story = begun(trials=60)
    play(story, RandomStrategy(seed=3).ask, trials=trials)
    best = story.study.best()
    assert best is not None
    story.judge(best.id, against="t0")
    return story


def fresh(story: Story) -> list[Recipe]:
    run = {proposal.recipe.fingerprint for proposal in story.study.proposals.values()}
    recipes = [idea.recipe for idea in RandomStrategy(seed=5).ask(begun(trials=60).study, 40)]
    return [one for one in recipes if one.fingerprint not in run]


def test_what_is_called_hopeless_does_not_win_and_the_reason_names_the_best_trial() -> None:
    story, hopeless = played(24), Hopeless()
    best = story.study.jobs[story.study.incumbent or ""]
    assert best.score is not None
    said = {recipe: hopeless(story.study, recipe) for recipe in fresh(story)}
    dropped = [recipe for recipe, reason in said.items() if reason]
    assert 3 <= len(dropped) < len(said)
    assert not any(surface(recipe) > best.score for recipe in dropped)
    assert all(best.id in reason and "worse" in reason for reason in said.values() if reason)
    top = max(said, key=surface)
    (hope,) = Expecting()(story.study, [top], best.score)
    assert hope is not None and (hope.chance >= CHANCE) is (said[top] is None)


def test_nothing_is_hopeless_before_enough_trials_have_ended() -> None:
    story, hopeless = played(LEAST - 1), Hopeless()
    assert [hopeless(story.study, recipe) for recipe in fresh(story)[:5]] == [None] * 5
