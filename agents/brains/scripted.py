"""A brain that answers from a file: for tests, examples and talks. It goes through the same checks as a real one.

The file is JSONL, JSON or YAML: entries in the order in which they are given, each with ``role``, ``answer`` (an
object, or text as a model would write it) and, if it shall cost something, ``tokens`` and ``usd``::

    {"role": "planner", "answer": {"model": "tiny", ...}, "tokens": 420}
    {"role": "reflection", "answer": "I would rather not say."}

JSON and YAML may also map each role to its list of answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunewright.agents.brains.answer import TRIES, BadAnswerError, fit, parse
from tunewright.agents.brains.guard import Guard
from tunewright.domain.budget import Cost
from tunewright.domain.errors import AnswerError, BrainError, UsageError
from tunewright.domain.event import ModelAsked
from tunewright.domain.frozen import Json

_T = TypeVar("_T", bound=BaseModel)
_HINT = 'each entry is an object such as {"role": "planner", "answer": {...}, "tokens": 100}'


class Entry(BaseModel):
    """One scripted answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    answer: Json
    tokens: int = Field(0, ge=0)
    usd: float = Field(0.0, ge=0)


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
        record: Callable[[ModelAsked], None],
        guard: Guard = lambda tokens, usd: None,
        asked: Mapping[str, int] | None = None,
    ) -> None:
        self.name = f"scripted:{Path(path).name}"
        self._record = record
        self._guard = guard
        self._left: dict[str, list[Entry]] = {}
        for entry in read_script(Path(path)):
            self._left.setdefault(entry.role, []).append(entry)
        for role, count in (asked or {}).items():
            self._left[role] = self._left.get(role, [])[count:]

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        """The script's next answer for ``role`` that fits; at most ``TRIES`` are looked at."""
        complaint = ""
        for _ in range(TRIES):
            left = self._left.get(role, [])
            if not left:
                raise BrainError(f"the script has no {'further ' if complaint else ''}answer for '{role}'", complaint)
            self._guard(left[0].tokens, left[0].usd)
            entry = left.pop(0)
            try:
                answer = parse(entry.answer, schema) if isinstance(entry.answer, str) else fit(entry.answer, schema)
            except BadAnswerError as error:
                complaint = str(error)
                self._tell(role, entry, valid=False)
            else:
                self._tell(role, entry, valid=True)
                return answer
        raise AnswerError(f"no valid answer from {self.name} in {TRIES} tries", complaint)

    def _tell(self, role: str, entry: Entry, *, valid: bool) -> None:
        cost = Cost(llm_tokens=entry.tokens, usd=entry.usd)
        self._record(ModelAsked(role=role, model=self.name, cost=cost, valid=valid))


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
