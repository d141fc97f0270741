"""Passages as unit vectors: words by TF-IDF, and the settings of trials by where they lie in their ranges.

The paper embeds sentences by a model; TF-IDF and settings are ours, as a host has no such model and tests need none.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewright.agents.context.passage import Passage, Place
from tunewright.agents.outcome_facts import setting
from tunewright.domain.frozen import Json
from tunewright.domain.space import Choice, Float, Int, Simplex, Space, StagePlan, is_number

Floats = NDArray[np.float64]

SETTINGS_SHARE = 0.6
"""Of the cosine of two trials, what their settings count; their words count the rest. Ours."""
_KNOTS = 5
"""A number lies between two of so many points of its range and has weight at both, so that near ones are alike."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_LONGEST_VOCABULARY = 4096


@dataclass(frozen=True)
class Vectors:
    """Rows of unit length, or of zero length where there is nothing to compare."""

    rows: Floats
    """(passages, features)"""
    vocabulary: Mapping[str, int]
    idf: Floats

    def of_text(self, text: str) -> Floats:
        """The vector (features,) of other text over the same words."""
        made = np.zeros(self.rows.shape[1])
        made[: len(self.idf)] = _unit(_weights(Counter(_words(text)), self.vocabulary, self.idf)[None])[0]
        return made


def vectors(passages: Sequence[Passage]) -> Vectors:
    """One row a passage; the same passages give the same rows."""
    counts = [Counter(_words(one.text)) for one in passages]
    df = Counter(word for count in counts for word in count)
    words = sorted(df, key=lambda word: (-df[word], word))[:_LONGEST_VOCABULARY]
    vocabulary = {word: at for at, word in enumerate(words)}
    # A word that every passage has says nothing of any.
    idf = np.array([math.log((1 + len(passages)) / df[word]) for word in words])
    by_words = np.zeros((len(passages), len(words)))
    for row, count in zip(by_words, counts, strict=True):
        for word, times in count.items():
            if word in vocabulary:
                row[vocabulary[word]] = (1 + math.log(times)) * idf[vocabulary[word]]
    by_settings = _placed([one.place for one in passages])
    has = (np.abs(by_settings).sum(1, keepdims=True) > 0) * SETTINGS_SHARE
    rows = np.hstack([np.sqrt(1 - has) * _unit(by_words), np.sqrt(has) * _unit(by_settings)])
    return Vectors(_unit(rows), vocabulary, idf)


def place(space: Space, settings: Mapping[str, Json]) -> Place:
    """Where a recipe's settings lie: those of the space's dimensions that are active in it.

    Args:
        settings: recipe path -> value.
    """
    found: dict[str, float] = {}
    assignment: dict[str, Json] = {}
    for dimension in space.dimensions:
        value = setting(settings, dimension.path)
        if value is None or not dimension.active(assignment):
            continue
        assignment[dimension.name] = value
        if isinstance(dimension, Choice | StagePlan):
            found[f"{dimension.path}={value}"] = 1.0
        elif isinstance(dimension, Simplex):
            found |= {
                f"{dimension.path}/{part}": math.sqrt(max(0.0, w))
                for part, w in zip(dimension.parts, value, strict=False)
            }
        elif is_number(value):
            found |= _between(dimension, float(value))
    return found


def _between(dimension: Float | Int, value: float) -> dict[str, float]:
    low, high = float(dimension.low), float(dimension.high)
    if high <= low:
        return {}
    if dimension.log and low > 0 and value > 0:
        low, high, value = math.log(low), math.log(high), math.log(value)
    at = min(1.0, max(0.0, (value - low) / (high - low))) * (_KNOTS - 1)
    left = min(int(at), _KNOTS - 2)
    # Cosine and sine, so that every number weighs as much as every choice.
    turn = (at - left) * math.pi / 2
    return {f"{dimension.path}@{left}": math.cos(turn), f"{dimension.path}@{left + 1}": math.sin(turn)}


def _placed(places: Sequence[Place]) -> Floats:
    columns = {name: at for at, name in enumerate(dict.fromkeys(name for one in places for name in one))}
    made = np.zeros((len(places), len(columns)))
    for row, one in zip(made, places, strict=True):
        for name, weight in one.items():
            row[columns[name]] = weight
    return made


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _weights(count: Counter[str], vocabulary: Mapping[str, int], idf: Floats) -> Floats:
    made = np.zeros(len(idf))
    for word, times in count.items():
        if word in vocabulary:
            made[vocabulary[word]] = (1 + math.log(times)) * idf[vocabulary[word]]
    return made


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-12)
    return found
