"""A model whose ideas are all dropped is not asked in every round for more of the same."""

from __future__ import annotations

from pathlib import Path

from tests.agents.test_proposing import ask, batch, idea, told

from tunewright.agents.advice.turns import PATIENCE, ideas_due, planner_ideas
from tunewright.domain.proposal import Idea


def test_after_an_answer_in_vain_some_trials_end_before_the_next_question(tmp_path: Path) -> None:
    story = told(4)
    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3), idea(lr=2e-3)))[0])
    assert planner_ideas(story.study, drop=story.tell, hopeless=lambda study, recipe: "it is worse") == []
    assert len(story.study.stock.dropped) == 2
    waited = 0
    for number in range(PATIENCE + 1):
        if ideas_due(story.study):
            break
        waited += 1
        recipe = story.study.proposals["t0"].recipe.reseeded(number)
        (job,) = story.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
        story.run(job, 0.3)
    assert waited == PATIENCE
