"""Which model the brief names: an alias, a hub name, a local directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunewright.agents.brief.text import Text, like, words

DEFAULT = "smollm2-135m"
"""Assumed, and said so, where the brief names no model."""

_DATA_FILE = like(r"\.(?:jsonl?|csv|tsv|parquet)$")
_GOES_ON = like(r"[ ]*(?:to|on|with|for|using|so|as|until|at|\.|,|\n|$)")
_TOKEN = r"[\"'`]?(?P<ref>[~./\w][\w./:@~+-]*[\w])[\"'`]?"
_THE = r"(?:(?:the|a|an|my|our|this|base|small|local|pretrained|pre-trained|language|model|llm|lm) )*"
_NAMED = like(rf"(?:\bbase[ -]+model|\bmodel|\bllm|\bcheckpoint)[ ]*(?:[:=]|is|named|called|in|at|from)?[ ]*{_TOKEN}")
_TAUGHT = like(
    rf"\b(?:teach|fine-?[ ]?tun(?:e|ing)|finetun(?:e|ing)|tune|train|adapt|speciali[sz]e|coach|take|use|using|make|get|"
    rf"start(?:ing)? (?:from|with)|based on|on top of) {_THE}{_TOKEN}"
)
_WITH = like(
    rf"\b(?:with|via|by|on|into|for) {_THE}{_TOKEN}"
    r"(?=[ ]*(?:[.,;:()\n\0]|$|(?:to|and|on|for|so|in|at|within|using|from)\b))"
)
_HUB = like(r"(?<![\w./~-])[\"'`]?(?P<ref>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*[\w])[\"'`]?(?![\w/])")
_PATH = like(r"(?<![\w./~-])[\"'`]?(?P<ref>(?:~|\.{1,2})?/[\w./+-]*[\w])[\"'`]?")
_NOT_MODELS = words(
    "a an the it its this that them me us you him her one to for on with using my our your and or so as in of from "
    "model models classifier adapter adapters lora dora rslora ia3 full network llm lm something assistant bot "
    "is are be was should must will which can has whose smaller small best better only just least most at "
    "accuracy f1 loss data file rows up language chatbot system"
)


def read_model(text: Text, aliases: Sequence[str], notes: list[str]) -> str:
    """The model as the user wrote it, or an alias in its own spelling. Claims what it reads."""
    found = _alias_in_place(text, aliases) or _in_place(text) or _anywhere(text, aliases)
    if found is None:
        notes.append(f"no model is named; {DEFAULT} is assumed")
        return DEFAULT
    start, end, ref = found
    text.claim(start, end)
    other = _anywhere(text, aliases)
    if other is not None and other[2] != ref:
        notes.append(f"a study has one model: {ref}; {other[2]} is left out")
        text.claim(*other[:2])
    return ref


Found = tuple[int, int, str]


def _alias_in_place(text: Text, aliases: Sequence[str]) -> Found | None:
    """An alias where a model's name belongs; ``SmolLM2 135M`` is ``smollm2-135m``."""
    places = [match.start("ref") for pattern in (_NAMED, _TAUGHT, _WITH) for match in text.find(pattern)]
    for place in sorted(places):
        for alias in sorted(aliases, key=len, reverse=True):
            match = _spelling(alias).match(text.rest, place)
            if match:
                return match.start(), match.end(), alias
    return None


def _in_place(text: Text) -> Found | None:
    for pattern in (_TAUGHT, _NAMED):
        for match in text.find(pattern):
            start, end = match.span("ref")
            ref = text.raw[start:end].rstrip(".:")
            verb = match.group().split()[0].lower()
            sure = pattern is _TAUGHT and verb in ("teach", "coach")
            tuned = pattern is _TAUGHT and re.match(r"fine|tune", verb) and _GOES_ON.match(text.rest, match.end())
            if ref.lower() in _NOT_MODELS or _DATA_FILE.search(ref):
                continue
            if sure or tuned or _looks_like_model(ref, text.raw[start - 1 : start], pattern is _NAMED):
                return start, start + len(ref), ref
    return None


def _anywhere(text: Text, aliases: Sequence[str]) -> Found | None:
    for alias in sorted(aliases, key=len, reverse=True):
        for match in text.find(_spelling(alias)):
            # "tiny" is a word as well; quoted, it is a name.
            if not alias.isalpha() or text.rest[match.start() - 1 : match.start()] in ('"', "'", "`"):
                return match.start(), match.end(), alias
    for pattern in (_HUB, _PATH):
        for match in text.find(pattern):
            ref = text.raw[match.start("ref") : match.end("ref")].rstrip(".")
            if _is_model_folder(ref) or (
                pattern is _HUB and re.search(r"[A-Za-z].*\d|\d.*[A-Za-z]", ref.split("/")[1])
            ):
                return match.start("ref"), match.start("ref") + len(ref), ref
    return None


def _spelling(alias: str) -> re.Pattern[str]:
    loose = "[-_ ]?".join(re.findall(r"[A-Za-z]+|\d+[A-Za-z]*(?=-|$)|[^\W_]+", alias))
    return like(rf"(?<![\w./-]){loose}(?![\w/]|-\w|\.\w)")


def _looks_like_model(ref: str, before: str, named: bool) -> bool:
    """No ordinary word: letters with a digit, a path, quotes around it; after "model" a hub name as well."""
    mixed = re.search(r"\d", ref) and re.search(r"[A-Za-z]", ref) and not re.match(r"\d+[a-z]{0,3}$", ref)
    quoted = before in ('"', "'", "`")
    return bool(mixed or quoted or re.match(r"[~./]", ref) or (named and "/" in ref)) or _is_model_folder(ref)


def _is_model_folder(ref: str) -> bool:
    return (Path(ref).expanduser() / "config.json").is_file()
