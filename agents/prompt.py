"""Prompts are files: Markdown with Jinja in ``prompts/``. A name that is not given is an error, never a blank.

A rendered prompt knows the file it was made of and that file's version, so that every call of a model can say both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tunewright.domain.frozen import Json, content_hash

if TYPE_CHECKING:
    from jinja2 import Environment

_INCLUDE = re.compile(r'\{%-?\s*include\s+"([\w.]+)\.md"\s*-?%\}\n?')


class Prompt(str):
    """A prompt's text; what is made of it by adding text is a plain string."""

    source: str = ""
    """``NAME@VERSION`` of its file."""
    about: tuple[str, ...] = ()
    """Ids of the jobs that it asks about, where that is known when it is asked."""


def render(name: str, **given: Json) -> Prompt:
    """The prompt ``prompts/NAME.md`` with ``given`` filled in.

    Raises:
        jinja2.UndefinedError: the prompt uses a name that is not given.
    """
    prompt = Prompt(_environment().get_template(f"{name}.md").render(**given).strip() + "\n")
    prompt.source = f"{name}@{versions()[name]}"
    return prompt


def concerning(prompt: str, *jobs: str) -> Prompt:
    """The prompt, said to be about these jobs."""
    found = Prompt(prompt)
    found.source, found.about = getattr(prompt, "source", ""), jobs
    return found


@cache
def templates() -> Mapping[str, str]:
    """Every prompt's name and text, with the files it includes put in: what it says is told by this text alone."""
    folder = files("tunewright.agents") / "prompts"
    raw = {one.name[:-3]: one.read_text(encoding="utf-8") for one in folder.iterdir() if one.name.endswith(".md")}

    def whole(text: str) -> str:
        return _INCLUDE.sub(lambda match: whole(raw[match[1]]), text)

    return {name: whole(raw[name]) for name in sorted(raw)}


@cache
def versions() -> Mapping[str, str]:
    """Prompt -> its version: the beginning of its text's SHA-256."""
    return {name: content_hash(text)[:12] for name, text in templates().items()}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("tunewright.agents") / "prompts"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    return environment


def quoted(value: Json) -> str:
    """As one line of JSON: what other people wrote can then not be taken for the prompt's own text."""
    return json.dumps(value, ensure_ascii=False)
