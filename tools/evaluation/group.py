"""What the rows of one label or one source lose against another model: a mean hides who pays for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewright.domain.outcome import Item
from tunewright.domain.protocols import Scorer
from tunewright.domain.task import Metric
from tunewright.tools.evaluation.statistics import compare

_RESAMPLES = 2_000


@dataclass(frozen=True)
class GroupLoss:
    """One group's loss in the metric's good direction; negative if it gained."""

    group: str
    rows: int
    loss: float
    beyond_noise: bool
    """Whether the paired comparison over its rows says worse."""

    def passes(self, limit: float) -> bool:
        """Whether it loses more than allowed, and not by chance."""
        return self.loss > limit + 1e-9 and self.beyond_noise


def group_losses(
    items: Sequence[Item],
    against: Sequence[Item],
    groups: Mapping[str, str],
    *,
    metric: Metric,
    scorer: Scorer,
) -> list[GroupLoss]:
    """Every group's loss of ``items`` against the same rows of the other, the worst first.

    Args:
        groups: id of a row -> its group; rows in none are left out.
    """
    mine, theirs = _by_group(items, groups), _by_group(against, groups)
    found = []
    for group in sorted(mine.keys() & theirs.keys()):
        verdict = compare(
            mine[group],
            theirs[group],
            metric=metric,
            scorer=scorer,
            trial=group,
            against_name="base",
            resamples=_RESAMPLES,
        )
        found.append(GroupLoss(group, verdict.rows, -verdict.gain, verdict.answer == "worse"))
    return sorted(found, key=lambda one: -one.loss)


def _by_group(items: Sequence[Item], groups: Mapping[str, str]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.id in groups:
            found[groups[item.id]].append(item)
    return found
