"""A piece of an agent's work as a trace: the agent at its root, under it each call of the model and of a tool."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunewright.agents.brains.recording import Call, ToolCall, ToolRun
from tunewright.agents.traces.bounds import ANSWER, PROMPT, TOLD, bounded, cut, line
from tunewright.agents.traces.pieces import Piece
from tunewright.domain.frozen import Json
from tunewright.domain.trace import Span, Trace, Usage, spanning

_CALLS = 60
"""Of one piece that are shown."""
_ASKED = 2_000
"""Characters of the question that the root shows; the first call has it whole."""


def answering(piece: Piece, jobs: Sequence[str]) -> Trace:
    """The trace of a piece that is over.

    Args:
        jobs: what it was about.
    """
    spans = [span for number in range(len(piece.calls[:_CALLS])) for span in _spans(piece, number)]
    start, end = spanning(spans)
    first, last = piece.calls[0], piece.calls[-1]
    facts: dict[str, Json] = {"calls": len(piece.calls), "prompt": first.source or None, "about": list(jobs)}
    root = Span(
        id="root",
        name=piece.role,
        kind="AGENT",
        start=start,
        end=end,
        inputs={**({"about": list(jobs)} if jobs else {}), "question": cut(first.prompt, _ASKED)},
        outputs=_object(last.text) if piece.answered else None,
        facts={name: value for name, value in facts.items() if value},
        error="" if piece.answered else line(last.why or "no answer was of use"),
    )
    return Trace(
        id=f"piece {piece.id}",
        name=piece.role,
        spans=(root, *spans),
        jobs=tuple(jobs),
        role=piece.role,
        prompt=first.source,
    )


def _spans(piece: Piece, number: int) -> list[Span]:
    """Of one call: the model's, then its tools'."""
    call, end = piece.calls[number], piece.ends[number]
    after = piece.calls[number + 1] if number + 1 < len(piece.calls) else None
    asked = Span(
        id=str(number),
        parent="root",
        name=line(call.model, 120),
        kind="CHAT_MODEL",
        start=call.at,
        end=end,
        inputs={"messages": _messages(call, repeated=number > 0 and call.prompt == piece.calls[number - 1].prompt)},
        outputs={"choices": [{"message": _message(call)}]} if call.answered else None,
        facts={
            "form": call.form,
            "valid": call.valid,
            "attempt": call.attempt,
            **({"cut_off": True} if call.cut_off else {}),
        },
        usage=Usage(tokens=call.cost.llm_tokens, answered=call.wrote, usd=call.cost.usd) if call.answered else None,
        model=call.model,
        error=_wrong(call, after),
    )
    return [asked, *(_tool(number, at, one, _ran(call, at, after, end)) for at, one in enumerate(call.calls))]


def _messages(call: Call, *, repeated: bool) -> list[Json]:
    """What the call adds to what was said before."""
    who = "tool" if call.form == "tools" else "user"
    said = [{"role": who, "content": cut(one, TOLD)} for one in call.said]
    if not said or not repeated:
        return [{"role": "user", "content": cut(call.prompt, PROMPT)}, *said]
    return said


def _message(call: Call) -> dict[str, Json]:
    wanted = [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": line(one.name, 80), "arguments": cut(one.arguments, TOLD)},
        }
        for one in call.calls
    ]
    return {"role": "assistant", "content": cut(call.text, ANSWER), **({"tool_calls": wanted} if wanted else {})}


def _wrong(call: Call, after: Call | None) -> str:
    if not call.answered:
        return line(call.why or "no answer came")
    if call.valid:
        return ""
    complaint = after.said[0] if after is not None and after.said and not call.calls else ""
    return line(f"of no use: {complaint}" if complaint else "of no use")


def _ran(call: Call, at: int, after: Call | None, end: float) -> ToolRun:
    """What became of a tool's call; from what was said of it next where the recording is of an earlier version."""
    if at < len(call.ran):
        return call.ran[at]
    said = after.said[at] if after is not None and at < len(after.said) else ""
    return ToolRun(said=said, at=end, ended=end)


def _tool(number: int, at: int, call: ToolCall, ran: ToolRun) -> Span:
    return Span(
        id=f"{number}.{at}",
        parent="root",
        name=line(call.name, 80) or "nameless",
        kind="TOOL",
        start=ran.at,
        end=max(ran.at, ran.ended),
        inputs=_object(call.arguments),
        outputs=cut(ran.said, TOLD),
        error=line(ran.said) if ran.refused else "",
    )


def _object(text: str) -> Json:
    """A JSON object as such, bounded; else its text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return cut(text, ANSWER)
    return bounded(found, TOLD) if isinstance(found, dict) else cut(text, ANSWER)
