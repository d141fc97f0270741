"""Which calls of a recording belong together: the rounds and tries that one answer took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tunewright.agents.brains.answer import TRIES
from tunewright.agents.brains.recording import PROBE, Call
from tunewright.domain import event as ev
from tunewright.domain.frozen import content_hash

_OFFER = "\n\nYou may call the functions"
"""How the offer of tools begins that is put behind a prompt; see ``dialogue``."""


@dataclass
class Piece:
    """A piece of an agent's work."""

    id: str
    calls: list[Call] = field(default_factory=list)
    """Oldest first; at least one."""
    ends: list[float] = field(default_factory=list)
    """When each of them had ended."""

    @property
    def role(self) -> str:
        return self.calls[0].role

    @property
    def answered(self) -> bool:
        """Whether it has come to an answer of use."""
        last = self.calls[-1]
        return last.valid and (not last.calls or last.role == PROBE)

    @property
    def over(self) -> bool:
        """Whether it has come to an answer, or to the last try."""
        tries = [call for call in self.calls if call.answered and call.form != "tools"]
        return self.answered or len(tries) >= TRIES


def pieces(calls: Sequence[tuple[str, Call]], events: Iterable[ev.Event]) -> list[Piece]:
    """The pieces, in the order in which they were begun.

    Recordings of earlier versions do not say which calls belong together: there it goes by role and prompt, and a call
    has ended when the journal says so.

    Args:
        calls: each with its digest, as recorded.
        events: the journal's.
    """
    told = {one.record: one.at for one in events if isinstance(one, ev.ModelAsked) and one.record}
    found: dict[str, Piece] = {}
    last: dict[str, Piece] = {}
    for digest, call in calls:
        before = last.get(call.role)
        if call.piece:
            piece = found.setdefault(call.piece, Piece(call.piece))
        elif before is not None and _goes_on(before.calls[-1], call):
            piece = before
        else:
            id = content_hash([call.role, call.at, digest])[:16]
            piece = found.setdefault(id, Piece(id))
        piece.calls.append(call)
        piece.ends.append(max(call.at, call.ended or told.get(digest, call.at)))
        last[call.role] = piece
    return list(found.values())


def _goes_on(before: Call, call: Call) -> bool:
    if call.said or (not before.answered and before.key == call.key):
        return True  # told something, or asked again as no answer had come
    return before.form == "tools" and call.form != "tools" and call.prompt.startswith(before.prompt.split(_OFFER)[0])
