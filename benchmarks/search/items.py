"""How many evaluation items the program's rule spares over recorded trainings, and whether the same trial wins.

    python benchmarks/search/items.py [noun ...] [--studies 100]

A study is a random sequence of trainings. Each is scored beside the best so far, and not on the rows that are left once
the rule says that it is behind. Recipes and seeds are drawn from the whole table, then from its better trainings
alone, as a search that has learned something would have them: the nearer they are to the best, the less can be spared.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from table import TASKS, Table, load

from tunewright.domain.paired import Paired, looks
from tunewright.search.wilcoxon import WilcoxonRule

TRIALS = 30
SHARES = (1.0, 0.3, 0.1)
"""Of the trainings, from the best down, that a study's are drawn from."""


@dataclass(frozen=True)
class Spared:
    """Over many studies."""

    task: str
    share: float
    """Of the trainings that were drawn from."""
    studies: int
    items: float
    """Share of the items of all end evaluations that were not scored."""
    same: float
    """Share of studies with the same winner as with every row of every trial."""
    lost: float
    """Mean of what the winner scores less than it, on all rows."""
    bias: float
    """Mean of the estimates of stopped trials less their scores on all rows."""
    error: float
    """Root mean square of the same."""
    plain_error: float
    """The same if the mean of the rows that were scored were taken for the score, and no other trial's rows."""

    def line(self) -> str:
        """For the table that ``main`` prints."""
        numbers = (self.items, self.same, self.lost, self.bias, self.error, self.plain_error)
        return f"{self.task:8} {self.share:5.0%} {self.studies:7} " + " ".join(f"{number:9.4f}" for number in numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--studies", type=int, default=100)
    given = parser.parse_args()
    print("task     drawn studies     items      same      lost      bias     error     plain")
    for name in given.tasks:
        for share in SHARES:
            print(spared(load(name), studies=given.studies, share=share).line(), flush=True)


def spared(
    table: Table,
    *,
    studies: int = 100,
    trials: int = TRIALS,
    share: float = 1.0,
    rule: WilcoxonRule | None = None,
    seed: int = 0,
) -> Spared:
    """What ``rule`` spares over studies of ``trials`` trainings each; by default the rule that the program has."""
    rng, rule = np.random.default_rng(seed), rule or WilcoxonRule()
    ends = trained(table)
    ends = ends[np.argsort(-ends.mean(1), kind="stable")][: max(trials, round(share * len(ends)))]
    scored, same, lost, errors, plain = 0, 0, [], [], []
    for _ in range(studies):
        drawn = ends[rng.integers(0, len(ends), trials)][:, rng.permutation(ends.shape[1])]
        full = drawn.mean(1)
        best = 0
        scored += drawn.shape[1]
        for trial in range(1, trials):
            rows = _scored(drawn[trial], drawn[best], rule)
            scored += rows
            if rows == drawn.shape[1]:
                best = trial if full[trial] > full[best] else best
                continue
            errors.append(Paired("best", tuple(drawn[trial][:rows]), tuple(drawn[best])).estimate - full[trial])
            plain.append(drawn[trial][:rows].mean() - full[trial])
        same += int(best == int(np.argmax(full)))
        lost.append(full.max() - full[best])
    items = 1 - scored / (studies * trials * ends.shape[1])
    bias, *each = (float(np.mean(errors)), *(float(np.sqrt(np.mean(np.square(of)))) for of in (errors, plain)))
    return Spared(table.task, share, studies, items, same / studies, float(np.mean(lost)), bias, *each)


def trained(table: Table) -> Any:
    """(N, rows): of every recipe and seed that is there and did not fail, which rows were right at its end."""
    names = tuple(table.axes)
    found = []
    for values, seed in product(product(*table.axes.values()), table.seeds):
        try:
            record = table.lookup(dict(zip(names, values, strict=True)), seed)
        except KeyError:
            continue  # not trained yet
        if record.fault is None:
            found.append(record.rungs[-1].items)
    return np.array(found, dtype=np.float64)


def _scored(mine: Any, theirs: Any, rule: WilcoxonRule) -> int:
    """Rows that are scored until the rule says that ``mine`` is behind."""
    *early, last = looks(len(mine))
    return next((rows for rows in early if rule.behind(mine[:rows], theirs[:rows], maximise=True)), last)


if __name__ == "__main__":
    main()
