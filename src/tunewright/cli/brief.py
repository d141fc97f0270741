"""The brief from the command line: a sentence, or a file that holds it."""

from __future__ import annotations

from pathlib import Path

from tunewright.domain.errors import BriefError, boundary
from tunewright.domain.task import Brief

SUFFIXES = (".md", ".txt")


def read_brief(given: str) -> Brief:
    """The words themselves, or the text of the Markdown or text file that ``given`` names.

    Raises:
        BriefError: nothing in it, or it looks like a file and is none that can be read.
    """
    given = given.strip()
    path = Path(given)
    if _looks_like_path(given):
        if path.suffix.lower() not in SUFFIXES:
            raise BriefError(
                f"'{given}' is no brief: expected a sentence, or a file that ends in {' or '.join(SUFFIXES)}",
                'for example: tunewright run "Teach smollm2-135m to ... in data.jsonl. At most 30 minutes."',
            )
        return Brief(text=_text(path), source=given)
    if not given:
        raise BriefError("the brief is empty", 'say for example: "Teach tiny to label rows.jsonl. At most 10 trials."')
    return Brief(text=given)


def _looks_like_path(given: str) -> bool:
    """One word with a suffix or a slash, or anything that is a file already."""
    if len(given.split()) == 1 and ("/" in given or Path(given).suffix):
        return True
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # a long sentence is no file name
        return False


def _text(path: Path) -> str:
    if not path.exists():
        raise BriefError(f"no such file: '{path}'", "give the path of a brief, or the brief itself in quotes")
    with boundary(BriefError, f"read the brief '{path}'", "it has to be a UTF-8 text file"):
        text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise BriefError(f"the brief '{path}' is empty", "write what to teach, in which file, and at what cost")
    return text
