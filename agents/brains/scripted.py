"""A brain that answers from a file: for tests, examples and talks. It goes through the same checks as a real one.

The file is JSONL, JSON or YAML: entries in the order in which they are given, each with ``role``, ``answer`` (an
object, or text as a model would write it) and, if it shall cost something, ``tokens`` and ``usd``::

    {"role": "planner", "answer": {"model": "tiny", ...}, "tokens": 420}
    {"role": "reflection", "answer": "I would rather not say."}

An entry may call tools in place of an answer, where the role has any; what they return is not looked at::

    {"role": "planner", "calls": [{"name": "history", "arguments": {"trial": "t3"}}], "tokens": 80}

JSON and YAML may also map each role to its list of answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tunewright.agents.brains.account import Account, Intend, Keep, Record, free
from tunewright.agents.brains.dialogue import Heard, Question, ask, converse
from tunewright.agents.brains.guard import Guard
from tunewright.agents.brains.price import Bound
from tunewright.agents.brains.recording import Call, ToolCall, ToolRun, question_hash
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BrainError, UsageError
from tunewright.domain.frozen import Json
from tunewright.domain.tool import Tool

_T = TypeVar("_T", bound=BaseModel)
_HINT = 'each entry is an object such as {"role": "planner", "answer": {...}, "tokens": 100}'


class EntryCall(BaseModel):
    """A scripted call of a tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    arguments: Json = {}
    """An object, or text as a model would write it."""


class Entry(BaseModel):
    """One scripted answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    answer: Json = None
    calls: tuple[EntryCall, ...] = ()
    tokens: int = Field(0, ge=0)
    usd: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if "answer" not in self.model_fields_set and not self.calls:
            raise ValueError("an answer or calls are needed")
        return self


class ScriptedBrain:
    """Gives the script's answers, role by role, each once.

    Args:
        path: the script.
        asked: role -> answers already given before a resume; the script goes on behind them.

    Raises:
        UsageError: the script cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        record: Record,
        guard: Guard = free,
        intend: Intend | None = None,
        keep: Keep | None = None,
        asked: Mapping[str, int] | None = None,
    ) -> None:
        self.name = f"scripted:{Path(path).name}"
        self._account = Account(record, guard, intend, keep)
        self._left: dict[str, list[Entry]] = {}
        for entry in read_script(Path(path)):
            self._left.setdefault(entry.role, []).append(entry)
        for role, count in (asked or {}).items():
            self._left[role] = self._left.get(role, [])[count:]

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        """The script's next answer for ``role`` that fits; at most ``TRIES`` are looked at."""
        return ask(self, role, prompt, schema)

    def converse(self, role: str, prompt: str, schema: type[_T], tools: Sequence[Tool], *, rounds: int = 6) -> _T:
        """The same, after the calls that the script has before it."""
        return converse(self, role, prompt, schema, tools, rounds=rounds)

    def can_call(self, role: str) -> bool:
        """Whether the script's next entry calls something."""
        return bool(self._left.get(role, [])[:1]) and bool(self._left[role][0].calls)

    def say(self, question: Question) -> Heard:
        """The script's next entry for the role."""
        left, role = self._left.get(question.role, []), question.role
        if not left:
            complaint = question.past[-1].said[0] if question.past else ""
            raise BrainError(f"the script has no {'further ' if complaint else ''}answer for '{role}'", complaint)
        held = self._account.hold(role, self.name, Bound(left[0].tokens, left[0].usd))
        entry = left.pop(0)
        text = _written(entry.answer)
        calls = tuple(
            ToolCall(id=f"call_{number}", name=call.name, arguments=_written(call.arguments))
            for number, call in enumerate(entry.calls)
        )
        call = Call(
            question=question_hash(role, self.name, question.prompt),
            role=role,
            model=self.name,
            prompt=question.prompt,
            piece=question.piece.id,
            source=question.piece.source,
            about=question.piece.about,
            said=question.past[-1].said if question.past else (),
            form="tools" if question.tools else "plain",
            text=text,
            calls=calls,
            cost=Cost(llm_tokens=entry.tokens, usd=entry.usd),
        )
        call = call.model_copy(update={"ended": time.time()})

        def settle(valid: bool, ran: tuple[ToolRun, ...]) -> None:
            self._account.settle(held, call.model_copy(update={"valid": valid, "ran": ran}))

        return Heard(text, calls, settle=settle)


def _written(value: Json) -> str:
    """As a model would write it; what is text already, and nothing, stay as they are."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def read_script(path: Path) -> list[Entry]:
    """The entries of a script.

    Raises:
        UsageError: it is missing, or is no script; the message names the entry.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"cannot read the script '{path}': {reason}", "give --llm scripted:FILE") from error
    try:
        if path.suffix in (".yaml", ".yml", ".json"):
            document = yaml.safe_load(text)
        else:
            document = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, yaml.YAMLError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"the script '{path}' cannot be read: {first}", _HINT) from error
    if isinstance(document, dict) and "role" not in document:
        document = [{"role": role, "answer": answer} for role, answers in document.items() for answer in answers or []]
    entries = document if isinstance(document, list) else [document]
    try:
        return [Entry.model_validate(entry) for entry in entries]
    except ValidationError as error:
        one = error.errors()[0]
        raise UsageError(f"the script '{path}' has an entry that does not fit: {one['msg']}", _HINT) from error
