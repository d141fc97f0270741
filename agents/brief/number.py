"""Numbers as people write them: ``30``, ``1,000``, ``1,5``, ``200k``, ``1½``, ``twenty-five``, ``half a``."""

from __future__ import annotations

import re
import unicodedata

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_WORDS = _UNITS | _TENS
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
_SUFFIXES = {"k": 1e3, "m": 1e6, "mio": 1e6, "thousand": 1e3, "million": 1e6, "hundred": 1e2, "dozen": 12}

_ANY = "|".join(sorted((*_WORDS, *_SCALES), key=len, reverse=True))
_FRACTION = "[\u00bc-\u00be\u2150-\u215e]"
_DIGITS = (
    rf"(?:\d{{1,3}}(?:[,' ]\d{{3}})+(?:\.\d{{1,6}})?|\d{{1,15}}(?:[.,]\d{{1,6}})?(?:e\d{{1,2}})?)"
    rf"(?:[ ]?{_FRACTION}|[ ]+\d/\d|[ ]+and[ ]+a[ ]+half)?"
    rf"(?:[ ]?(?:thousand|million|hundred|dozen|mio)\b|(?:k|(?-i:M))(?![A-Za-z]))?"
)
_SPELT = (
    rf"(?:an?[ ]+(?=hundred|thousand|dozen|million))?(?:{_ANY})(?:[ -]+(?:and[ ]+)?(?:{_ANY}))*"
    r"(?:[ ]+and[ ]+a[ ]+half)?"
)
_PARTS = (
    r"half[ ]+a[ ]+dozen|half[ ]+an?|a[ ]+half|half(?=[ -]+(?:hour|day|minute|dollar))|"
    r"three[ -]quarters[ ]+of[ ]+an?|a[ ]+quarter[ ]+of[ ]+an?|a[ ]+quarter|a[ ]+couple[ ]+of|a[ ]+single|"
    r"\d/\d(?:[ ]+of[ ]+an?)?|" + _FRACTION
)
_ARTICLE = r"an?(?=[ -]+(?:hour|minute|day|second|week|dollar|gpu|device|cpu))"

NUMBER = rf"(?:(?<![\w.,/])(?:{_PARTS}|{_DIGITS}|{_SPELT}|{_ARTICLE})(?!\d))"
"""A pattern for one number, to be compiled by ``text.like`` inside a larger one."""

_HALF_AFTER = re.compile(r"[ ]+and[ ]+a[ ]+half$")
_SIMPLE = {
    "half a dozen": 6.0,
    "a quarter": 0.25,
    "a couple of": 2.0,
    "a single": 1.0,
    "a": 1.0,
    "an": 1.0,
    "half": 0.5,
    "a half": 0.5,
    "half a": 0.5,
    "half an": 0.5,
    "a quarter of a": 0.25,
    "a quarter of an": 0.25,
    "three quarters of a": 0.75,
    "three quarters of an": 0.75,
}


def parse(words: str) -> float:
    """The value of a stretch that ``NUMBER`` matched."""
    text = " ".join(words.lower().split())
    simple = _SIMPLE.get(text.replace("-", " "))
    if simple is not None:
        return simple
    if _HALF_AFTER.search(text):
        return parse(_HALF_AFTER.sub("", text)) + 0.5
    return _digits(text) if text[0].isdigit() or unicodedata.category(text[0]) == "No" else _spelt(text)


def decimal_comma(words: str) -> bool:
    """Whether a comma in it was taken for a decimal point, which is worth a word to the user."""
    return re.search(r"\d,\d{1,2}(?!\d)|\d,\d{4,}", words) is not None


def _digits(text: str) -> float:
    quotient = re.fullmatch(r"(?:(\d+) )?(\d)/(\d)(?: of an?)?", text)
    if quotient:
        whole, above, below = quotient.groups()
        return float(whole or 0) + (float(above) / float(below) if float(below) else 0.0)
    scale = 1.0
    for suffix, factor in sorted(_SUFFIXES.items(), key=lambda pair: -len(pair[0])):
        if text.endswith(suffix):
            text, scale = text.removesuffix(suffix).rstrip(), factor
            break
    extra = 0.0
    if unicodedata.category(text[-1]) == "No":
        text, extra = text[:-1].rstrip(), unicodedata.numeric(text[-1])
    if not text:
        return extra * scale
    if re.fullmatch(r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?", text):
        return (float(re.sub("[,' ]", "", text)) + extra) * scale
    return (float(text.replace(",", ".")) + extra) * scale


def _spelt(text: str) -> float:
    total, part = 0, 0
    for word in re.split(r"[ -]+", text):
        if word in _WORDS:
            part += _WORDS[word]
        elif word in ("hundred", "dozen"):
            part = max(part, 1) * _SCALES[word]
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
    return float(total + part)
