"""Calls of language models in the fold: held, settled, lost over a crash, and forgotten when the model changes."""

from __future__ import annotations

from tests.stories import Story, space, task

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost


def told() -> Story:
    return Story(space=space(), task=task())


def asking(story: Story, call: str, tokens: int = 1000) -> None:
    reserved = Cost(llm_tokens=tokens, usd=0.01)
    story.tell(ev.ModelAsking(at=story.tick(), call=call, role="planner", model="m", reserved=reserved))


def asked(story: Story, call: str = "", tokens: int = 100, **more: bool) -> None:
    story.tell(
        ev.ModelAsked(
            at=story.tick(), call=call, role="planner", model="m", cost=Cost(llm_tokens=tokens), valid=True, **more
        )
    )


def tokens(story: Story) -> tuple[int, int]:
    return story.study.spent().llm_tokens, story.study.reserved().llm_tokens


def test_what_is_held_is_given_back_when_it_is_settled() -> None:
    story = told()
    asking(story, "a")
    asking(story, "b")
    assert tokens(story) == (0, 2000) and story.study.reserved().usd == 0.02
    asked(story, "a")
    assert tokens(story) == (100, 1000) and story.study.model_calls == {"planner": 1}
    asked(story, "b", tokens=1000, answered=False)
    assert tokens(story) == (1100, 0) and story.study.model_calls == {"planner": 1}


def test_a_call_that_a_process_died_over_is_spent_when_the_study_is_opened_again() -> None:
    story = told()
    asking(story, "a")
    story.tell(ev.SessionOpened(at=story.tick(), pid=2, host="h"))
    assert tokens(story) == (1000, 0) and story.study.spent().usd == 0.01
    story.tell(ev.SessionOpened(at=story.tick(), pid=3, host="h"))
    assert tokens(story) == (1000, 0), "once"


def test_events_of_older_journals_are_settled_as_ever() -> None:
    story = told()
    old = '{"at": 1.0, "kind": "model-asked", "role": "r", "model": "m", "cost": {"llm_tokens": 7}, "valid": false}'
    story.tell(ev.event.validate_json(old))
    assert tokens(story) == (7, 0) and story.study.model_calls == {"r": 1}


def test_another_model_has_given_no_answers_yet() -> None:
    story = told()
    story.tell(ev.ModelsChosen(at=story.tick(), llm="a", llms={"reflection": "b"}))
    for role in ("planner", "reflection"):
        answer = ev.ModelAsked(at=story.tick(), role=role, model="m", cost=Cost(), valid=True)
        story.tell(answer)
    story.tell(ev.ModelsChosen(at=story.tick(), llm="a", llms={"reflection": "c"}))
    assert story.study.model_calls == {"planner": 1}
    assert story.study.options.model_of("reflection") == "c" and story.study.options.model_of("planner") == "a"
