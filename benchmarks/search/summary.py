"""Says what the tables are like: how scores spread, what rungs foretell, how far seeds move them, what fails.

    python benchmarks/search/summary.py [noun ...]

Works on tables that are not whole yet: of what is there.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from table import TASKS, Table, load


def main() -> None:
    tables = {name: load(name) for name in sys.argv[1:] or TASKS}
    for table in tables.values():
        tell(table)
    for name, table in tables.items():
        others = {other: correlation(mean_score(table), mean_score(tables[other])) for other in tables if other != name}
        print(f"{name}, rank correlation of recipes with " + ", ".join(f"{at} {of:.2f}" for at, of in others.items()))


def tell(table: Table) -> None:
    """One table."""
    arrays, done = table.arrays, table.arrays["done"]
    scores, failed = arrays["score"], done & (arrays["fault_kind"] > 0)
    end = np.where(done, scores[..., -1], np.nan)
    print(f"{table.task} ({table.use}): {done.sum()} of {done.size} trainings, base {table.base.score:.3f}")
    quartiles = np.nanquantile(end, [0, 0.25, 0.5, 0.75, 0.9, 1])
    print("  at the end: least, quartiles, 90 %, best " + " ".join(f"{value:.3f}" for value in quartiles))
    print(f"  recipes within 0.02 of the best mean of seeds: {np.nanmean(best_gap(end) < 0.02):.1%}")
    same = same_scores(table)
    print(f"  default {np.nanmean(same):.3f}, its seeds' standard deviation {np.nanstd(same):.4f}")
    both = done.all(0) & ~failed.any(0)
    if both.any():
        print(f"  seeds' standard deviation over recipes {np.sqrt(np.mean((end[0] - end[1])[both] ** 2 / 2)):.4f}")
    rungs = [correlation(scores[..., at], end) for at in range(len(table.epochs) - 1)]
    told = ", ".join(f"{epochs:g} {value:.2f}" for epochs, value in zip(table.epochs, rungs, strict=False))
    print(f"  rank correlation of rungs with the end: {told}")
    print(f"  faults {failed.sum() / done.sum():.1%}; processor seconds {arrays['process_s'][done].mean():.2f}")
    limit, memory = table.memory_limit_gib, arrays["memory_gib"]
    print(f"  limit {limit} GiB, above it {(memory[done] > limit).mean():.1%}")
    shape = [len(values) for name, values in table.axes.items() if name != "epochs"]
    mean = mean_score(table).reshape(shape)
    for at, (name, values) in enumerate(table.axes.items()):
        if name != "epochs":
            rest = tuple(other for other in range(len(shape)) if other != at)
            shown = zip(values, np.nanmean(mean, axis=rest), np.nanmax(mean, axis=rest), strict=True)
            print(f"  {name}, mean and best: " + ", ".join(f"{value} {of:.3f} {best:.3f}" for value, of, best in shown))
    for at, adapter in enumerate(table.axes["adapter"]):
        best = np.nanmax(mean[at], axis=(1, 2, 3))
        gib = np.where(done, memory, np.nan).mean(0).reshape(shape)[at].mean(axis=(0, 2, 3))
        print(f"  {adapter}: best at each lr " + " ".join(f"{value:.3f}" for value in best), "memory", gib.round(4))


def same_scores(table: Table) -> Any:
    """Of the trainings of the default recipe that are there."""
    there = table.arrays["same_done"]
    return table.arrays["same_score"][there][:, -1] if there.any() else np.array([np.nan])


def mean_score(table: Table) -> Any:
    """Of each recipe over the seeds that it did not fail with."""
    end = np.where(table.arrays["done"], table.arrays["score"][..., -1], np.nan)
    counts = (~np.isnan(end)).sum(0)
    return np.where(counts > 0, np.nansum(end, 0) / np.maximum(counts, 1), np.nan)


def best_gap(end: Any) -> Any:
    """How far each recipe's mean is below the best recipe's."""
    mean = np.where(np.isnan(end).all(0), np.nan, np.nansum(end, 0) / np.maximum((~np.isnan(end)).sum(0), 1))
    return np.nanmax(mean) - mean


def correlation(left: Any, right: Any) -> float:
    """Spearman's, of what both have."""
    there = ~(np.isnan(left) | np.isnan(right))
    first, second = (np.argsort(np.argsort(side[there])) for side in (left, right))
    return float(np.corrcoef(first, second)[0, 1]) if there.sum() > 2 else float("nan")


if __name__ == "__main__":
    main()
