"""The commands in the documents exist, with the options they are shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import tunewright
from tunewright.cli.command import application
from tunewright.cli.selection import fold_edits

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")]


def commands() -> list[str]:
    """Every `tunewright ...` in an indented block or in backticks, with what stands in for something made definite."""
    found = []
    for page in PAGES:
        text = page.read_text()
        found += re.findall(r"^    (?:\$ )?(tunewright [a-z]+(?:[^\n\"]|\"[^\"]*\")*)", text, re.MULTILINE)
        found += re.findall(r"`(tunewright [a-z][^`]*)`", text)
    return sorted({re.sub(r"\s+", " ", one).strip() for one in found})


@pytest.mark.parametrize("line", commands())
def test_a_command_in_the_documents_is_understood(line: str) -> None:
    words = shlex.split(line.replace("...", "x"), comments=True)[1:]
    group: Any = typer.main.get_command(application)
    name, *arguments = fold_edits(words)
    assert name in group.commands
    command = group.commands[name]
    if not arguments and any(parameter.required for parameter in command.params):
        return  # the command is only named
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context is not None


def test_what_the_documents_take_from_the_library_is_there() -> None:
    """As a program types it: a study from the library asks nobody, so its options have to be within reach."""
    page = "\n".join([*(page.read_text() for page in PAGES), tunewright.__doc__ or ""])
    names = set(re.findall(r"\btw\.([A-Za-z_]+)", page))
    assert {"run", "review", "StudyOptions", "Answer"} <= names
    assert names <= set(tunewright.__all__)
    assert all(getattr(tunewright, name) for name in tunewright.__all__)
    assert 'tw.StudyOptions(review="never")' in page and tunewright.StudyOptions(review="never").review == "never"


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 20
