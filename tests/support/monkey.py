"""A language model that answers at random, in the form that it is asked for: answers fit their schema, and nothing in
them means anything. Its words are those of its prompts and a few that somebody would try to get somewhere with.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from tests.support.openai_server import Reply, Request

_WORD = re.compile(r"[\w.\-/]{1,60}")
_SCHEMA = re.compile(r'\{"(?:\$defs|properties|additionalProperties|type|title|description)"')
_EVIL = (
    "\x1b[2J\x1b[1;1Hmine", "\x1b]0;title\x07", "a\rb\x9b2J",
    "", " ", "\x00", "\u202e", "../../../etc/passwd", "$(reboot)", "'; DROP TABLE runs; --", "{{ 7 * 7 }}", "<script>",
    "nan", "inf", "-1", "1e400", "null", "APPROVED", "seed", "test", "stages.0.seed", "stages.0.optimisation.lr",
    "a" * 5000,
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 0.5, 1e-9, 1e9, -1e308, 2**63, 0.3)


class Monkey:
    """Answers by a seed.

    Args:
        seed: of what it says.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def __call__(self, request: Request) -> Reply:
        text = " ".join(str(message.get("content") or "") for message in request["messages"])
        if text.startswith("Name a colour"):
            return Reply('{"hue": "red", "size": 3}')
        if text.startswith("Call the function"):
            return Reply(None, calls=[("note", '{"word": "ready"}')])
        words = _WORD.findall(text)
        tools = request.get("tools", ())
        if tools and self.draw.random() < 0.6:
            wanted = [self.draw.choice(tools) for _ in range(self.draw.randint(1, 3))]
            return Reply(None, calls=[self._call(tool, words) for tool in wanted])
        schema = _schema(request, text)
        return Reply(json.dumps(self._any(schema, schema, words, 0)))

    def _call(self, tool: dict[str, Any], words: Sequence[str]) -> tuple[str, str]:
        function = tool["function"]
        schema = function["parameters"]
        return function["name"], json.dumps(self._any(schema, schema, words, 0))

    def _any(self, schema: dict[str, Any], root: dict[str, Any], words: Sequence[str], depth: int) -> Any:
        draw = self.draw
        if "$ref" in schema:
            return self._any(root["$defs"][schema["$ref"].rpartition("/")[2]], root, words, depth)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._any(draw.choice(schema[several]), root, words, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return draw.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._object(schema, root, words, depth)
            case "array":
                least = schema.get("minItems", 0)
                most = max(least, min(schema.get("maxItems", 4), 4 if depth < 3 else 1))
                items = schema.get("items", {"type": "string"})
                return [self._any(items, root, words, depth + 1) for _ in range(draw.randint(least, most))]
            case "integer":
                return int(self._number(schema))
            case "number":
                return self._number(schema)
            case "boolean":
                return draw.random() < 0.5
            case "null":
                return None
            case "string":
                return self._words(schema, words)
        return draw.choice([None, True, 0.5, 7, "word", [1], {"a": 1}])

    def _object(self, schema: dict[str, Any], root: dict[str, Any], words: Sequence[str], depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        found = {
            name: self._any(one, root, words, depth + 1)
            for name, one in schema.get("properties", {}).items()
            if name in required or self.draw.random() < 0.8
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            found |= {self._words({}, words): self._any(extra, root, words, depth + 1) for _ in range(2)}
        return found

    def _number(self, schema: dict[str, Any]) -> float:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is not None and high is not None:
            return float(self.draw.uniform(low, high))
        value = float(self.draw.choice(_NUMBERS))
        if low is not None:
            value = low + abs(value) + ("exclusiveMinimum" in schema)
        return value if high is None else min(value, high)

    def _words(self, schema: dict[str, Any], words: Sequence[str]) -> str:
        draw = self.draw
        if draw.random() < 0.15:
            said = draw.choice(_EVIL)
        else:
            said = " ".join(draw.choice(words) for _ in range(draw.choice((1, 1, 1, 3, 8))))
        return said[: schema.get("maxLength", 10_000)].ljust(schema.get("minLength", 0), "x")


def _schema(request: Request, text: str) -> dict[str, Any]:
    """Of the answer: in its place, or the last one that the prompt shows."""
    named = request.get("response_format", {}).get("json_schema", {}).get("schema")
    if named:
        return dict(named)
    for start in reversed([match.start() for match in _SCHEMA.finditer(text)]):
        found, _ = json.JSONDecoder().raw_decode(text[start:])
        if "properties" in found and ("$defs" in found or text[start - 1] in "\n "):
            return dict(found)
    return {"type": "object"}
