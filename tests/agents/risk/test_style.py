"""The style follows budget and drawdown, does not flicker, and is the user's where they say so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.stories import Story, planned, space, task

from tunewright.agents.risk.style import BAND, STUCK, budget_left, change_of_style, drawdown, next_style, style_of
from tunewright.domain.budget import Budget
from tunewright.domain.event import Style
from tunewright.domain.study import Study

STYLES = st.sampled_from(["explore", "balanced", "exploit"])


@given(now=STYLES, left=st.floats(0, 1), drawn=st.integers(0, 40))
def test_the_same_facts_keep_a_style_and_little_less_does_too(now: Style, left: float, drawn: int) -> None:
    style = next_style(now, left, drawn)
    assert next_style(style, left, drawn) == style
    there = next_style(style, left - BAND / 2, drawn)
    assert next_style(there, left, drawn) == there, "it would flicker"


@given(now=STYLES, left=st.floats(0, 0.25), drawn=st.integers(0, 40))
def test_what_is_nearly_spent_is_exploited_however_stuck(now: Style, left: float, drawn: int) -> None:
    assert next_style(now, left, drawn) == "exploit"


def test_a_study_explores_then_settles_then_explores_again_when_stuck_then_exploits() -> None:
    story = Story(space=space(), task=task(), budget=Budget(trials=40))
    story.launch("base", role="base")
    story.complete("base", 0.1)
    styles: list[Style] = []
    for trial in range(40):
        change = change_of_style(story.study)
        if change is not None:
            story.tell(change)
            styles.append(change.style)
            assert "% of the budget is left" in change.reason
        assert change_of_style(story.study) is None, "it is told once"
        (job,) = story.propose([planned(story)])
        story.launch(job)
        story.complete(job, 0.2 + (0.04 * trial if trial <= 20 else 0.7))
        story.judge(job, story.study.incumbent or "base")
    assert styles == ["explore", "balanced", "explore", "exploit"]
    assert drawdown(story.study) > STUCK and budget_left(story.study) == 0
    assert style_of(Study(story.events)) == "exploit"


def test_a_style_that_the_user_set_stays() -> None:
    story = Story(space=space(), task=task())
    story.study.options = story.study.options.model_copy(update={"style": "exploit"})
    assert change_of_style(story.study) is None and style_of(story.study) == "exploit"
