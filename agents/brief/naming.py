"""How people write a method's name: hyphens, capitals and spaces vary, and some names are ordinary words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.agents.brief.text import CLAIMED, like

_LORA = re.compile(r"(?<=[a-z0-9])(?:lora|LoRA)(?![a-z])")
_TOKEN = re.compile(r"[A-Za-z]+|\d+|[+()^]")


@dataclass(frozen=True)
class Naming:
    """What a brief may call a method beside its kind."""

    names: tuple[str, ...] = ()
    """As papers write it, such as ``SDS-LoRA`` or ``full fine-tuning``."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English: by itself it then means a method only beside other methods'
    names, before the word "adapter", or in the exact letters of ``names``."""


def spelling(kind: str, naming: Naming) -> re.Pattern[str]:
    """Finds the method's name in a brief, in which the names of other methods are claimed already."""
    named = sorted(naming.names, key=len, reverse=True)
    phrases = [_flexible(name) for name in named if not naming.plain_word or name.lower() != kind.lower()]
    bare = _flexible(kind)
    if not naming.plain_word:
        return like(_whole("|".join([*phrases, bare])))
    exact = [rf"(?-i:{re.escape(name)})" for name in named if name.lower() == kind.lower() and name != kind]
    joint = r"(?:,|,?[ ](?:and|or|vs\.?|versus|against)|[/&])"
    behind = "|".join(
        rf"(?<={CLAIMED}{link})" for link in (",[ ]", "[ ]and[ ]", "[ ]or[ ]", ",[ ]and[ ]", ",[ ]or[ ]", "/")
    )
    beside = [rf"(?:{behind}){bare}", rf"{bare}(?=[ ]*{joint}[ ]*{CLAIMED})", rf"{bare}(?=[ ]adapters?\b)"]
    return like(_whole("|".join([*phrases, *exact, *beside])))


def ordered(namings: Mapping[str, Naming]) -> list[str]:
    """The order to look for them in: names before those they contain, everyday words last."""
    words = {
        kind: [f" {' '.join(_TOKEN.findall(name.lower()))} " for name in (kind, *naming.names)]
        for kind, naming in namings.items()
    }

    def rank(kind: str) -> tuple[bool, int, int]:
        inside = sum(any(one in own for own in words[kind] for one in words[other]) for other in words if other != kind)
        return namings[kind].plain_word, -inside, -max(map(len, words[kind]))

    return sorted(namings, key=rank)


def _whole(alternatives: str) -> str:
    return rf"(?<![\w-])(?:{alternatives})(?!\w)"


def _flexible(name: str) -> str:
    """The letters and digits of ``name`` with any hyphen, space or nothing between them; a dot where it has one."""
    joint = "[-_. ]{0,2}" if "." in name else "[-_ ]?"
    parts = [re.escape(part) + ("?" if part in "()^" else "") for part in _TOKEN.findall(_LORA.sub("-lora", name))]
    return joint.join(parts)
