"""The one door to raw data: any source the user may name becomes rows, or an error that names file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.domain.errors import DataError, boundary
from tunewright.domain.task import DataSource
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.hub import hub_rows
from tunewright.tools.data.jsonl import json_items, json_lines
from tunewright.tools.data.raw_text import text_rows
from tunewright.tools.data.table import csv_rows, parquet_rows

HUB = "hub:"
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt")
SKIP_HINT = "fix the {unit}, or pass --skip-bad-rows to leave it out (it will be listed in the report)"

Numbered = tuple[int, dict[str, Any] | BadRow]


@dataclass(frozen=True)
class RawSource:
    """A data source as it was read: nothing is renamed, dropped or guessed yet."""

    source: DataSource
    rows: list[dict[str, Any]]
    numbers: list[int]
    """Where each row stands in the file, from 1."""
    unit: str
    """What ``numbers`` counts: ``line`` for text, ``item`` of a JSON array, ``row`` of a table."""
    skipped: tuple[str, ...] = ()
    """Bad rows left out on request, each as ``FILE line N: reason``."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that occurs, in order of first sight."""
        return tuple(dict.fromkeys(column for row in self.rows for column in row))

    def bad(self, number: int, reason: str) -> DataError:
        """The error for the row at ``number``; ``reason`` goes on from ``FILE line N``."""
        return bad_row_error(self.source.path, self.unit, number, reason)


def bad_row_error(path: str, unit: str, number: int, reason: str) -> DataError:
    """One row cannot be used; the hint says how to go on without it."""
    return DataError(f"{path} {unit} {number} {reason}", SKIP_HINT.format(unit=unit))


def skipped_row(path: str, unit: str, number: int, reason: str) -> str:
    """How a row that was left out is listed."""
    return f"{path} {unit} {number}: {reason}"


def read_source(source: DataSource, *, skip_bad_rows: bool = False) -> RawSource:
    """Reads JSONL, NDJSON, a JSON array, CSV, TSV, Parquet, plain text, or with ``hub:NAME[:SPLIT]`` a hub dataset.

    Args:
        source: a file path, relative to the working directory, or a hub name.
        skip_bad_rows: leave out rows that cannot be read and list them, rather than raise at the first.

    Raises:
        DataError: the source is missing, empty, not what its name says, or has a bad row.
    """
    numbered, unit = _open(source.path)
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    skipped: list[str] = []
    for number, row in numbered:
        if not isinstance(row, BadRow):
            rows.append(row)
            numbers.append(number)
        elif skip_bad_rows:
            skipped.append(skipped_row(source.path, unit, number, row.reason))
        else:
            raise bad_row_error(source.path, unit, number, row.reason)
    if not rows:
        found = f"all {len(skipped)} were bad, the first: {skipped[0]}" if skipped else "there is none"
        raise DataError(f"'{source.path}' has no usable row: {found}", "put at least one row of data in it")
    return RawSource(source=source, rows=rows, numbers=numbers, unit=unit, skipped=tuple(skipped))


def _open(path: str) -> tuple[Iterator[Numbered], str]:
    """The rows of a source, read lazily, and what their numbers count."""
    if path.startswith(HUB):
        name, _, split = path.removeprefix(HUB).partition(":")
        return hub_rows(name, split or "train"), "row"
    file = Path(path).expanduser()
    _check_file(file, path)
    ending = file.suffix.lower()
    if ending == ".parquet":
        return parquet_rows(file, path), "row"
    content = _content(file, path)
    if ending == ".txt":
        return text_rows(content, path), "line"
    if ending in (".csv", ".tsv"):
        return csv_rows(content, path, delimiter="\t" if ending == ".tsv" else None), "line"
    # Many a file called .json holds JSON lines.
    if ending == ".json" and content.lstrip()[:1] == b"[":
        return json_items(content, path), "item"
    return json_lines(content), "line"


def _check_file(file: Path, path: str) -> None:
    """Raises unless ``file`` is a regular file with an ending we read."""
    with boundary(DataError, f"look at '{path}'"):
        if file.is_dir():
            inside = sorted(child.name for child in file.iterdir() if child.suffix.lower() in ENDINGS)
            hint = f"name a file in it: {', '.join(inside[:5])}" if inside else "name a data file"
            raise DataError(f"'{path}' is a directory, expected a data file", hint)
        if not file.exists():
            raise DataError(f"there is no file '{path}'", _nearest(file, path))
        if file.suffix.lower() not in ENDINGS:
            raise DataError(
                f"cannot tell the format of '{path}' by its ending '{file.suffix}'",
                f"expected one of {', '.join(ENDINGS)}, or hub:NAME for a Hugging Face dataset",
            )
        if not file.is_file():
            raise DataError(f"'{path}' is not a regular file", "name a data file")
        if file.stat().st_size == 0:
            raise DataError(f"'{path}' is empty", "put at least one row of data in it")


def _nearest(file: Path, path: str) -> str:
    """A hint for a path that is not there."""
    folder = file.parent
    if not folder.is_dir():
        return f"there is no folder '{folder}' either; paths are relative to {Path.cwd()}"
    names = [child.name for child in folder.iterdir() if child.suffix.lower() in ENDINGS]
    close = difflib.get_close_matches(file.name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{Path(path).parent / close[0]}'?"
    there = f"the folder has {', '.join(sorted(names)[:5])}" if names else "there is no data file in its folder"
    return there if file.is_absolute() else f"{there}; paths are relative to {Path.cwd()}"


def _content(file: Path, path: str) -> bytes:
    """The bytes of a text file, without a byte-order mark."""
    with boundary(DataError, f"read '{path}'"):
        content = file.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"'{path}' is UTF-16, expected UTF-8", f"convert it: iconv -f UTF-16 -t UTF-8 {path} > utf8{file.suffix}"
        )
    if content.startswith(b"\x1f\x8b"):
        raise DataError(f"'{path}' is compressed, expected text", "unpack it first, for example with gunzip")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise DataError(f"'{path}' is empty", "put at least one row of data in it")
    return content
