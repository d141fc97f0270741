"""What a study may say at its end: who is better than the untouched model and than the default recipe, and who wins.

Every trial was compared with both, so each answer is corrected for all of those comparisons (Holm). What was said
during the search is corrected for none, and chose the finalists alone. docs/decisions/0014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tunewright.agents.repeat import Scores, default_of, repeated, scored
from tunewright.domain.errors import DataError
from tunewright.domain.outcome import Answer, Noise, Verdict
from tunewright.domain.study import Study
from tunewright.tools.analysis.answer import measurement_of
from tunewright.tools.evaluation.holm import holm
from tunewright.tools.evaluation.replication import Contrast, Repeated, SeedSpread, contrast, seed_spread

ERROR_RATE = 0.05
_METHOD = "Student's t over crossed seeds and items, permutation of items, Holm over all comparisons"


@dataclass(frozen=True)
class Claims:
    """Every comparison of the finish."""

    base: Repeated
    default: str | None
    recipes: dict[str, Repeated]
    """By trial; a finalist's mean is over its fresh seeds, any other trial's is the search's own run."""
    verdicts: dict[tuple[str, str], Verdict]
    """By trial and against whom."""
    noise: Noise
    spread: SeedSpread
    sign: float

    def better(self, trial: str, against: str | None) -> bool:
        """Whether it is so beyond chance, all comparisons counted."""
        found = self.verdicts.get((trial, against or ""))
        return found is not None and found.answer == "better"

    def score(self, trial: str) -> float:
        """The mean over seeds and items, so that more is better."""
        return self.sign * self.recipes[trial].mean

    def apart(self, trial: str, other: str) -> bool:
        """Whether two are told apart: by the claim where one is the default, else by this comparison taken alone."""
        for mine, theirs in ((trial, other), (other, trial)):
            if (mine, theirs) in self.verdicts:
                return self.verdicts[mine, theirs].answer != "undecided"
        return contrast(self.recipes[trial], self.recipes[other], self.spread, sign=self.sign).p < ERROR_RATE

    def of(self, trial: str) -> tuple[Verdict, ...]:
        """What is said of one trial, against the base model first."""
        against = ("base", self.default or "")
        return tuple(self.verdicts[trial, one] for one in against if (trial, one) in self.verdicts)


def claims(study: Study, scores: Scores, chosen: Sequence[str]) -> Claims:
    """Every scored trial against base and default, corrected together.

    Args:
        chosen: trials that may win; the permutation test is asked about them too.

    Raises:
        DataError: items of the base model or of one that may win cannot be read.
    """
    default = default_of(study)
    base = Repeated("base", scores.of("base")[None], seeded=False)
    needed = {*chosen, *([default] if default else [])}
    recipes = {trial: one for trial in scored(study) if (one := _recipe(study, scores, trial, default, needed))}
    spread = seed_spread(list(recipes.values()))
    pairs = [(trial, one) for trial in recipes for one in ("base", default) if one is not None and one != trial]
    found = [
        contrast(
            recipes[trial],
            base if against == "base" else recipes[against],
            spread,
            sign=scores.sign,
            exact=trial in needed,
        )
        for trial, against in pairs
    ]
    adjusted = holm([one.p for one in found])
    rows = _rows(study, base)
    verdicts = {
        (trial, against): _verdict(trial, against, one, p, len(pairs), rows, len(repeated(study, trial)))
        for (trial, against), one, p in zip(pairs, found, adjusted, strict=True)
    }
    return Claims(base, default, recipes, verdicts, _noise(pairs, found, spread, rows), spread, scores.sign)


def _recipe(study: Study, scores: Scores, trial: str, default: str | None, needed: set[str]) -> Repeated | None:
    """A trial and its repeats. The default was chosen by nothing, so the search's run of it counts like any other."""
    import numpy as np

    fresh = [scores.of(job.id) for job in repeated(study, trial)]
    try:
        own = scores.of(trial)
    except DataError:
        if trial in needed:
            raise
        return None
    if trial == default or not fresh:
        return Repeated(trial, np.stack([own, *fresh]))
    return Repeated(trial, np.stack(fresh), chosen=own)


def _verdict(trial: str, against: str, found: Contrast, p: float, comparisons: int, rows: int, seeds: int) -> Verdict:
    sure = p < ERROR_RATE
    answer: Answer = "undecided"
    if sure:
        answer = "better" if found.gain > 0 else "worse"
    return Verdict(
        trial=trial,
        against=against,
        answer=answer,
        gain=found.gain,
        low=found.low if sure else min(found.low, 0.0),
        high=found.high if sure else max(found.high, 0.0),
        rows=rows,
        method=_METHOD,
        seeds=seeds,
        comparisons=comparisons,
        p=p,
    )


def _rows(study: Study, base: Repeated) -> int:
    """Items, also where their numbers were taken in groups."""
    measurement = measurement_of(study.base)
    return measurement.rows if measurement is not None else base.runs.shape[1]


def _noise(pairs: list[tuple[str, str]], found: list[Contrast], spread: SeedSpread, rows: int) -> Noise:
    """The noise floor: between recipes where there are two of them, else between the one recipe and the base."""
    widths = [one.over_items for (_, against), one in zip(pairs, found, strict=True) if against != "base"]
    return Noise(
        seed_sd=math.sqrt(spread.between) if spread.freedom else None,
        repeats=spread.freedom,
        half_width=median(widths or [one.over_items for one in found]) if found else 0.0,
        rows=rows,
    )
