"""From what a model wrote to an object of a schema, or a complaint that the model can act on."""

from __future__ import annotations

import ast
import json
import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tunewright.domain.frozen import Json
from tunewright.domain.plain import still

TRIES = 3
"""Answers asked for before the rules take over."""

_T = TypeVar("_T", bound=BaseModel)
_FENCE = re.compile(r"```[\w-]*[ ]*\n(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_COMPLAINTS = 8


class BadAnswerError(ValueError):
    """The answer does not fit; the message is for the model, in words that name what to change."""


def parse(text: str, schema: type[_T]) -> _T:
    """The answer as ``schema``.

    Raises:
        BadAnswerError: no JSON object is in it, or the object does not fit.
    """
    return fit(_still(_object(text)), schema)


def fit(value: Json, schema: type[_T]) -> _T:
    """``value`` as ``schema``.

    Raises:
        BadAnswerError: it does not fit.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise BadAnswerError("; ".join(_complaint(dict(one)) for one in error.errors()[:_COMPLAINTS])) from error


def _complaint(one: dict[str, Json]) -> str:
    where = ".".join(str(part) for part in one["loc"])
    message = str(one["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _object(text: str) -> dict[str, Json]:
    """The JSON object in ``text``; fences, thoughts, words around it and small slips are forgiven."""
    text = _THOUGHT.sub("", text)
    fenced = [match.strip() for match in _FENCE.findall(text)]
    start, end = text.find("{"), text.rfind("}")
    candidates = [text.strip(), *fenced, *([text[start : end + 1]] if 0 <= start < end else [])]
    for candidate in candidates:
        for reading in (_json, _repaired, _python):
            value = reading(candidate)
            if isinstance(value, dict):
                return value
    raise BadAnswerError("there is no complete JSON object in the answer")


def _still(value: Json) -> Json:
    """Without what steers a terminal: an answer's words come to screens, tags and reports."""
    if isinstance(value, str):
        return still(value)
    if isinstance(value, dict):
        return {still(str(name)): _still(one) for name, one in value.items()}
    return [_still(one) for one in value] if isinstance(value, list) else value


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _repaired(text: str) -> Json:
    return _json(_TRAILING_COMMA.sub("", text).replace("\u201c", '"').replace("\u201d", '"'))


def _python(text: str) -> Json:
    """Models that write Python's spelling: single quotes, None, True."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
