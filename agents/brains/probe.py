"""What a server can do, found out by two tiny questions at the start of a session: some take a JSON schema and ignore
it, some take none, some call no functions, and none says so beforehand.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tunewright.agents.brains.answer import BadAnswerError, parse
from tunewright.agents.brains.dialogue import Heard, Question
from tunewright.agents.brains.litellm import FORMS, LitellmBrain
from tunewright.agents.brains.recording import PROBE
from tunewright.agents.brains.sending import RequestRefusedError
from tunewright.domain.errors import BrainError
from tunewright.domain.event import ModelProbed
from tunewright.domain.tool import Tool

_MOST = 200
"""Tokens of an answer: enough for one that thinks a little."""
_ATTEMPTS = 2
"""A server that was not started for tools is broken each time; one that was only busy is not."""
_PROMPT = "Name a colour and a number from 1 to 9, in JSON."
"""The names of the fields stand in the schema alone: only a server that holds the answer to it gets them right."""
_CALL = "Call the function note with the word: ready"


class _Choice(BaseModel):
    model_config = ConfigDict(title="Choice")
    hue: Literal["red", "green", "blue"]
    size: int = Field(ge=1, le=9)


class _Word(BaseModel):
    word: str


def probe(brain: LitellmBrain) -> ModelProbed:
    """Asks, keeps to what is found, and says it.

    Raises:
        ServerError: the server cannot be reached.
        BudgetError: the budget does not cover it.
    """
    brain.forms = _forms(brain)
    brain.calls_functions = _calls_functions(brain)
    return ModelProbed(model=brain.name, form=brain.forms[0], tools=brain.calls_functions)


def _forms(brain: LitellmBrain) -> list[Literal["schema", "object", "plain"]]:
    """The forms from the strongest one on that holds."""
    question = Question(PROBE, _PROMPT, _Choice)
    for form in FORMS[:-1]:
        try:
            heard = brain.try_form(question, form, most=_MOST)
        except RequestRefusedError:
            continue
        holds = _fits(heard, _Choice)
        heard.settle(holds, ())
        if holds or heard.cut_off:  # one that thinks longer than a probe may says nothing of the form
            return list(FORMS[FORMS.index(form) :])
    return [FORMS[-1]]


def _calls_functions(brain: LitellmBrain) -> bool:
    tool = Tool("note", "Writes a word down.", _Word, lambda arguments: "noted")
    try:
        heard = brain.try_form(Question(PROBE, _CALL, _Word, (tool,)), None, most=_MOST, attempts=_ATTEMPTS)
    except (RequestRefusedError, BrainError):
        return False  # that the model can be asked is known by now; servers say in many ways that they call nothing
    works = any(call.name == tool.name and _fits(Heard(call.arguments), _Word) for call in heard.calls)
    heard.settle(works, ())
    return works or (heard.cut_off and not heard.calls)  # it was thinking; whether it calls is seen when it may


def _fits(heard: Heard, schema: type[BaseModel]) -> bool:
    try:
        parse(heard.text, schema)
    except BadAnswerError:
        return False
    return True
