"""Reads outcomes and writes lessons. A lesson whose numbers the journal does not bear out is dropped."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.notebook import Notebook
from tunewright.agents.routing import unreflected
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.lesson import Lesson
from tunewright.domain.study import Study


def make_reflection(
    notebook: Notebook, propose: Callable[[Study], list[Lesson]], verify: Callable[[Lesson, Study], list[str]]
) -> Node:
    """``propose`` may be a language model's; ``verify`` is code and says what does not hold."""

    def reflection(state: State) -> State:
        study = notebook.study
        read = tuple(unreflected(study))
        known = {lesson.claim for lesson in study.lessons}
        for lesson in propose(study):
            wrong = verify(lesson, study)
            if wrong:
                notebook.record(ev.Warned(message=f"a lesson was dropped: {wrong[0]}"))
            elif lesson.claim not in known:
                notebook.record(ev.Learned(lesson=lesson))
        notebook.record(ev.Reflected(trials=read))
        return state

    return reflection
