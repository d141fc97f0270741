"""Text of strangers as one line that moves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.plain import plain


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r\n", "two lines"),
        ("\x1b[2Jall\x07 \x1b[1;31mthis\x1b[0m\x1b]0;title\x07 \x1bgone", "all this gone"),
        ("turned \u202eround\u2066", "turned round"),
        ("a\u2028b\u0085c\ud800d\ue000", "a b c d"),
        ("¿Qué? 日本 🙂", "¿Qué? 日本 🙂"),
        ("x" * 30, "x" * 19 + "…"),
    ],
)
def test_what_moves_a_cursor_or_turns_the_order_round_is_gone(text: str, line: str) -> None:
    assert plain(text, 20) == line


@given(st.text(max_size=40))
def test_it_is_one_printable_line_and_stays_as_it_is(text: str) -> None:
    line = plain(text, 20)
    assert len(line) <= 20 and "\n" not in line and "\x1b" not in line
    assert plain(line, 20) == line
