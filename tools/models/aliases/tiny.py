"""``tiny``: a Llama of 115,264 parameters over bytes, made from a seed. For tests and first steps."""

from __future__ import annotations

from pathlib import Path

from tunewright.tools.models.aliases import Notify
from tunewright.tools.models.convert import convert

SUMMARY = "a model of 0.12M parameters made from a seed, with a byte-level tokenizer; for tests and first steps"


def find(folder: Path, notify: Notify) -> None:
    """Makes the model in ``folder``."""
    notify("making the model 'tiny' from its seed")
    convert("tiny", str(folder))
