"""A language model says which of two answers is better. What it compares is data, whatever stands in it."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.brains import open_brain
from tunewright.agents.prompt import render
from tunewright.agents.schemas import ComparisonAnswer
from tunewright.domain.budget import Cost
from tunewright.domain.errors import AnswerError
from tunewright.domain.event import ModelAsked
from tunewright.domain.study import Study
from tunewright.tools.preference.annotator import Question, Reply

_ROLE = "annotator"
QUESTION = "Which answer is better?"
_LONGEST = 12_000
"""Characters of a prompt or an answer that are shown."""


def open_comparer(spec: str, *, question: str = QUESTION, asked: int = 0) -> Callable[[Question], Reply]:
    """Asks the language model that ``spec`` names, see ``open_brain``.

    A pair that it has no valid answer for is skipped. What it is asked is not limited by a study's budget.

    Args:
        question: what makes an answer the better one.
        asked: answers that it gave in earlier sessions; a script goes on behind them.

    Raises:
        UsageError: the script cannot be read.
    """
    study, calls = Study(), list[ModelAsked]()
    study.model_calls[_ROLE] = asked
    brain = open_brain(spec, record=calls.append, study=lambda: study)

    def ask(one: Question) -> Reply:
        calls.clear()
        prompt = comparison_prompt(one, question)
        try:
            answer = brain.structured(_ROLE, prompt, ComparisonAnswer)
        except AnswerError as error:
            return Reply("skip", error.message, _sum(calls), len(calls))
        return Reply(answer.better, answer.reason, _sum(calls), len(calls))

    return ask


def comparison_prompt(one: Question, question: str) -> str:
    """The prompt for one pair."""
    shown = {"prompt": one.prompt, "first": one.first, "second": one.second}
    return render("compare", question=question, **{name: _cut(text) for name, text in shown.items()})


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " [...]"


def _sum(calls: list[ModelAsked]) -> Cost:
    return sum((call.cost for call in calls), Cost())
