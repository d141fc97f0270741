"""Whether a trial is better for its domains, where the brief asks for that: the mean gain over them, with a weight on
the worst. That none may lose more than so much is a limit (``agents.limit``), and bars a trial whatever its mean.

NGENT (arXiv 2504.21433) wants several domains in one model and measures each; how they add up is ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.judging import read_items
from tunewright.agents.limit import group_of
from tunewright.domain.goal import domain_worth
from tunewright.domain.outcome import Item
from tunewright.domain.study import Study
from tunewright.tools.analysis.configuration import Table


@dataclass(frozen=True)
class DomainGains:
    """What a trial gains over the untouched model in each domain."""

    gains: Mapping[str, float]
    weight: float
    """Of the worst domain's loss."""

    @property
    def worth(self) -> float:
        return domain_worth(list(self.gains.values()), self.weight)

    @property
    def worst(self) -> str:
        return min(self.gains, key=lambda name: self.gains[name])

    def says(self) -> str:
        """Such as ``+0.031 over 3 domains (worst: poems -0.020)``."""
        worst = self.worst
        return f"{self.worth:+.3f} over {len(self.gains)} domains (worst: {worst} {self.gains[worst]:+.3f})"


def domain_gains(study: Study, folder: Path, items: Sequence[Item]) -> DomainGains | None:
    """By domain; None where the brief does not ask for domains, or there are not two of them.

    Args:
        folder: the study's.
        items: of the trial.

    Raises:
        DataError: the base model's items cannot be read.
    """
    from tunewright.tools.evaluation.registry import scorer

    if study.wishes.worst_weight is None or study.task is None:
        return None
    metric, base = study.task.metric, read_items(folder, "base")
    groups, score = group_of(folder, domain_kind(study), items), scorer(metric.name)
    mine, theirs = _by(items, groups), _by(base, groups)
    gains = {
        name: metric.gain(score.aggregate(mine[name]), score.aggregate(theirs[name]))
        for name in sorted(mine.keys() & theirs.keys())
    }
    return DomainGains(gains, study.wishes.worst_weight) if len(gains) > 1 else None


def domain_kind(study: Study) -> str:
    """What the domains of a study are: its sources where several are measured, else its labels."""
    assert study.task is not None
    form = study.task.format
    measured = [one for one in study.task.sources if one.measured and one.of_task(form)]
    return "label" if form == "label" and len(measured) < 2 else "source"


def uneven(study: Study, folder: Path, trial: str, against: str, items: Sequence[Item] | None = None) -> str:
    """Why a trial that is better over rows is not better over domains; nothing if it is, or nobody asks.

    Args:
        against: the incumbent; the untouched model is worth nothing.
        items: of the trial; by default those that it left.
    """
    if study.wishes.worst_weight is None:
        return ""
    mine = domain_gains(study, folder, items if items is not None else read_items(folder, trial))
    if mine is None:
        return ""
    theirs = domain_gains(study, folder, read_items(folder, against)) if against != "base" else None
    least = theirs.worth if theirs is not None else 0.0
    if mine.worth > least:
        return ""
    return f"better over rows, but by domains {mine.says()}, and {against} has {least:+.3f}"


def domain_table(study: Study, folder: Path) -> Table | None:
    """What the winner, or the best so far, gains in each domain; None where the brief does not ask."""
    winner = study.finished.winner if study.finished is not None else None
    best = winner or (one.id if (one := study.best()) is not None else None)
    if study.wishes.worst_weight is None or best is None:
        return None
    found = domain_gains(study, folder, read_items(folder, best))
    if found is None:
        return None
    rows = [(name, f"{gain:+.3f}") for name, gain in sorted(found.gains.items(), key=lambda pair: pair[1])]
    rows.append((f"mean, less {found.weight:g} times the worst loss", f"{found.worth:+.3f}"))
    return Table(f"Gain of {best} by domain", tuple(rows), ("domain", "over the base model"))


def _by(items: Sequence[Item], groups: Mapping[str, str]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.id in groups:
            found[groups[item.id]].append(item)
    return found
