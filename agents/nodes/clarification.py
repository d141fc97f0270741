"""Waits for a person's answers to what a brief leaves open, or goes on with what is assumed where nobody is there.
``interrupt()`` stands alone here, with nothing billable before it, because LangGraph runs the whole node again when the
study is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tunewright.agents.notebook import Notebook
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.study import Study


def make_clarification(
    notebook: Notebook, attended: bool, recorded: Callable[[Study], Mapping[str, str]] = lambda study: {}
) -> Node:
    """A node that gets the open questions answered.

    Args:
        attended: whether somebody is there who can be asked, by the session and by the review mode. Whoever was asked
            once is waited for in any session.
        recorded: the text of a question -> its answer in the study that is replayed; such a question is put to nobody.
    """

    def clarification(state: State) -> State:
        from langgraph.types import interrupt

        known = recorded(notebook.study)
        for one in notebook.study.doubts.open:
            if one.text in known:
                notebook.record(ev.Clarified(question=one.id, answer=known[one.text], by="recording"))
        study = notebook.study
        due = tuple(one.id for one in study.doubts.open)
        if not attended and not set(due) & set(study.asked):
            for question in due:
                notebook.record(ev.Clarified(question=question, by="policy"))
            return state
        if due:
            if study.asked != due or study.at_work:
                notebook.record(ev.ReviewAsked(targets=due))
            interrupt({"targets": list(due)})
        return state

    return clarification
