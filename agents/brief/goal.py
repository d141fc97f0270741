"""Several goals: what should be small besides the metric, and limits that a trial is measured against."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like
from tunewright.domain.goal import GROUP_LOSSES
from tunewright.domain.task import Constraint, DataSource, Goal, RowFormat

_WHOSE = r"(?:(?:the|its|their|an?) )?"
_QUANTITIES = (
    ("adapter_bytes", r"(?:adapter(?:'?s)?|file)[ -]+(?:size|bytes)|size of (?:the |its )?adapters?|adapter_bytes"),
    ("peak_memory_gib", r"(?:peak |gpu |training )?(?:memory|v?ram)(?: use| usage| footprint)?|peak_memory_gib"),
    (
        "latency_s",
        r"latency|(?:answer(?:ing)?|response|inference|scoring)[ -]+(?:times?|speed)|time (?:an|per) answer|latency_s",
    ),
    ("trainable_parameters", r"(?:trainable|trained|tunable)[ _]parameters|parameter count"),
    ("train_s", r"training[ -]+(?:time|seconds)|time to train|train_s"),
)
_LITTLE = r"(?:small(?:est)?|low(?:est)?|short(?:est)?|few(?:est)?|little|least)"
_DOWN = r"(?:minimi[sz](?:e|es|ing)|reduc(?:e|es|ing)|lower(?:ing)?|cut(?:ting)?)"
_AGAINST = r"(?:against|versus|vs\.?|trad(?:e|ed|ing)[ -]?off (?:against|with|for)|traded against)"
_NOT_NUMBER = rf"(?![ ]*(?:<|=|\u2264|is|of|to|under|below|at most|up to|within)*[ ]*{NUMBER})"
_GOALS = (
    *(
        (
            quantity,
            like(
                rf"\b(?:(?:then |and )?{_DOWN} {_WHOSE}(?:{name})|"
                rf"(?:keep(?:ing)?|and) {_WHOSE}(?:{name}) (?:as |very )?(?:{_LITTLE}|down)(?: as possible)?|"
                rf"(?:as |with )?(?:the |a )?{_LITTLE}(?: possible)? (?:{name})(?: as possible)?|"
                rf"{_AGAINST} {_WHOSE}(?:{name}))\b{_NOT_NUMBER}"
            ),
        )
        for quantity, name in _QUANTITIES
    ),
    (
        "latency_s",
        like(
            r"\b(?:the )?(?:fastest|quickest|fast|quick) (?:to answer|to score|at answering|inference|answers?)\b|"
            r"\banswers? (?:as )?(?:fast|quickly)(?: as possible)?\b"
        ),
    ),
    ("train_s", like(r"\b(?:the )?(?:fastest|quickest) to train\b|\btrains? as (?:fast|quickly) as possible\b")),
)
_NEGATED = like(r"(?:\b(?:no|not|never|without|nor|ignore|regardless of|whatever)\b|n't\b)[^.;,\n]*$")

_KINDS = {"label": r"topics?|labels?|class(?:es)?|categor(?:y|ies)|intents?", "source": r"domains?|sources?|datasets?"}
_KIND = rf"(?:(?P<label>{_KINDS['label']})|(?P<source>{_KINDS['source']}))"
_POINTS = rf"(?P<n>{NUMBER})[ ]*(?P<points>percentage points?|points?|pp|%|per ?cent)?"
_BASE = (
    r"(?:[ ]*(?:of|in) (?:accuracy|score|f1))?(?: (?:against|compared (?:to|with)|versus|vs\.?|over|from|than|below) "
)
_BASE += r"(?:the )?(?:untouched |original )?base(?: model)?)?"
_MAY = r"(?:(?:may|should|must|can|shall|is allowed to|are allowed to) )?"
_LOSE = r"(?:los(?:e|es|ing)|drop(?:s|ping)?|fall(?:s|ing)?|gets? worse|be worse)(?: by)?"
_MORE = r"(?:more than|over|above)"
_GROUPS = (
    like(rf"\bno (?:single |one )?{_KIND} {_MAY}{_LOSE} {_MORE} {_POINTS}{_BASE}"),
    like(rf"\b(?:each|every|any) {_KIND} {_MAY}{_LOSE} (?:at most|no more than|up to) {_POINTS}{_BASE}"),
    like(
        rf"\b(?:without losing|(?:not|never|n't) (?:to )?lose) {_MORE} {_POINTS}{_BASE} (?:on|in|for) "
        rf"(?:any|each|every|a single|some) {_KIND}{_BASE}"
    ),
)
_LATENCY = like(
    rf"(?:(?:at most|under|within|below|less than|no more than|up to|<=?|\u2264)[ ]*)(?P<n>{NUMBER})[ ]*"
    r"(?P<unit>ms|milliseconds?|s|secs?|seconds?) (?:per|an?|each|for each|for every|/) ?"
    r"(?:item|answer|message|row|example|request|prompt|query)\b"
)


def read_goals(text: Text) -> tuple[Goal, ...]:
    """What should be small besides the metric, in the order in which the brief says it. Claims the words."""
    found: list[tuple[int, str]] = []
    for quantity, pattern in _GOALS:
        for match in text.find(pattern):
            start = text.sentence(match.start())[0]
            if not _NEGATED.search(text.rest[start : match.start()]):
                found.append((match.start(), quantity))
                text.claim(*match.span())
    return tuple(Goal(quantity=quantity) for quantity in dict.fromkeys(name for _, name in sorted(found)))


def read_limits(text: Text) -> tuple[Constraint, ...]:
    """How much any label or source may lose against the base model, and how long an answer may take. Claims them.

    Points and per cent are hundredths; so is a bare number of one or more.
    """
    found: list[Constraint] = []
    for pattern in _GROUPS:
        for match in text.find(pattern):
            value = parse(match["n"])
            hundredths = match["points"] is not None or value >= 1
            kind = "label_loss" if match["label"] else "source_loss"
            found.append(Constraint(quantity=kind, relation="<=", value=value / 100 if hundredths else value))
            text.claim(*match.span())
    for match in text.find(_LATENCY):
        seconds = parse(match["n"]) / (1000 if match["unit"].lower().startswith("m") else 1)
        found.append(Constraint(quantity="latency_s", relation="<=", value=seconds))
        text.claim(*match.span())
    return tuple(dict.fromkeys(found))


def fitted(
    constraints: Sequence[Constraint], sources: Sequence[DataSource], form: RowFormat, notes: list[str]
) -> tuple[Constraint, ...]:
    """The limits on groups as limits on groups that this data has: one source alone is no group, nor are answers."""
    measured = [source for source in sources if source.measured and source.of_task(form)]
    there = [kind for kind, has in (("label", form == "label"), ("source", len(measured) > 1)) if has]
    kept = []
    for one in constraints:
        kind = GROUP_LOSSES.get(one.quantity)
        if kind is None or kind in there:
            kept.append(one)
        elif there:
            notes.append(f"no {kind}s are told apart in this data: what each {there[0]} loses is limited instead")
            kept.append(one.model_copy(update={"quantity": f"{there[0]}_loss"}))
        else:
            notes.append(f"no {kind}s are told apart in this data: what each of them may lose is not limited")
    return tuple(dict.fromkeys(kept))
