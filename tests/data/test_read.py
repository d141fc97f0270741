"""Reading raw data: what people really have in their files, and what they are told when it cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.domain.errors import DataError
from tunewright.domain.task import DataSource
from tunewright.tools.data.read import RawSource, read_source

ROWS = [{"text": 'first, with "quotes"', "label": "a"}, {"text": "zweite Zeile: äöü\u2028and more", "label": "b"}]


def read(path: Path, *, skip_bad_rows: bool = False) -> RawSource:
    return read_source(DataSource(path=str(path), name=path.stem), skip_bad_rows=skip_bad_rows)


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(rows: list[dict[str, Any]], *, ascii_only: bool = False) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)


def test_the_same_rows_come_from_every_kind_of_file(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    comma = 'text,label\n"first, with ""quotes""",a\nzweite Zeile: äöü\u2028and more,b\n'
    semicolon = 'text;label\n"first, with ""quotes""";a\nzweite Zeile: äöü\u2028and more;b\n'
    files = [
        tmp_path / "d.parquet",
        file(tmp_path, "d.jsonl", lines(ROWS)),
        file(tmp_path, "d.ndjson", lines(ROWS, ascii_only=True)),
        file(tmp_path, "d.json", json.dumps(ROWS, indent=2)),
        file(tmp_path, "lines.json", lines(ROWS)),
        file(tmp_path, "d.csv", comma),
        file(tmp_path, "semicolon.csv", semicolon),
        file(tmp_path, "d.tsv", comma.replace(",a", "\ta").replace(",b", "\tb").replace("text,", "text\t")),
        file(tmp_path, "D.JSONL", lines(ROWS)),
        file(tmp_path, "windows.jsonl", b"\xef\xbb\xbf" + lines(ROWS).replace("\n", "\r\n\r\n").encode()),
        file(tmp_path, "windows.csv", b"\xef\xbb\xbf" + comma.replace("\n", "\r\n").encode()),
    ]
    for path in files:
        assert read(path).rows == ROWS, path.name


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    csv = file(tmp_path, "d.csv", 'text,label\n\n"two\nlines",a\nshort,b\n')
    assert read(csv).numbers == [3, 5]
    assert read(file(tmp_path, "d.jsonl", '\n{"a": 1}\n\n{"a": 2}')).numbers == [2, 4]


def test_a_field_of_a_megabyte_is_read(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    assert read(file(tmp_path, "d.csv", f"text,label\n{long},a\n")).rows == [{"text": long, "label": "a"}]


def test_not_a_number_is_a_missing_value(tmp_path: Path) -> None:
    assert read(file(tmp_path, "d.jsonl", '{"text": "a", "score": NaN}')).rows == [{"text": "a", "score": None}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a" "label": "b"}', "is not JSON: expected ',' at column 14"),
        ('{"text": "a", "label": }', "is not JSON: expected a value at column 24"),
        ("text,label", "is not JSON: expected a value at column 1"),
        ('["a", "b"]', "is an array, expected a JSON object"),
        ("null", "is null, expected a JSON object"),
        ('{"text": "\\ud800"}', "holds half of a surrogate pair"),
        ("[" * 100_000, "is not JSON"),
        (f'{{"n": {"9" * 5000}}}', "is not JSON that can be read"),
    ],
)
def test_a_bad_line_is_named_and_can_be_skipped(tmp_path: Path, line: str, reason: str) -> None:
    path = file(tmp_path, "d.jsonl", f'{{"text": "good"}}\n{line}\n{{"text": "fine"}}\n')
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.message.startswith(f"{path} line 2 {reason}")
    assert caught.value.hint == (
        "fix the line, or pass --skip-bad-rows to leave it out (it will be listed in the report)"
    )
    raw = read(path, skip_bad_rows=True)
    assert [row["text"] for row in raw.rows] == ["good", "fine"]
    assert raw.numbers == [1, 3]
    assert raw.skipped[0].startswith(f"{path} line 2: {reason}")


