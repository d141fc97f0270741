"""Keeps secrets out of what is shown and kept."""

from __future__ import annotations

import os
import re

_PREFIX = re.compile(r"^litellm\.\w+: (?:\w+Error: )?(?:\w+Exception - )?")
_NAME = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)
_VALUE = re.compile(r"\b(?:sk|pk|hf|gsk|xai)[-_][\w-]{6,}|(?i:bearer)\s+\S+")


def scrubbed(text: str) -> str:
    """``text`` without the values of variables that are named like secrets, and without what looks like a key."""
    text = clean(text)
    for name, value in os.environ.items():
        if _NAME.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    return _VALUE.sub("***", text)


def clean(text: str) -> str:
    """``text`` without half characters, which JSON can spell and no file can hold."""
    return text.encode("utf-8", "replace").decode()


def first_line(error: BaseException) -> str:
    """The first line of an error, without anything that may be a secret."""
    lines = str(error).strip().splitlines()
    line = _PREFIX.sub("", lines[0])[:300] if lines else type(error).__name__
    return scrubbed(line)
