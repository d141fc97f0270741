"""What a language model may call while it thinks: a function with typed arguments that returns text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

REFUSAL = "error: "
"""How the answer of a tool begins that has refused a call: it counts as one of no use."""


@dataclass(frozen=True)
class Tool:
    """One function.

    Attributes:
        name: letters, digits and underscores, as providers want it.
        description: what it gives and when to use it; the model reads it.
        arguments: a model of its arguments; the fields' descriptions are the instructions.
        call: is given the checked arguments and returns text. An error of ours is told to the language model; it may
            be called more than once with the same arguments.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    call: Callable[[Any], str]
