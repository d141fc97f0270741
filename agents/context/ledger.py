"""What a compressed history leaves out: by id, by kind, and of trials in sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

from tunewright.agents.context.passage import Kind, Passage
from tunewright.agents.context.tokens import line_tokens

_FAMILIES = 6
"""Families that sums are told of, the largest first."""


@dataclass(frozen=True)
class Family:
    """The trials of one family that were left out."""

    name: str
    trials: int
    scored: int
    best: float | None
    mean: float | None
    sd: float | None

    @property
    def line(self) -> str:
        """Such as ``left out of lora: 30 trials, score best 0.81, mean 0.76, sd 0.02``."""
        said = f"left out of {self.name}: {_count(self.trials, 'trial')}"
        if self.best is not None:
            said += f", score best {self.best:.4g}, mean {self.mean:.4g}"
        return said + (f", sd {self.sd:.2g}" if self.sd is not None else "")


@dataclass(frozen=True)
class Ledger:
    """What was dropped. Kept and dropped are all that there was."""

    dropped: tuple[tuple[str, Kind], ...]
    """Id and kind, in the order of time."""
    families: tuple[Family, ...]

    @cached_property
    def counts(self) -> dict[Kind, int]:
        """Kind -> how many."""
        return dict(Counter(kind for _, kind in self.dropped))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(id for id, _ in self.dropped)

    def line(self, most: int, *, askable: bool) -> str:
        """For a prompt, such as ``left out: 41 trials (t3 t7 ... and 39 more), 12 verdicts; ask for them by id``.

        Args:
            most: tokens of the line in a list; it names fewer ids for it, or is empty where nothing fits.
            askable: whether whoever reads it can ask.
        """
        if not self.dropped:
            return ""
        # Ids of trials tell the rest: a verdict on t3 is asked for by t3.
        ids = [id for id, kind in self.dropped if kind in ("trial", "fault", "lesson")] or list(self.ids)
        low, high = 0, min(len(ids), most)  # an id is a token at least
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if line_tokens(self._said(ids, middle, askable)) <= most else (low, middle - 1)
        said = self._said(ids, low, askable)
        return said if line_tokens(said) <= most else ""

    def _said(self, ids: Sequence[str], named: int, askable: bool) -> str:
        counted = ", ".join(_count(number, kind) for kind, number in self.counts.items())
        more = f" and {len(ids) - named} more" if named < len(ids) else ""
        names = f" ({' '.join(ids[:named])}{more})" if named else ""
        return f"left out: {counted}{names}" + ("; ask for them by id" if askable else "")


def ledger(dropped: Sequence[Passage], *, lower_is_better: bool = False) -> Ledger:
    """The ledger of what was dropped, given in the order of time."""
    families: dict[str, list[Passage]] = {}
    for one in dropped:
        if one.kind == "trial" and one.family:
            families.setdefault(one.family, []).append(one)
    largest = sorted(families.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_FAMILIES]
    return Ledger(
        dropped=tuple((one.id, one.kind) for one in dropped),
        families=tuple(_family(name, ones, lower_is_better) for name, ones in largest),
    )


def _family(name: str, ones: Sequence[Passage], lower_is_better: bool) -> Family:
    scores = [one.score for one in ones if one.score is not None]
    best = (min if lower_is_better else max)(scores) if scores else None
    mean = fmean(scores) if scores else None
    return Family(name, len(ones), len(scores), best, mean, stdev(scores) if len(scores) > 1 else None)


def _count(number: int, kind: str) -> str:
    if number == 1:
        return f"1 {kind}"
    return f"{number} {kind}s"
