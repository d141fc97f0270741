"""What the brief says about the rows to train on: which part of them, chosen how, and how sources are mixed."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tunewright.agents.brief.naming import Naming, ordered, spelling
from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like
from tunewright.domain.errors import BriefError

_ROWS = (
    r"(?:of (?:all |the |its |my |our |your )?)?(?:training )?(?:data|rows|examples|samples|messages|items|records)\b"
)
_VERB = r"(?:keep|use|train on|learn from|select|choose|take|sample)(?:ing)?"
_BEST = r"(?:only |just )?(?:the |a )?(?:best |random |most useful |cleanest )?"
_SHARES = {"half": "1/2", "third": "1/3", "quarter": "1/4", "fifth": "1/5", "tenth": "1/10", "two thirds": "2/3"}
_SHARE = like(
    rf"\b{_VERB} {_BEST}(?:(?P<word>two thirds|half|third|quarter|fifth|tenth)|(?P<n>{NUMBER})[ ]*(?:%|per ?cent)) "
    rf"{_ROWS}"
)
_PREFIXED = like(rf"\b{_VERB} {_BEST}(?:(?P<word>half)|(?P<n>{NUMBER})[ ]*(?:%|per ?cent)) (?:the |my |our )?{_ROWS}")
_REPLAY = like(
    rf"\b(?P<n>{NUMBER})[ ]*(?:%|per ?cent) (?:of )?(?:general(?:[ -]purpose)?|replay(?:ed)?) "
    r"(?:data|rows|text|examples)\b"
)


def read_share(text: Text) -> float | None:
    """The share of the rows to train on; None if the brief does not say.

    Raises:
        BriefError: nothing or more than everything is to be kept.
    """
    for pattern in (_SHARE, _PREFIXED):
        for match in text.find(pattern):
            text.claim(*match.span())
            share = float(Fraction(_SHARES[match["word"].lower()])) if match["word"] else parse(match["n"]) / 100
            if not 0 < share <= 1:
                raise BriefError(
                    f"'{text.says(*match.span())}' is no part of the data", 'say for example: "keep half of the data"'
                )
            return share
    return None


def read_replay(text: Text) -> float:
    """The share of general data to mix in; 0 if the brief does not say.

    Raises:
        BriefError: a share of everything.
    """
    for match in text.find(_REPLAY):
        share = parse(match["n"]) / 100
        if not 0 <= share < 1:
            raise BriefError(f"'{text.says(*match.span())}' leaves no room for the task's own rows", "give less")
        text.claim(*match.span())
        return share
    return 0.0


def read_named(text: Text, shelf: Mapping[str, Naming]) -> tuple[str, ...]:
    """The methods of one shelf that the brief names, in its order. Claims their names."""
    found: dict[str, int] = {}
    for kind in ordered(shelf):
        for match in text.find(spelling(kind, shelf[kind])):
            found.setdefault(kind, match.start())
            text.claim(*match.span())
    return tuple(sorted(found, key=lambda kind: found[kind]))
