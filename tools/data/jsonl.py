"""JSON Lines and JSON arrays. A bad line does not stop the lines after it from being read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tunewright.domain.errors import DataError
from tunewright.tools.data.bad_row import BadRow

_DECODER = json.JSONDecoder(parse_constant=lambda name: None)
"""NaN and infinity have no spelling in JSON, though many writers emit them: they are missing values."""

_EXPECTED = {
    "Expecting ',' delimiter": "expected ','",
    "Expecting ':' delimiter": "expected ':'",
    "Expecting value": "expected a value",
    "Expecting property name enclosed in double quotes": "expected a name in double quotes",
    "Illegal trailing comma before end of object": "found a comma with nothing after it",
    "Unterminated string starting at": "found a text without its closing quote",
    "Extra data": "found more after the end of the value",
    "Invalid control character at": "found a control character, which must be escaped,",
    "Invalid \\escape": "found a backslash that escapes nothing",
    "Invalid \\uXXXX escape": "expected four hexadecimal digits after \\u",
}


def json_lines(content: bytes) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """One object a line, with line numbers from 1; blank lines are passed over.

    Lines end at a line feed alone: U+2028 and its kin are allowed inside JSON strings.
    """
    offset = 0
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, _line(line, offset)
        offset += len(line) + 1


def json_items(content: bytes, path: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """The objects of one JSON array, numbered from 1.

    Raises:
        DataError: the array as a whole cannot be parsed, so there is no row to skip.
    """
    try:
        items = _DECODER.decode(content.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        raise not_utf8(content, error, path) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {error.lineno} is not JSON: {_said(error)}", "fix the file; it has to be one JSON array"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON: {error}", "fix the file; it has to be one JSON array") from None
    for number, item in enumerate(items, start=1):
        yield number, _object(item, content)


def not_utf8(content: bytes, error: UnicodeDecodeError, path: str) -> DataError:
    """The error for a text file in another encoding, by line and byte."""
    line = content.count(b"\n", 0, error.start) + 1
    return DataError(
        f"{path} line {line} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}",
        f"save the file as UTF-8, for example: iconv -f LATIN1 -t UTF-8 {path}",
    )


def _line(line: bytes, offset: int) -> dict[str, Any] | BadRow:
    try:
        value = _DECODER.decode(line.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        return BadRow(f"is not UTF-8: byte 0x{line[error.start]:02x} at offset {offset + error.start}")
    except json.JSONDecodeError as error:
        return BadRow(f"is not JSON: {_said(error)}")
    except (ValueError, RecursionError) as error:
        return BadRow(f"is not JSON that can be read: {error}")
    return _object(value, line)


def _object(value: Any, spelling: bytes) -> dict[str, Any] | BadRow:
    """``value`` if it is an object whose text can be written again."""
    if not isinstance(value, dict):
        kinds = {list: "an array", str: "a text", bool: "true or false", int: "a number", float: "a number"}
        return BadRow(f"is {kinds.get(type(value), 'null')}, expected a JSON object")
    if b"\\ud" in spelling or b"\\uD" in spelling:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return BadRow("holds half of a surrogate pair, which no text can hold")
    return value


def _said(error: json.JSONDecodeError) -> str:
    return f"{_EXPECTED.get(error.msg, error.msg)} at column {error.colno}"
