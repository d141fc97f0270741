"""Caps in the five currencies, as people write them; numbers that are no budget are left alone.

How sure a quantity is a cap decides: ``strong`` has a limiting word or stands alone, ``plain`` has a unit that
only budgets have, ``weak`` has neither and counts only if nothing better caps the same currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tunewright.agents.brief.number import NUMBER, decimal_comma, parse
from tunewright.agents.brief.text import Text, like
from tunewright.domain.budget import CURRENCIES, Budget
from tunewright.domain.errors import BriefError

EXAMPLE = 'say for example: "... At most 30 minutes and 12 trials."'

STRONG, PLAIN, WEAK, REFUSED = 2, 1, 0, -1

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNIT = (
    r"(?:seconds?|secs?|s|minutes?|minuts?|mins?|mn|(?-i:m)(?![ ]*(?:param|token|row|model))|"
    r"hours?|hrs?|h|days?|d|weeks?|wks?)(?![\w])"
)
_DEVICE = r"(?:gpu|device|accelerator|cpu|tpu|compute|[ahv]\d{2,3}0?)"
_SIGN = r"(?P<sign>(?<![\w)\0])-(?=[\d$])|\b(?:minus|negative) )?"
_UPPER = rf"(?:\b\d[\d.]*[ ]*-[ ]*(?=\d)|{NUMBER} (?:to|or) )?"
"""The lower end of a range; the upper end is the cap."""
_N = rf"{_UPPER}(?P<n>{NUMBER})"
_IS = r"[ ]*(?:[:=]|<=?|\u2264|is|are|of|limit|budget|cap|max(?:imum)?|at most|up to|limited to|no more than|[ ])+[ ]*"
_TRIAL = (
    r"(?:(?:search|training|fine-?tuning|tuning|optuna|total|different|separate) )?"
    r"(?:trials?|runs?|experiments?|tries|attempts)(?![\w-])"
)


_CLOCK = like(
    r"(?P<sign>)(?<![\w:])(?P<h>\d{1,3})(?::(?P<m>\d{2})[ ]*(?:h|hours?|hrs?)\b|[ ]?h[ ]?(?P<m2>\d{1,2})[ ]?m?\b)"
)
_CURRENCY_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("device_s", like(rf"{_SIGN}{_N}[ -]*{_DEVICE}[ -]+(?P<u>{_UNIT})")),
    ("device_s", like(rf"{_SIGN}{_N}[ -]*(?P<u>{_UNIT})(?: of)?[ -]+{_DEVICE}[ -]*time\b")),
    ("device_s", like(rf"\b{_DEVICE}[ _-]+(?P<u>{_UNIT}){_IS}{_SIGN}{_N}")),
    ("device_s", like(rf"\b{_DEVICE}[ _-]*time{_IS}{_SIGN}{_N}[ -]*(?P<u>{_UNIT})")),
    ("usd", like(rf"{_SIGN}(?:us)?\$[ ]*(?P<sign2>-)?{_N}(?:[ ]*(?:usd|dollars?))?")),
    ("usd", like(rf"\b(?:usd|us[ ]dollars){_IS}?[ ]*{_SIGN}{_N}(?![ ]*(?:trial|run|min|hour))")),
    ("usd", like(rf"{_SIGN}{_N}[ -]*(?P<u>us[ ]dollars?|usd|dollars?|bucks|cents?|(?:us)?\$)(?![\w])")),
    ("usd", like(rf"\bdollars?{_IS}{_SIGN}{_N}(?![ -]*(?:trial|run|min|hour|token))")),
    ("llm_tokens", like(rf"{_SIGN}{_N}[ -]*(?P<llm>(?:llm|language[ -]model|api|chat)[ -]+)?tokens?\b")),
    ("llm_tokens", like(rf"\b(?P<llm>llm[ _-]+|language[ -]model )?tokens?{_IS}{_SIGN}{_N}(?![ -]*[a-z])")),
    ("trials", like(rf"{_SIGN}{_N}[ -]*{_TRIAL}")),
    (
        "trials",
        like(
            rf"\b(?:max[_ -]?|n[_ -]?)?(?:trials?|experiments|runs){_IS}{_SIGN}{_N}"
            rf"(?![ -]*(?:{_UNIT}|%|\$|dollars?|usd|tokens?))"
        ),
    ),
    ("wall_s", like(rf"\b(?P<u>minutes|mins|hours|hrs|seconds){_IS}{_SIGN}{_N}(?![ -]*[a-z])")),
    ("wall_s", like(rf"{_SIGN}{_N}[ -]*(?P<u>{_UNIT})(?P<half> and a half)?")),
)

_CAP_BEFORE = like(
    r"(?:at (?:the |the very )?most|(?:no|not|never)(?: \w+)? (?:more|longer|greater|larger|later|higher) than|"
    r"(?:not|n't|cannot|never|without) (?:to )?(?:exceed(?:ing)?|go(?:ing)? over|run(?:ning)? over|pass(?:ing)?|over)|"
    r"(?:not|n't|never) (?:take|cost|use|spend|run|last) (?:more|longer) than|"
    r"(?:less|fewer|shorter|cheaper) than|under|below|within|inside|up to|max\.?(?:imum)?(?: of)?|maximally|"
    r"(?:time[ -]*|total )?(?:budget|limit(?:ed)?|cap(?:ped)?|ceiling|allowance)(?: (?:of|is|to|at|for[ ]\w+))*|"
    r"spend(?:ing)?|stop (?:after|at)|give (?:it|up after)|you (?:have|get|may use|can use)|"
    r"(?:in|over|for) the next|time|cost|costs|finish(?:ed)? in|done in|<=?|\u2264|:|=)"
    r"[ ]*(?:[ ]|\b(?:an?|the|total|of|only|just|about|around|roughly|approximately|some|is|in|all|say)\b|~|\()*$"
)
_CAP_AFTER = like(
    r"[ ]*(?:\(?[ ]*(?:in total|total|at (?:the )?most|max\b|maximum|tops\b|or (?:less|fewer|under)|limit|budget|cap\b|"
    r"altogether|overall|all in\b|on the clock|(?:of )?wall(?:[ -]*clock)?|of budget))"
)
_NO_CAP_BEFORE = like(
    r"(?:\b(?:last|past|previous|every|each|first|older than|longer than|more than|over|at least|exceed(?:s|ed)?|"
    r"min(?:imum)?(?: of)?|wait(?:ed|ing|s)?(?: for)?|paid|worth|after the)|>=?|\u2265)[ ]*$"
)
_NO_CAP_AFTER = like(
    r"[ ]*(?:ago\b|old\b|later\b|apart\b|(?:per|each|every|/|for each|for every)[ ]*[a-z]|"
    r"an? (?:trial|run|month|week|day|row|message)\b|"
    r"of (?:audio|video|speech|data|history|logs?|messages|silence|text|footage|talk)\b|"
    r"[ -]*(?:windows?|sla|delays?|timeouts?|intervals?|refunds?|bills?|invoices?|records?|videos?|clips?|calls?)\b)"
)
_PER_TRIAL = like(
    r"[ ]*(?:(?:per|each|every|/|for each|for every)[ ]*(?:single )?|an? )(?:trial|run|experiment)|"
    r"[ ]*(?:each|apiece)\b"
)
_EACH_TRIAL = like(r"\b(?:each|every|per|any) (?:single )?(?:trial|run|experiment|training)\b")
_HOLDS = like(r"\b(?:has|contains?|holds?|data(?:set)? (?:of|on|from|with)|(?:results|records) of) (?:the )?$")
_LENGTH = like(
    r"\b(?:length|long|sequences?|context|prompts?|answers?|outputs?|messages?|inputs?|rows?|per|each|truncat\w*|generat\w*|new|window)\b"
)
_AND = like(r"[ ]*(?:,|and|,[ ]*and)?[ ]*")
_UNITS = like(_UNIT)
_LINK = like(r"[ ]*(?:,|and|or|/|plus|&|\+|;|\||also|in total|total|[ ]|\0)*")
_ZERO = like(rf"\bbudget[ ]*(?:of|is|:|=)?[ ]*(?:zero|nothing|none|0)(?![\w.,]*\d)(?![ -]*(?:{_UNIT}|\$))")


@dataclass(frozen=True)
class _Quantity:
    currency: str
    value: float
    start: int
    end: int
    strength: int


def read_budget(text: Text, notes: list[str]) -> dict[str, float]:
    """Currency -> cap. Claims what it reads; says in ``notes`` what it had to decide.

    Raises:
        BriefError: a cap of zero or less.
    """
    zero = _ZERO.search(text.rest)
    if zero:
        raise _nothing_to_spend(text.says(*zero.span()))
    found = _merged(text, _quantities(text, notes))
    for quantity in found:
        if quantity.strength == REFUSED:
            notes.append(
                f"'{text.says(quantity.start, quantity.end)}' a trial is not used: limits are for the whole study"
            )
            text.claim(quantity.start, quantity.end)
    found = _linked(text, [quantity for quantity in found if quantity.strength != REFUSED])
    caps: dict[str, float] = {}
    for currency in CURRENCIES:
        mine = [quantity for quantity in found if quantity.currency == currency]
        sure = max((quantity.strength for quantity in mine), default=WEAK)
        # Strong and plain caps bind alike; a weak one is a guess for want of better.
        mine = [quantity for quantity in mine if quantity.strength >= min(sure, PLAIN)]
        if mine:
            caps[currency] = _cap(text, mine, sure, notes)
    return caps


def _cap(text: Text, quantities: list[_Quantity], sure: int, notes: list[str]) -> float:
    for quantity in quantities:
        text.claim(quantity.start, quantity.end)
        if quantity.value <= 0:
            raise _nothing_to_spend(text.says(quantity.start, quantity.end))
    smallest = min(quantities, key=lambda quantity: quantity.value)
    said = text.says(smallest.start, smallest.end)
    if len({quantity.value for quantity in quantities}) > 1:
        others = ", ".join(f"'{text.says(q.start, q.end)}'" for q in quantities if q.value != smallest.value)
        notes.append(f"the brief says '{said}' and {others}; the smaller limit binds")
    elif sure == WEAK:
        notes.append(f"'{said}' is taken for the budget")
    if smallest.currency not in ("trials", "llm_tokens"):
        return smallest.value
    if smallest.value < 1:
        raise _nothing_to_spend(said)
    if smallest.value != int(smallest.value):
        notes.append(f"'{said}' is read as {int(smallest.value)}")
    return int(smallest.value)


def assemble_budget(caps: dict[str, float]) -> Budget:
    """The budget of at least one cap."""
    return Budget.model_validate(caps)


def no_budget() -> BriefError:
    return BriefError("I could not find a budget in the brief.", EXAMPLE)


def _nothing_to_spend(said: str) -> BriefError:
    return BriefError(f"'{said}' leaves a budget of zero: nothing could be run", EXAMPLE)


def _quantities(text: Text, notes: list[str]) -> list[_Quantity]:
    taken = Text(text.raw)
    taken.rest = text.rest
    found: list[_Quantity] = []
    for match in taken.find(_CLOCK):
        seconds = int(match["h"]) * 3600 + int(match["m"] or match["m2"] or 0) * 60
        found += _judged(taken, "wall_s", float(seconds), match, notes)
        taken.claim(*match.span())
    for currency, pattern in _CURRENCY_PATTERNS:
        for match in taken.find(pattern):
            value = _value(currency, match)
            if value is None or _part_of_a_name(taken.rest, match):
                continue
            found += _judged(taken, currency, value, match, notes)
            taken.claim(*match.span())
    return sorted(found, key=lambda quantity: quantity.start)


def _part_of_a_name(rest: str, match: re.Match[str]) -> bool:
    """``smollm2-135m`` is a model of 135 million parameters, not 135 minutes."""
    before = rest[max(0, match.start() - 2) : match.start()]
    return bool(re.fullmatch(r"[\w.]-", before) and re.fullmatch(r"[\d.,]+[A-Za-z]+", match.group()))


def _value(currency: str, match: re.Match[str]) -> float | None:
    said, parts = match["n"], match.groupdict()
    value = parse(said)
    unit = (parts.get("u") or "").lower()
    if currency == "trials" and said.lower() in ("a", "an"):
        return None
    if currency in ("trials", "llm_tokens") and re.fullmatch(r"\d{1,3}(?:\.\d{3})+", said):
        value = float(said.replace(".", ""))  # nobody means thousandths of a trial: a continental 1.000
    if currency in ("wall_s", "device_s"):
        value = (value + (0.5 if parts.get("half") else 0.0)) * _SECONDS[unit[0]]
    if unit.startswith("cent"):
        value /= 100
    return -value if match["sign"] or parts.get("sign2") else value


def _judged(text: Text, currency: str, value: float, match: re.Match[str], notes: list[str]) -> list[_Quantity]:
    """The quantity with how sure it is a cap; none if its surroundings say that it is not."""
    start, end = text.sentence(match.start())
    before, after = text.rest[start : match.start()], text.rest[match.end() : end]
    per_trial = _PER_TRIAL.match(after)
    if per_trial or (
        currency != "trials" and _EACH_TRIAL.search(text.rest, text.clause(match.start())[0], match.start())
    ):
        end = match.end() + (per_trial.end() if per_trial else 0)
        return [_Quantity(currency, value, match.start(), end, REFUSED)]
    capped = _CAP_BEFORE.search(before) or _CAP_AFTER.match(after) or match.group()[:3].lower() == "max"
    if _NO_CAP_AFTER.match(after) or (not capped and (_NO_CAP_BEFORE.search(before) or _HOLDS.search(before))):
        return []
    clause = slice(*text.clause(match.start()))
    if currency == "llm_tokens" and not match["llm"] and _LENGTH.search(text.rest[clause].replace(match.group(), "")):
        return []
    alone = not re.search(r"[^\W_]", text.rest[clause.start : match.start()] + text.rest[match.end() : clause.stop])
    strength = STRONG if capped or alone else PLAIN
    if strength == PLAIN and currency not in ("trials", "device_s"):
        strength = WEAK
    if decimal_comma(match["n"] if "n" in match.groupdict() else ""):
        notes.append(f"'{match['n']}' is read with a decimal comma, as {parse(match['n']):g}")
    return [_Quantity(currency, value, match.start(), match.end(), strength)]


def _merged(text: Text, quantities: Iterable[_Quantity]) -> list[_Quantity]:
    """``1 hour`` beside ``30 minutes`` is one quantity; a larger or equal unit after it is another."""
    merged: list[_Quantity] = []
    for quantity in quantities:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.currency == quantity.currency == "wall_s"
            and _AND.fullmatch(text.rest, last.end, quantity.start)
            and _grain(text, quantity) < _grain(text, last)
            and quantity.value < _grain(text, last)
        ):
            merged[-1] = replace(
                last,
                value=last.value + quantity.value,
                end=quantity.end,
                strength=max(last.strength, quantity.strength),
            )
        else:
            merged.append(quantity)
    return merged


def _grain(text: Text, quantity: _Quantity) -> int:
    units = _UNITS.findall(text.rest, quantity.start, quantity.end)
    return _SECONDS[units[-1][0].lower()] if units else 1


def _linked(text: Text, quantities: list[_Quantity]) -> list[_Quantity]:
    """A cap's limiting word holds for what is strung to it: ``at most 30 minutes, $5 and 12 trials``."""
    linked: list[_Quantity] = []
    for quantity in quantities:
        last = linked[-1] if linked else None
        strung = last is not None and _LINK.fullmatch(text.rest[last.end : quantity.start]) is not None
        if last is not None and strung and last.strength == STRONG and last.currency != quantity.currency:
            quantity = replace(quantity, strength=STRONG)  # noqa: PLW2901  the sharpened quantity is what goes on
        linked.append(quantity)
    return linked
