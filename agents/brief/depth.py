"""What the brief says about training parts of a model at a time: progressive depth, and simulated clients."""

from __future__ import annotations

from typing import Any

from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like
from tunewright.domain.errors import BriefError

DEPTHS = (2, 3, 4)
"""Depths to go through that are searched where the brief gives no number: DevFT's are four."""
CLIENTS = 4
"""Where a brief asks for federated training and does not say of how many."""
ALPHA = 0.5
"""Of the Dirichlet distribution where the clients' rows are to differ and the brief does not say how much."""

_COUNT = rf"(?P<n>{NUMBER})[ -]*(?:stages?|depths?|phases?)"
_PROGRESSIVE = like(
    rf"\b(?:{_COUNT.replace('<n>', '<before>')} )?(?:progressive(?:ly)?[ -](?:depths?|deepening|deeper)|dev-?ft|"
    r"developmental (?:federated )?(?:fine-?)?tuning)\b(?: (?:training|schedules?))?"
    rf"(?: (?:in|with|of|over|through|at) {_COUNT}\b)?"
)
_FEDERATED = like(r"\bfederated(?: (?:averaging|learning|training|fine-?tuning))?\b|\bfed-?avg\b|\bsimulated clients\b")
_CLIENTS = like(
    rf"\b(?:with|over|across|among|between|by|on|for|of)?[ ]*(?P<n>{NUMBER}) (?P<said>(?:simulated|federated) )?"
    r"clients\b"
)
_TOLD = like(r"^(?:with|over|across|among|between)\b")
_DIFFER = like(
    rf"\bnon-?iid\b|\bdirichlet\b(?: (?:distribution|partitions?|splits?))?"
    rf"(?:[ ]*(?:\(|of|with|at|=|:)*[ ]*(?:alpha|\u03b1)?[ ]*(?:of|=|:)?[ ]*(?P<n>{NUMBER})\)?)?"
)
_TRIED = like(
    r"(?:\b(?:try|tries|trying|test|compar(?:e|es|ing)|whether|if|also|including|versus|vs\.?|against|with and without|"
    r"with or without)\b)[^.;\n]*$"
)
_BESIDE = like(r"^[^.;\n]*\b(?:versus|vs\.?|against|compared (?:to|with)|or (?:full|the whole)|helps?|pays?)\b")
_NEGATED = like(r"(?:\b(?:no|not|never|nor|avoid|skip|rather than|instead of)\b|(?<!and[ ])(?<!or[ ])\bwithout\b|n't\b)"
                r"[^.;,\n]*$")  # fmt: skip


def read_depth(text: Text, notes: list[str]) -> dict[str, Any]:
    """The fields of ``Wishes`` for it: ``depths``, ``clients`` and ``alpha``, those that the brief says.

    Raises:
        BriefError: a number of depths or clients that cannot be.
    """
    found: dict[str, Any] = {}
    depths = _depths(text)
    federated = _federated(text)
    if depths:
        found["depths"] = depths
    clients = _clients(text, federated=federated is not None or bool(depths))
    if clients is None and federated:
        clients = CLIENTS
        notes.append(f"how many clients train is not said; {CLIENTS} are assumed")
    if clients is not None:
        found["clients"] = clients
        found |= _spread(text)
    return found


def _depths(text: Text) -> tuple[int, ...]:
    """How many depths are to be gone through, the default first; 1, the whole model, where that is to be compared."""
    found: tuple[int, ...] = ()
    for match in text.find(_PROGRESSIVE):
        first, last = text.sentence(match.start())
        before, after = text.rest[first : match.start()], text.rest[match.end() : last]
        number = match["before"] or match["n"]
        text.claim(*match.span())
        if _NEGATED.search(before) or found:
            continue
        depths = DEPTHS if number is None else (int(parse(number)),)
        if not 2 <= depths[0] <= 4:
            raise BriefError(
                f"'{text.says(*match.span())}' cannot be: progressive depth goes through 2 to 4 depths",
                'say for example: "progressive depth in 3 stages"',
            )
        found = (*depths, 1) if _TRIED.search(before) or _BESIDE.search(after) else depths
    return found


def _federated(text: Text) -> bool | None:
    """Whether it is asked for; None if the brief says nothing of it."""
    found: bool | None = None
    for match in text.find(_FEDERATED):
        before = text.rest[text.sentence(match.start())[0] : match.start()]
        found = not _NEGATED.search(before) or bool(found)
        text.claim(*match.span())
    return found


def _clients(text: Text, *, federated: bool) -> int | None:
    """How many clients train. Clients that nothing says are of a federation may be a firm's."""
    for match in text.find(_CLIENTS):
        if not (federated or match["said"] or _TOLD.search(match.group())):
            continue
        text.claim(*match.span())
        count = int(parse(match["n"]))
        if not 1 <= count <= 1000:
            raise BriefError(f"'{text.says(*match.span())}' cannot be: 1 to 1,000 clients can be simulated")
        return count
    return None


def _spread(text: Text) -> dict[str, float]:
    for match in text.find(_DIFFER):
        text.claim(*match.span())
        alpha = ALPHA if match["n"] is None else parse(match["n"])
        if alpha <= 0:
            raise BriefError(f"'{text.says(*match.span())}' cannot be: alpha is above 0")
        return {"alpha": alpha}
    return {}
