"""Which objectives the brief names, and in what order: "SFT then GRPO against SFT", "try GRPO and DAPO after SFT".

Names that follow each other are stages of one recipe, names that stand side by side are recipes to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewright.agents.brief.naming import Naming, ordered, spelling
from tunewright.agents.brief.text import Text, like
from tunewright.domain.errors import BriefError
from tunewright.domain.recipe import PLAN_ARROW

MOST_STAGES = 4
_DATA = r"(?:[ ]*(?:on|with|from|using|over|of)(?:[ ](?:the|my|our))?[ ]*\0+(?:[ ](?:rows|data|file|text))?)?"
"""What a stage is trained on, which other readers have claimed."""
_THEN = like(
    _DATA
    + r"[ ]*,?[ ]*(?:-+>|=+>|\u2192|>|\+|(?:and[ ])?(?:then|afterwards|next)|followed by|before)(?:[ ](?:by|with|a|an|"
    r"the|do|run|use|apply|stage|of))*[ ]*"
)
_AFTER = like(
    _DATA + r"[ ]*,?[ ]*(?:after|on top of|from|starting (?:from|with|at)|following)(?:[ ](?:a|an|the|plain))*[ ]*"
)
_BESIDE = like(
    _DATA + r"[ ]*(?:,|and|or|nor|vs\.?|versus|against|with|to|/|&|both|either|plain|only|alone|by itself|on its own|"
    r"training|stages?|objectives?|the|a|[ ])*[ ]*"
)
_REFUSED = like(
    r"(?:\b(?:no|not|nor|without|never|except|excluding|exclude|avoid|skip|omit|instead of|rather than)(?: for)?|n't)"
    r"(?: (?:any|the|a|an|use|try|using|trying|do|run))*[ ]*$"
)


@dataclass
class _Mention:
    start: int
    end: int
    kind: str


def read_plans(text: Text, objectives: Mapping[str, Naming], notes: list[str]) -> tuple[str, ...]:
    """The plans of stages to choose from, in the order of the text; empty if no objective is named.

    Raises:
        BriefError: a plan of more than four stages, or with one objective twice.
    """
    mentions = _mentions(text, objectives)
    plans: list[list[str]] = []
    run: list[list[str]] = []
    last: _Mention | None = None
    refused: list[str] = []
    for mention in mentions:
        before = text.rest[text.sentence(mention.start)[0] : mention.start]
        if _REFUSED.search(before):
            refused.append(mention.kind)
            last = None
            continue
        link = text.rest[last.end : mention.start] if last is not None else None
        if link is not None and run and _AFTER.fullmatch(link):
            for plan in run:
                plan.insert(0, mention.kind)
        elif link is not None and run and _THEN.fullmatch(link):
            run[-1].append(mention.kind)
        else:
            if link is None or not _BESIDE.fullmatch(link):
                plans += run
                run = []
            run.append([mention.kind])
        last = mention
    plans += run
    kept = [plan for plan in plans if not set(plan) & set(refused)]
    names = tuple(dict.fromkeys(PLAN_ARROW.join(plan) for plan in kept))
    for plan in kept:
        _check(plan)
    if refused and not names:
        notes.append(f"{', '.join(dict.fromkeys(refused))} is left out, as it is unless a brief names it")
    return names


def _mentions(text: Text, objectives: Mapping[str, Naming]) -> list[_Mention]:
    found = []
    for kind in ordered(objectives):
        for match in text.find(spelling(kind, objectives[kind])):
            found.append(_Mention(match.start(), match.end(), kind))
            text.claim(*match.span())
    return sorted(found, key=lambda mention: mention.start)


def _check(plan: Sequence[str]) -> None:
    said = PLAN_ARROW.join(plan)
    if len(plan) > MOST_STAGES:
        raise BriefError(f"'{said}' has {len(plan)} stages, and a recipe has at most {MOST_STAGES}", "leave some out")
    if len(set(plan)) < len(plan):
        raise BriefError(f"'{said}' names an objective twice", "name each stage of a recipe once")
