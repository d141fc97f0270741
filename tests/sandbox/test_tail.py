"""The reader of a file that somebody untrusted is writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.domain.trial_event import Checkpointed, Noted
from tunewright.sandbox.tail import LINE_BYTES, WARNINGS, Tail

STEP = '{"kind": "checkpointed", "step": %d}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_a_file_that_is_not_there_yet_is_empty(path: Path) -> None:
    tail = Tail(path)
    assert list(tail.read()) == []
    append(path, (STEP % 1).encode())
    assert len(list(tail.read())) == 1


def test_any_cut_gives_each_event_once(path: Path) -> None:
    content = "".join(STEP % number for number in range(5)).encode()
    for cut in range(len(content)):
        path.unlink(missing_ok=True)
        tail = Tail(path)
        append(path, content[:cut])
        first = list(tail.read())
        append(path, content[cut:])
        events = [*first, *tail.read()]
        assert [event.step for event in events if isinstance(event, Checkpointed)] == list(range(5))


def test_a_reader_that_leaves_in_the_middle_finds_the_rest(path: Path) -> None:
    tail = Tail(path)
    append(path, "".join(STEP % number for number in range(5)).encode())
    next(tail.read())
    append(path, (STEP % 5).encode())
    assert [event.step for event in tail.read() if isinstance(event, Checkpointed)] == [1, 2, 3, 4, 5]


def test_the_last_line_waits_for_its_newline_until_the_end(path: Path) -> None:
    tail = Tail(path)
    append(path, (STEP % 1).strip().encode())
    assert list(tail.read()) == []
    assert [event.kind for event in tail.read(final=True)] == ["checkpointed"]
    assert list(tail.read(final=True)) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"not json", "no event"),
        (b'{"kind": "launched"}', "no event"),
        (b'{"kind": "checkpointed", "step": 1, "extra": 1}', "no event"),
        (b'"\xff\xfe"', "not UTF-8"),
        (b'{"kind": "noted", "message": "' + b"x" * LINE_BYTES + b'"}', "longer than"),
    ],
)
def test_a_line_that_is_no_event_is_a_warning_and_the_next_is_read(path: Path, line: bytes, why: str) -> None:
    append(path, line + b"\n" + (STEP % 2).encode())
    warning, event = Tail(path).read()
    assert isinstance(warning, Noted)
    assert warning.level == "warning"
    assert why in warning.message
    assert isinstance(event, Checkpointed)


def test_a_line_without_end_takes_no_memory_and_one_warning(path: Path) -> None:
    tail = Tail(path)
    seen = []
    for _ in range(50):
        append(path, b"x" * LINE_BYTES)
        seen += tail.read()
        assert len(tail._partial) <= LINE_BYTES
    append(path, b"\n" + (STEP % 2).encode())
    seen += tail.read()
    assert [event.kind for event in seen] == ["noted", "checkpointed"]


def test_warnings_are_bounded_and_events_are_not(path: Path) -> None:
    append(path, b"?\n" * 1000 + (STEP % 2).encode())
    events = list(Tail(path).read())
    assert len(events) == WARNINGS + 1
    assert isinstance(events[-1], Checkpointed)
    assert "silence" in events[-2].message
