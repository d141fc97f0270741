"""Which column is the input and which the target: what the brief says first, then the data's own layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunewright.agents.brief.text import Text, like, words
from tunewright.domain.errors import DataError
from tunewright.domain.task import RowFormat
from tunewright.tools.data.layout import LABEL_FIELDS, TEXT_FIELDS, DataFacts, Layout

Role = Literal["input", "target"]
_WHOLE = ("chat", "preference", "judged", "text")
"""Formats whose columns are understood together or not at all."""
_ONE_COLUMN = ("chat", "preference", "text")
"""Formats in which one column may hold what is asked and what is answered."""

_TARGET_WORDS = (
    r"labels?|targets?|outputs?|answers?|completions?|responses?|class(?:es)?|categor(?:y|ies)|topics?|intents?|"
    r"sentiments?|solutions?|replies"
)
_INPUT_WORDS = r"inputs?|prompts?|texts?|questions?|sources?|messages?|instructions?"
_NAME = r"(?:[\"'`](?P<quoted>[^\"'`\n]{1,60})[\"'`]|(?P<name>[A-Za-z_][\w-]*))"
_COLUMN = r"(?:fields?|columns?|keys?)"
_ROLE = rf"(?:\b(?P<target>{_TARGET_WORDS})|\b(?P<input>{_INPUT_WORDS}))"
_IS = r"(?:[ ]*[:=][ ]*| (?:is|are|in|named|called|from|stands? in|comes? from) | )(?:the )?"


_Q = "[\"'`]?"
_SURE = (
    like(rf"{_ROLE} {_COLUMN}{_IS}{_NAME}"),
    like(
        r"\b(?:(?P<input>from|given|reads?|reading)|(?P<target>to|into|predict(?:ing)?|as|by)) (?:the )?"
        rf"{_COLUMN}{_IS}{_NAME}"
    ),
    like(rf"\b{_COLUMN}{_IS}{_NAME}(?:[ ]*(?:and|,|->|=>|to|/)[ ]*{_Q}(?P<second>[A-Za-z_][\w-]*){_Q})?"),
)
_IN = rf"(?:the )?{_Q}(?P<input>[\w-]+){_Q}"
_OUT = rf"(?:the )?{_Q}(?P<target>[\w-]+){_Q}"
_LOOSE = (
    like(rf"(?<!\w){_IN}[ ]*(?:->|=>|\u2192)[ ]*{_OUT}"),
    like(rf"\bpredict(?:ing|s)? {_OUT} (?:from|given) {_IN}"),
    like(rf"\b(?:map(?:s|ping)?|from|turn(?:ing)?) {_IN} (?:in)?to {_OUT}"),
)
_BESIDE = (
    like(rf"{_NAME} {_COLUMN}\b"),
    like(rf"{_ROLE}{_IS}{_NAME}"),
    like(r"[\"'`](?P<quoted>[^\"'`\n]{1,60})[\"'`](?P<name>)"),
)
_NOUN = like(
    r"\b(?:(?:to|into|by|as|with|for|of|predict(?:ing)?|infer(?:ring)?|guess(?:ing)?|find(?:ing)?|tell(?:ing)?|name|say|"
    r"give|assign(?:ing)?) (?:(?:one|each) of )?"
    r"(?P<article>(?:their|its|the|an?|one|right|correct|matching|proper|best|his|her|each|message's) )*)"
    rf"{_Q}(?P<noun>[A-Za-z_][\w-]*)"
)
_PROSE = words("of in for that is with and to which as from on are or the it by called named holds has at")
_VERBS = words("label answer text question class classify route response output input category")
_LABELLING = like(
    r"\b(?:labels?|labell?ing|classif(?:y|ies|ying|ication)|classifier|categori[sz](?:e|es|ing|ation)|rout(?:e|es|ing)|triag(?:e|ing)|"
    r"tag(?:s|ging)?|sort(?:ing)?|detect(?:s|ing)?|assign(?:s|ing)?|recogni[sz](?:e|ing))\b"
)
_COMPLETING = like(
    r"\b(?:answer(?:s|ing)?|solv(?:e|es|ing)|writ(?:e|es|ing)|translat(?:e|es|ing)|summari[sz](?:e|es|ing)|generat(?:e|es|ing)|"
    r"complet(?:e|es|ing)|repl(?:y|ies|ying)|respond(?:s|ing)?|continu(?:e|ing)|explain(?:s|ing)?|rewrit(?:e|ing)|comput(?:e|ing)|calculat(?:e|ing)|do|chat)\b"
)


@dataclass(frozen=True)
class _Mention:
    start: int
    end: int
    name: str
    role: Role | None


def read_layout(text: Text, facts: Sequence[DataFacts], notes: list[str]) -> Layout:
    """Format and fields for all sources together. Claims what it reads.

    Raises:
        DataError: a field that the brief names is not in the data, or the fields cannot be told.
    """
    columns = [column for column in facts[0].columns if all(column in other.columns for other in facts)]
    layout = facts[0].layout
    mentions = _mentions(text, columns, facts)
    said_target = _pick(mentions, "target", layout)
    said_input = _pick(mentions, "input", layout, without=said_target)
    if said_target is None and said_input is not None and said_input == (layout and layout.target_field):
        said_input, said_target = None, said_input
    if said_target is None:
        said_target = _by_noun(text, columns, said_input or (layout.input_field if layout else None))
    verb = _verb(text)
    if layout is not None and layout.format in _WHOLE and said_target in (None, layout.target_field):
        return checked(layout, facts)
    target = said_target or _other_target(layout, columns, said_input, facts)
    source = said_input or _other_input(layout, columns, target, facts, notes)
    return checked(
        Layout(format=_format(layout, source, target, verb, facts, notes), input_field=source, target_field=target),
        facts,
    )


def _mentions(text: Text, columns: Sequence[str], facts: Sequence[DataFacts]) -> list[_Mention]:
    found: list[_Mention] = []
    by_name = {column.lower(): column for column in reversed(columns)}

    def take(match: re.Match[str], said: str, role: Role | None, *, sure: bool) -> None:
        name = said if said in columns else by_name.get(said.lower())
        if name is not None:
            found.append(_Mention(match.start(), match.end(), name, role))
            text.claim(*match.span())
        elif sure and said.lower() not in _PROSE:
            raise _no_column(said, facts)

    for pattern in _SURE:
        for match in text.find(pattern):
            parts = match.groupdict()
            role: Role | None = "target" if parts.get("target") else "input" if parts.get("input") else None
            second = parts.get("second")
            # "the label column and the text column": what follows is prose, the name came before.
            trailing = (match["name"] or "").lower() in _PROSE
            take(match, match["quoted"] or match["name"], role, sure=bool(match["quoted"]) or not trailing)
            if second and second.lower() in by_name:
                found.append(_Mention(match.end(), match.end(), by_name[second.lower()], None))
    for pattern in _LOOSE:
        for match in text.find(pattern):
            if match["input"].lower() in by_name and match["target"].lower() in by_name:
                take(match, match["target"], "target", sure=False)
                found.append(_Mention(match.start(), match.end(), by_name[match["input"].lower()], "input"))
    for pattern in _BESIDE:
        for match in text.find(pattern):
            parts = match.groupdict()
            role = "target" if parts.get("target") else "input" if parts.get("input") else None
            take(match, parts.get("quoted") or parts.get("name") or "", role, sure=False)
    return sorted(found, key=lambda mention: mention.start)


def _pick(mentions: Sequence[_Mention], role: Role, layout: Layout | None, without: str | None = None) -> str | None:
    """The field named for a role; failing that, a field named without one that fits it."""
    for mention in mentions:
        if mention.role == role:
            return mention.name
    unclaimed = list(dict.fromkeys(m.name for m in mentions if m.role is None and m.name != without))
    if not unclaimed:
        return None
    if role == "input":
        return unclaimed[0]
    if len(unclaimed) == 1 and layout is not None and unclaimed[0] == layout.input_field:
        return None
    if layout is not None and layout.target_field in unclaimed:
        return layout.target_field
    return unclaimed[-1]


def _by_noun(text: Text, columns: Sequence[str], source: str | None) -> str | None:
    """``to their topic`` names the column ``topic``, if there is one."""
    by_name = {column.lower(): column for column in columns if column != source}
    by_name |= {f"{name}s": column for name, column in by_name.items()}
    by_name |= {f"{name[:-1]}ies": column for name, column in by_name.items() if name.endswith("y")}
    for match in text.find(_NOUN):
        noun = match["noun"].lower()
        if noun in by_name and (match["article"] or noun not in _VERBS):
            text.claim(*match.span())
            return by_name[noun]
    return None


def _verb(text: Text) -> RowFormat | None:
    """What is asked for: labelling or completing. The first of the two words decides."""
    labelling = next(iter(text.find(_LABELLING)), None)
    completing = next(iter(text.find(_COMPLETING)), None)
    first = min((m for m in (labelling, completing) if m is not None), key=lambda m: m.start(), default=None)
    if first is None:
        return None
    text.claim(*first.span())
    return "label" if first is labelling else "completion"


def _other_target(layout: Layout | None, columns: Sequence[str], source: str | None, facts: Sequence[DataFacts]) -> str:
    if layout is not None and layout.target_field != source:
        return layout.target_field
    others = [column for column in columns if column != source]
    if source is not None and len(others) == 1:
        return others[0]
    if len(facts[0].columns) == 1:
        raise DataError(
            f"{facts[0].path} has the column '{facts[0].columns[0]}' alone, and no chats in it: "
            "expected an input and a target",
            'a row of chats is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}]}',
        )
    raise DataError(
        f"{facts[0].path}: cannot tell which column is the target among {', '.join(facts[0].columns)}",
        f"name it in the brief, for example: (field {(others or ['label'])[-1]})",
    )


def _other_input(
    layout: Layout | None, columns: Sequence[str], target: str, facts: Sequence[DataFacts], notes: list[str]
) -> str:
    if layout is not None and layout.input_field != target:
        return layout.input_field
    others = [column for column in columns if column != target]
    if not others:
        raise DataError(
            f"{facts[0].path}: besides the target '{target}' there is no column to read",
            "every row needs an input and a target",
        )
    by_name = {column.lower(): column for column in reversed(others)}
    known = next((by_name[name] for name in TEXT_FIELDS if name in by_name), None)
    chosen = known or max(others, key=lambda column: _longest(facts, column))
    if len(others) > 1:
        notes.append(f"the input is taken from column '{chosen}'")
    return chosen


def _format(
    layout: Layout | None,
    source: str,
    target: str,
    verb: RowFormat | None,
    facts: Sequence[DataFacts],
    notes: list[str],
) -> RowFormat:
    if layout is not None and (source, target) == (layout.input_field, layout.target_field) and layout.format != "chat":
        # The data says whether labels repeat; words decide only for a file too small or odd to say.
        return (
            "label"
            if layout.format == "completion" and verb == "label" and target.lower() in LABEL_FIELDS
            else layout.format
        )
    if verb is not None:
        return verb
    label = target.lower() in LABEL_FIELDS or _longest(facts, target) <= 30
    notes.append(f"'{target}' is taken for {'a label from a closed set' if label else 'free text'}")
    return "label" if label else "completion"


def checked(layout: Layout, facts: Sequence[DataFacts]) -> Layout:
    """``layout``, if every source has its fields.

    Raises:
        DataError: one has not, or input and target are the same column.
    """
    for one in facts:
        for field in layout.fields:
            if field not in one.columns:
                raise _no_column(field, [one])
    if layout.format not in _ONE_COLUMN and layout.input_field == layout.target_field:
        raise DataError(
            f"{facts[0].path}: the column '{layout.input_field}' cannot be input and target at once",
            f"it has the columns {', '.join(facts[0].columns)}",
        )
    return layout


def _longest(facts: Sequence[DataFacts], column: str) -> int:
    """Characters of the longest example; examples are cut at 200."""
    return max((len(row.get(column, "")) for one in facts for row in one.examples), default=0)


def _no_column(name: str, facts: Sequence[DataFacts]) -> DataError:
    return DataError(
        f"{facts[0].path} has no column '{name}'",
        f"it has {', '.join(facts[0].columns)}; name one of these in the brief",
    )
