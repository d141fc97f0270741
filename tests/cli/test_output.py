"""What others wrote moves no cursor: not on the console, not in an error, not in JSON; and nothing of it is lost."""

from __future__ import annotations

import json

import pytest
from rich.table import Table
from rich.text import Text

from tunewright.cli.output import console, print_error, print_json

EVIL = "a\x1b[2J\x1b]0;title\x07\rb\x9b2J \u202eoh \U000e0041"
SHOWN = r"a\u001b[2J\u001b]0;title\u0007\u000db\u009b2J \u202eoh \udb40\udc41"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_shows_control_characters(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
    out = console(stderr=False)
    table = Table()
    table.add_row(EVIL)
    out.print(Text(EVIL, style="bold"))
    out.print(EVIL, soft_wrap=True)
    out.print(table)
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said and "\x1b]" not in said and not set(said) & set("\x9b\r\x07\u202e\U000e0041")
    assert said.count(r"\u001b[2J") == 3
    assert ("\x1b[1m" in said) == terminal, "styles of ours are ours"


def test_an_error_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(f"no column '{EVIL}'", "look at the file\nor name another", json=True)
    out, err = capsys.readouterr()
    assert err == f"error: no column '{SHOWN}'\n       look at the file\n       or name another\n"
    assert json.loads(out) == {"error": f"no column '{EVIL}'", "hint": "look at the file\nor name another"}


def test_json_says_the_same_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({EVIL: [EVIL, "naïve 数 \ud800"]})
    out = capsys.readouterr().out
    assert out.rstrip("\n").isprintable() and "naïve 数" in out
    assert json.loads(out) == {EVIL: [EVIL, "naïve 数 \ud800"]}
