"""Calls of language models: the events, and which are under way and how many answers each role has had."""

from __future__ import annotations

from typing import Literal

from tunewright.domain.budget import Cost
from tunewright.domain.moment import Moment
from tunewright.domain.options import StudyOptions

AnswerForm = Literal["schema", "object", "plain"]
"""How a structured answer is asked for, the strongest first: a JSON schema that the server enforces, a JSON object with
the schema in the prompt, plain text with the schema in the prompt."""


class ModelsChosen(Moment):
    """A person has given the study other language models; see ``StudyOptions.llm`` and ``llms``."""

    kind: Literal["models-chosen"] = "models-chosen"
    llm: str | None
    llms: dict[str, str] = {}


class ModelProbed(Moment):
    """What a language model's server was found to be able to do, for the rest of the session."""

    kind: Literal["model-probed"] = "model-probed"
    model: str
    form: AnswerForm
    tools: bool
    """Whether functions can be called."""


class ModelAsking(Moment):
    """About to ask a language model: the intent. ``reserved`` is held in the ledger until a ``ModelAsked`` of the same
    call; a session that never wrote one may have been billed all of it."""

    kind: Literal["model-asking"] = "model-asking"
    call: str
    role: str
    model: str
    reserved: Cost


class ModelAsked(Moment):
    """A language model was asked and its cost is settled."""

    kind: Literal["model-asked"] = "model-asked"
    role: str
    model: str
    cost: Cost
    """What it was billed; where that is not known, because no answer arrived, the most that it can have been."""
    valid: bool
    answered: bool = True
    """Whether an answer arrived; where none did, another attempt may follow."""
    call: str = ""
    """Of its ``ModelAsking``; empty if nothing was held for it."""
    record: str = ""
    """Digest of the call in the study's ``calls.jsonl``."""
    prompt: str = ""
    """``NAME@VERSION`` of the prompt's file, where it was made of one."""


class ModelCalls:
    """Kept by ``Study``."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        """Role -> answers its present language model has given, valid or not."""
        self.paid = Cost()
        """For all of them, also those that died with an earlier process."""
        self._held: dict[str, Cost] = {}

    def fold(self, one: ModelAsking | ModelAsked) -> Cost:
        """Takes one event in; what is to be paid for it."""
        match one:
            case ModelAsking():
                self._held[one.call] = one.reserved
                return Cost()
            case ModelAsked():
                self._held.pop(one.call, None)
                self.answers[one.role] = self.answers.get(one.role, 0) + int(one.answered)
                self.paid += one.cost
                return one.cost

    def lost(self) -> Cost:
        """What an earlier process died over may have been billed: all that was held for it is to be paid."""
        lost = self.held
        self.paid += lost
        self._held.clear()
        return lost

    @property
    def held(self) -> Cost:
        """For calls that are under way."""
        return sum(self._held.values(), Cost())

    def changed(self, before: StudyOptions, after: StudyOptions) -> None:
        """Other language models were chosen: a new one has given no answers yet."""
        for role in [role for role in self.answers if before.model_of(role) != after.model_of(role)]:
            del self.answers[role]
