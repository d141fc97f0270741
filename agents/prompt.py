"""Prompts are files: Markdown with Jinja in ``prompts/``. A name that is not given is an error, never a blank."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tunewright.domain.frozen import Json

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **given: Json) -> str:
    """The prompt ``prompts/NAME.md`` with ``given`` filled in.

    Raises:
        jinja2.UndefinedError: the prompt uses a name that is not given.
    """
    return _environment().get_template(f"{name}.md").render(**given).strip() + "\n"


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