def test_bytes_in_another_encoding_are_found(tmp_path: Path) -> None:
    content = '{"text": "ok"}\n{"text": "caf\xe9"}\n'.encode("latin-1")
    path = file(tmp_path, "d.jsonl", content)
    with pytest.raises(DataError, match=r"d\.jsonl line 2 is not UTF-8: byte 0xe9 at offset 28"):
        read(path)
    assert content[28] == 0xE9
    assert len(read(path, skip_bad_rows=True).rows) == 1
    with pytest.raises(DataError, match=r"d\.csv line 3 is not UTF-8: byte 0xe9 at offset 11"):
        read(file(tmp_path, "d.csv", "text\nok\ncaf\xe9\n".encode("latin-1")))
    with pytest.raises(DataError, match="is UTF-16") as caught:
        read(file(tmp_path, "wide.csv", "text\nok\n".encode("utf-16")))
    assert "iconv" in caught.value.hint


def test_ragged_and_broken_csv_rows_are_named(tmp_path: Path) -> None:
    path = file(tmp_path, "d.csv", 'text,label\n"a\nb",x\none\n1,2,3\nlast,y\n')
    with pytest.raises(DataError, match=r"d\.csv line 4 has 1 fields, expected 2 as in the header"):
        read(path)
    raw = read(path, skip_bad_rows=True)
    assert [row["label"] for row in raw.rows] == ["x", "y"]
    assert len(raw.skipped) == 2
    with pytest.raises(DataError, match=r"open\.csv line 3 is not CSV"):
        read(file(tmp_path, "open.csv", 'text,label\na,b\n"never closed,c\n'))
    with pytest.raises(DataError, match="has the column 'text' twice"):
        read(file(tmp_path, "twice.csv", "text,text\na,b\n"))


def test_a_broken_parquet_file_is_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS * 1000), whole)
    for name, content in {"cut": whole.read_bytes()[:-20], "text": b"text,label\na,b\n", "short": b"PAR1"}.items():
        with pytest.raises(DataError) as caught:
            read(file(tmp_path, f"{name}.parquet", content))
        assert f"{name}.parquet' as Parquet" in caught.value.message
        assert "\n" not in caught.value.message


def test_a_missing_file_hints_at_the_one_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    file(tmp_path / "data", "messages.jsonl", '{"a": 1}')
    with pytest.raises(DataError, match=r"there is no file 'data/mesages.jsonl'") as caught:
        read(Path("data/mesages.jsonl"))
    assert caught.value.hint == "did you mean 'data/messages.jsonl'?"
    with pytest.raises(DataError) as caught:
        read(Path("data/zzz.csv"))
    assert "the folder has messages.jsonl" in caught.value.hint
    with pytest.raises(DataError) as caught:
        read(Path("dta/messages.jsonl"))
    assert "there is no folder 'dta' either" in caught.value.hint


def test_what_is_no_data_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file(folder, "inside.csv", "a\n1\n")
    with pytest.raises(DataError, match="is a directory") as caught:
        read(folder)
    assert "inside.csv" in caught.value.hint
    for name, content in {"a.jsonl": b"", "b.csv": b"\xef\xbb\xbf \r\n\n", "c.parquet": b""}.items():
        with pytest.raises(DataError, match="is empty"):
            read(file(tmp_path, name, content))
    for name, content in {"d.csv": b"text,label\n", "e.json": b"[]"}.items():
        with pytest.raises(DataError, match="has no usable row"):
            read(file(tmp_path, name, content))
    with pytest.raises(DataError, match=r"by its ending '\.xlsx'") as caught:
        read(file(tmp_path, "f.xlsx", b"PK"))
    assert ".jsonl" in caught.value.hint
    with pytest.raises(DataError, match="is compressed"):
        read(file(tmp_path, "g.csv", b"\x1f\x8b\x08"))


def test_when_every_row_is_bad_skipping_does_not_hide_it(tmp_path: Path) -> None:
    path = file(tmp_path, "d.jsonl", "text,label\na,b\n")
    with pytest.raises(DataError, match=r"no usable row: all 2 were bad, the first: .*d\.jsonl line 1: is not JSON"):
        read(path, skip_bad_rows=True)
