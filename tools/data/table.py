"""Delimited text by the standard library, and Parquet by pyarrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunewright.domain.errors import DataError, boundary
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.jsonl import not_utf8

_FIELD_LIMIT = 2**31 - 1
"""The standard library stops at 131,072 characters a field, which a long document passes; this is the most that
every platform takes."""


def csv_rows(content: bytes, path: str, delimiter: str | None = None) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """Rows of delimited text with a header, numbered by the line they start on.

    Args:
        content: the file, without a byte-order mark.
        path: for messages.
        delimiter: None to take the comma, or if the header has none, a semicolon, tab or bar.

    Raises:
        DataError: not UTF-8, or a header in which a name stands twice.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(content, error, path) from None
    csv.field_size_limit(_FIELD_LIMIT)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text), strict=True)
    header = _header(lines, path)
    while True:
        number = lines.line_num + 1
        try:
            fields = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BadRow(f"is not CSV: {error}")
            continue
        if not fields:
            continue
        if len(fields) != len(header):
            yield number, BadRow(f"has {len(fields)} fields, expected {len(header)} as in the header")
        else:
            yield number, dict(zip(header, fields, strict=True))


def parquet_rows(file: Path, path: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """Rows of a Parquet file, numbered from 1.

    Raises:
        DataError: the file is broken, cut short, or no Parquet at all.
    """
    import pyarrow.parquet

    number = 0
    with (
        boundary(DataError, f"read '{path}' as Parquet", "write the file again, or give the data as .jsonl"),
        pyarrow.parquet.ParquetFile(file) as table,
    ):
        for batch in table.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    if "," in header:
        return ","
    return max(";\t|", key=header.count) if any(mark in header for mark in ";\t|") else ","


def _header(lines: Iterator[list[str]], path: str) -> list[str]:
    """Column names; one without a name (as data frames write their index) becomes ``column_N``."""
    try:
        first = next(fields for fields in lines if fields)
    except csv.Error as error:
        raise DataError(f"{path} line 1 is not CSV: {error}", "fix the header") from None
    names = [name.strip() or f"column_{i}" for i, name in enumerate(first, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"'{path}' has the column '{twice[0]}' twice in its header", "rename one of them")
    return names
