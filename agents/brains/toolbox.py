"""Runs the functions that a model calls: checked arguments in, quoted and bounded text out, and an end to it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tunewright.agents.brains.answer import BadAnswerError, parse
from tunewright.agents.brains.recording import ToolCall, ToolRun
from tunewright.agents.prompt import quoted, render
from tunewright.domain.errors import TunewrightError
from tunewright.domain.tool import REFUSAL, Tool

MOST_CALLS = 16
"""Calls that are run in one conversation."""
MOST_A_ROUND = 8
MOST_CHARACTERS = 6_000
"""Of one result."""
MOST_IN_ALL = 24_000
"""Characters of all results in one conversation."""
IDLE_ROUNDS = 2
"""Rounds in a row in which nothing could be run, or only what was run before, until the model is asked to answer."""
_CUT = " [...]"


class Toolbox:
    """The tools of one conversation."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._results: dict[str, tuple[str, str, str]] = {}
        """What tells a call from others -> tool, arguments and what it returned."""
        self._count = self._characters = self._idle = 0
        self.useful = False
        """Whether the last round ran anything that was not refused."""

    @property
    def over(self) -> bool:
        """Whether there is no use in a further round."""
        return self._idle >= IDLE_ROUNDS or self._count >= MOST_CALLS or self._characters >= MOST_IN_ALL

    def run(self, calls: Sequence[ToolCall]) -> tuple[ToolRun, ...]:
        """What becomes of each call of a round; said is a result as a JSON string, or what was wrong with the call."""
        ran = tuple(self._timed(call, run=number < MOST_A_ROUND) for number, call in enumerate(calls))
        self.useful = not all(one.refused for one in ran)
        self._idle = 0 if self.useful else self._idle + 1
        return ran

    def told(self) -> str:
        """All results, for a prompt; nothing if there are none."""
        if not self._results:
            return ""
        results = [
            {"tool": tool, "arguments": arguments, "said": said} for tool, arguments, said in self._results.values()
        ]
        return "\n\n" + render("tool_results", results=results)

    def _timed(self, call: ToolCall, *, run: bool) -> ToolRun:
        self.useful, at = False, time.time()
        said = self._one(call) if run else _too_many()
        return ToolRun(said=said, at=at, ended=time.time(), refused=not self.useful)

    def _one(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        if tool is None:
            return f"there is no function {quoted(call.name[:60])}; there are {', '.join(self._tools)}"
        try:
            arguments = parse(call.arguments.strip() or "{}", tool.arguments)
        except BadAnswerError as error:
            return f"the arguments do not fit: {str(error)[:1000]}. Call {tool.name} again with better ones"
        spelled = arguments.model_dump_json()
        same = f"{tool.name} {spelled}"
        if same in self._results:
            return "this was called before with the same arguments, and the result is the same: see above"
        if self.over:
            return _too_many()
        self._count += 1
        try:
            result = tool.call(arguments)
        except TunewrightError as error:
            return quoted(f"{tool.name} failed: {error.message}"[:1000])
        except Exception as error:  # a defect of a tool is no reason to lose the answer, nor anything it can tell
            return quoted(f"{tool.name} failed: {type(error).__name__}")
        self.useful = not str(result).startswith(REFUSAL)
        cut = _cut(str(result), min(MOST_CHARACTERS, MOST_IN_ALL - self._characters))
        self._characters += len(cut)
        said = quoted(cut)
        self._results[same] = (tool.name, spelled, said)
        return said


def _too_many() -> str:
    return "no further call is run: answer with what you know"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - len(_CUT))] + _CUT


def schemas(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """The tools as the chat API is told of them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": json.loads(json.dumps(tool.arguments.model_json_schema())),
            },
        }
        for tool in tools
    ]
