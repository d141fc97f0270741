"""What is measured: the metric named in the brief, or the usual one for the task."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright.agents.brief.text import Text, like
from tunewright.domain.errors import BriefError, unknown_name
from tunewright.domain.task import Direction, Metric, RowFormat
from tunewright.tools.evaluation.registry import ALIASES

_SPELLINGS = (
    (r"(?:preference|pair(?:wise)?|reward(?:[- ]model)?)[-_ ]accurac(?:y|ies)", "preference_accuracy"),
    (r"reasoning[-_ ]?gym(?:'s)?(?: (?:own )?(?:verifiers?|scorers?|scores?))?", "reasoning_gym"),
    (r"exact(?:ly)?[-_ ]match(?:es)?|exact answers?", "exact_match"),
    (r"token[-_ ]?(?:level )?f[-_ ]?1(?:[- ]score)?|squad[- ]f1", "token_f1"),
    (
        r"(?:macro[-_ ]?(?:averaged )?)?f[-_ ]?1(?:[- ]?(?:score|measure))?(?:[- ]?macro)?|macro[- ]f[- ]score",
        "macro_f1",
    ),
    (r"rouge[-_ ]?l?(?:[- ]score)?", "rouge_l"),
    (r"accurac(?:y|ies)|share of correct (?:answers|labels)|hit rate", "accuracy"),
    (r"perplexity|ppl", "perplexity"),
    (r"(?:(?:validation|val|eval|evaluation|test|held-?out|token|cross[- ]entropy) )?loss|cross[- ]entropy", "loss"),
    (r"(?:valid|well-formed) json", "json_valid"),
)
_PHRASES = tuple((like(rf"(?:{spelling})(?!\w)"), name) for spelling, name in _SPELLINGS)
_ORDINARY_WORDS = frozenset({"loss", "contains", "exact", "verifier", "em", "acc"})
"""Scorers' names that mean something else in plain prose: they count only after a word such as "maximise"."""

_UP = r"maximi[sz](?:e|es|ing)|highest|best possible|increas(?:e|ing)|rais(?:e|ing)|improv(?:e|ing)|boost(?:ing)?"
_DOWN = r"minimi[sz](?:e|es|ing)|lowest|lower(?:ing)?|reduc(?:e|ing)|decreas(?:e|ing)"
_CUE = (
    rf"(?:(?P<up>{_UP})|(?P<down>{_DOWN})|optimi[sz](?:e|es|ing)(?: for)?|(?:metric|scorer)[ ]*(?:is|:|=)?|"
    r"measured? (?:by|as|with|in)|in terms of|(?:objective|goal|score|success)[ ]*(?:is|:|=)|"
    r"(?:scored?|scoring|judged?|graded?|rated|evaluated?|ranked|compared?) (?:it |them )?(?:by|with|on|for|using))"
)
_FILLER = r"(?: (?:the|its|their|our|validation|val|eval|test|held-?out|overall|mean|average|macro[- ]averaged|final))*"
_CUED = like(rf"\b{_CUE}{_FILLER}[ ]*[\"'`]?(?P<name>[A-Za-z][\w-]*(?: [A-Za-z][\w-]*)?)[\"'`]?")
_INSISTS = like(r"maximi[sz]|minimi[sz]|metric|scorer")
_FLAT = like(r"[^a-z0-9]+")


def read_aim(text: Text, scorers: Mapping[str, Direction]) -> str | None:
    """The scorer that the brief wants to be maximised, minimised or measured by; None if it says of none. Claims it, so
    that a reward of the same name is none.

    Raises:
        BriefError: the brief wants it the wrong way round.
    """
    for match in text.find(_CUED):
        found = _known(match["name"], text.rest[match.start("name") :], scorers, cued=True)
        if found is not None:
            name, length = found
            _check_direction(name, scorers, up=bool(match["up"]), down=bool(match["down"]))
            text.claim(match.start(), match.start("name") + length)
            return name
    return None


def read_metric(text: Text, scorers: Mapping[str, Direction]) -> str | None:
    """The scorer that the brief names elsewhere, where ``read_aim`` finds none; None if it names none. Claims it.

    Raises:
        UnknownNameError: a metric is to be maximised or minimised that no scorer measures.
    """
    for match in text.find(like(r"[\"'`]?(?<![\w-])(?P<name>[A-Za-z][\w-]*)")):
        quoted = match.group()[0] in "\"'`"
        found = _known(match["name"], text.rest[match.start("name") :], scorers, cued=quoted)
        if found is not None:
            text.claim(match.start("name"), match.start("name") + found[1])
            return found[0]
    for match in text.find(_CUED):
        if _INSISTS.match(match.group()):
            raise unknown_name("metric", match["name"].split(" ")[0], scorers, "Others come by an entry point.")
    return None


def choose_metric(
    named: str | None,
    format_: RowFormat,
    longest_target: int,
    scorers: Mapping[str, Direction],
    notes: list[str],
) -> Metric:
    """The metric for a task: the one named, made to fit the format, or the usual one.

    Args:
        longest_target: characters of the longest target seen; up to 64 is an answer that can be right or wrong.
    """
    name = named or _usual(format_, longest_target)
    if named is None:
        notes.append(f"no metric is named; {name} is taken")
    free = {"accuracy": "exact_match", "macro_f1": "token_f1"}.get(name)
    if format_ in ("preference", "judged") and name == "accuracy":
        notes.append("accuracy is measured as preference_accuracy: how often the better answer is preferred")
        name = "preference_accuracy"
    elif format_ != "label" and free is not None and free in scorers:
        notes.append(f"{name} of free text is measured as {free}: the share of it that is right")
        name = free
    if name not in scorers:
        raise unknown_name("metric", name, scorers)
    return Metric(name=name, direction=scorers[name])


def _usual(format_: RowFormat, longest_target: int) -> str:
    if format_ in ("label", "preference", "judged"):
        return "accuracy" if format_ == "label" else "preference_accuracy"
    return "exact_match" if format_ == "completion" and longest_target <= 64 else "loss"


def _known(word: str, rest: str, scorers: Mapping[str, Direction], *, cued: bool) -> tuple[str, int] | None:
    """The scorer that ``rest`` begins with, and how many characters name it."""
    for phrase, name in _PHRASES:
        match = phrase.match(rest)
        if match and name in scorers and (cued or name not in _ORDINARY_WORDS):
            return name, match.end()
    flat = {_FLAT.sub("", name.lower()): name for name in (*ALIASES, *scorers)}
    for said in dict.fromkeys((word, word.split(" ", maxsplit=1)[0])):
        name = flat.get(_FLAT.sub("", said.lower()), "")
        scorer = ALIASES.get(name, name)
        if scorer in scorers and (cued or name.lower() not in _ORDINARY_WORDS):
            return scorer, len(said)
    return None


def _check_direction(name: str, scorers: Mapping[str, Direction], *, up: bool, down: bool) -> None:
    better = "higher" if scorers[name] == "max" else "lower"
    if (up and better == "lower") or (down and better == "higher"):
        raise BriefError(
            f"the brief wants '{name}' {'higher' if up else 'lower'}, and {better} is better",
            f"say for example: {'maximise' if better == 'higher' else 'minimise'} {name}",
        )
