"""Text of strangers as one line that moves nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.plain import plain, still, visible


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


@given(st.text(max_size=40))
def test_what_is_taken_out_leaves_lines_and_tabs(text: str) -> None:
    left = still(text)
    assert not _steering(left.replace("\t", "")) and still(left) == left
    assert left.count("\n") == text.count("\n") or "\x1b]" in text


@given(st.text(max_size=40))
def test_what_is_shown_loses_nothing_and_is_json_still(text: str) -> None:
    shown = visible(text)
    assert not _steering(shown)
    told = json.dumps(text, ensure_ascii=False)
    assert json.loads(visible(told)) == text


def test_what_moves_nothing_is_shown_as_it_is() -> None:
    text = "naïve ½ [1]\n\tfour — 数 👩\u200d🔬"
    assert visible(text) == text.replace("\t", "    ") and still(text) == text
    assert visible("a\r\nb") == "a\nb"
    assert visible("\x1b[2J\r\x9b\u202e\U000e0041\ud800") == r"\u001b[2J\u000d\u009b\u202e\udb40\udc41\ud800"


def _steering(text: str) -> list[str]:
    allowed = "\n\u200c\u200d"
    return [one for one in text if one not in allowed and unicodedata.category(one) in ("Cc", "Cf", "Cs")]
