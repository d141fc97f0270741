"""Recipes as YAML for people: written to be edited, read back as plain values and never evaluated."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tunewright.domain.errors import UsageError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-4`` is a number, as everybody who writes learning rates expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_value(text: str) -> Any:
    """One value: ``1e-4``, ``dora``, ``true``, ``[0.5, 0.5]``. What YAML cannot read is taken as text."""
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text.strip()
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else text.strip()


def read_mapping(text: str) -> dict[str, Any]:
    """A document.

    Raises:
        UsageError: it is not YAML, or not a mapping; the message names the line.
    """
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"this is not YAML{where}: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"expected a recipe as a mapping, got {type(value).__name__}")
    return value


def write(value: Any) -> str:
    """A document in the order of its fields."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100)
