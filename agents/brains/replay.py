"""A brain that answers offline from a study's recording: the same questions get the same answers, and the same study
goes the same way. What an answer cost then counts against the budget now, though nobody is paid: decisions that follow
from what is left of it come out as they did.

A question is looked for by its role and its prompt; where no recorded one has that prompt, the next of the role is
taken, since prompts may name what differs between two machines.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from tunewright.agents.brains.account import Account, Intend, Keep, Record, free
from tunewright.agents.brains.dialogue import Heard, Question, ask, converse
from tunewright.agents.brains.guard import Guard
from tunewright.agents.brains.price import Bound
from tunewright.agents.brains.recording import PROBE, Call, ToolRun, question_hash, read_recording
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BrainError
from tunewright.domain.tool import Tool

_T = TypeVar("_T", bound=BaseModel)


@dataclass
class _Asked:
    """One recorded question with all that came of it, oldest first."""

    calls: list[Call] = field(default_factory=list)
    at: int = 0

    @property
    def tools(self) -> bool:
        return self.calls[0].form == "tools"


class ReplayBrain:
    """Gives a recording's answers, each once.

    Args:
        path: a study's folder, or its ``calls.jsonl``.
        asked: role -> answers already given before a resume; the recording goes on behind them.

    Raises:
        UsageError: there is no recording.
    """

    def __init__(
        self,
        path: Path,
        *,
        record: Record,
        guard: Guard = free,
        intend: Intend | None = None,
        keep: Keep | None = None,
        asked: Mapping[str, int] | None = None,
    ) -> None:
        self.name = f"replay:{path.name}"
        self._account = Account(record, guard, intend, keep)
        calls = read_recording(path)
        self._left = _questions(calls)
        self._now: dict[str, _Asked] = {}
        self._probes = [call for call in calls if call.role == PROBE][(asked or {}).get(PROBE, 0) :]
        for role, count in (asked or {}).items():
            self._left[role] = _behind(self._left.get(role, []), count)

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        """The recorded answer."""
        return ask(self, role, prompt, schema)

    def converse(self, role: str, prompt: str, schema: type[_T], tools: Sequence[Tool], *, rounds: int = 6) -> _T:
        """The recorded answer, after the recorded calls, which are run anew."""
        return converse(self, role, prompt, schema, tools, rounds=rounds)

    def can_call(self, role: str) -> bool:
        return any(one.tools for one in self._left.get(role, []))

    def say(self, question: Question) -> Heard:
        """The recording's answer.

        Raises:
            BrainError: it has none.
        """
        one = self._now.get(question.role) if question.past else self._recorded(question)
        while one is not None and one.at < len(one.calls):
            call = one.calls[one.at]
            self._pay_probes(call.at)
            held = self._account.hold(call.role, call.model, Bound(call.cost.llm_tokens, call.cost.usd))
            call = _now(call).model_copy(update={"piece": question.piece.id, "about": question.piece.about})
            one.at += 1
            self._begin(question.role, one)
            if call.answered:
                return Heard(call.text, call.calls, call.cut_off, partial(self._settle, held, call))
            if call.cost == Cost():
                self._account.note(call)
            else:
                self._account.settle(held, call)
        raise BrainError(f"{self.name} has no {'further ' if question.past else ''}answer for '{question.role}'")

    def _pay_probes(self, until: float) -> None:
        """What was found out of the server before this is nothing to be answered, but it was paid."""
        while self._probes and self._probes[0].at <= until:
            probe = self._probes.pop(0)
            held = self._account.hold(probe.role, probe.model, Bound(probe.cost.llm_tokens, probe.cost.usd))
            self._account.settle(held, _now(probe))

    def _settle(self, held: str, call: Call, valid: bool, ran: tuple[ToolRun, ...]) -> None:
        self._account.settle(held, call.model_copy(update={"valid": valid, "ran": ran}))

    def _recorded(self, question: Question) -> _Asked | None:
        """The recorded question that stands for this one."""
        left = [one for one in self._left.get(question.role, []) if one.tools == bool(question.tools)]
        same = [one for one in left if one.calls[0].question == _hash(question, one.calls[0])]
        return next(iter(same or left), None)

    def _begin(self, role: str, one: _Asked) -> None:
        """It is not found a second time."""
        self._now[role] = one
        self._left[role] = [other for other in self._left[role] if other is not one]


def _now(call: Call) -> Call:
    """As one that is made now."""
    at = time.time()
    return call.model_copy(update={"at": at, "ended": at})


def _hash(question: Question, call: Call) -> str:
    return question_hash(question.role, call.model, question.prompt)


def _questions(calls: Sequence[Call]) -> dict[str, list[_Asked]]:
    """Role -> its questions, each with its tries and rounds.

    A question begins where nothing was said before, but for the repetitions of an attempt that got no answer.
    """
    found: dict[str, list[_Asked]] = {}
    before: dict[str, Call] = {}
    for call in calls:
        last = before.get(call.role)
        repeated = last is not None and not last.answered and last.key == call.key
        if not call.said and not repeated:
            found.setdefault(call.role, []).append(_Asked())
        if found.get(call.role):
            found[call.role][-1].calls.append(call)
        before[call.role] = call
    return {role: [one for one in asked if one.calls] for role, asked in found.items()}


def _behind(asked: list[_Asked], count: int) -> list[_Asked]:
    """What is left when ``count`` answers were given."""
    ends = [0]
    for one in asked:
        ends.append(ends[-1] + sum(call.answered for call in one.calls))
    return [one for one, (_, end) in zip(asked, pairwise(ends), strict=True) if end > count]
