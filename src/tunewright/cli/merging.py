"""The command ``merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli.output import console, only_json, print_json
from tunewright.cli.view import View
from tunewright.domain.errors import UsageError


def merge(
    run_ids: list[str],
    out: str,
    *,
    method: str,
    weights: str | None,
    scope: Literal["global", "per_tensor"],
    density: float,
    unmerge: str | None,
    exact: bool,
    measure: bool,
    json: bool,
) -> int:
    """Merges and says where, with the weight of each run."""
    settings = settings_.load()
    with only_json(json), View(console(stderr=True)) as view:
        merged = app.merge(
            run_ids,
            Path(out),
            method=method,
            weights=_weights(weights),
            scope=scope,
            density=density,
            unmerge=unmerge,
            exact=exact,
            measure=measure,
            settings=settings,
            observer=view,
        )
    if json:
        print_json(merged)
        return 0

    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("run", "study", "trial", "adapter", "weight", "own score"):
        table.add_column(column)
    for run in merged.runs:
        taken = "taken out" if run.run_id == merged.unmerged else f"{run.weight:.4g}"
        table.add_row(run.run_id, run.study, run.trial, run.adapter, taken, f"{run.score:.3f}")
    out_ = console(stderr=False)
    out_.print(table)
    for score in merged.measured:
        interval = f" [{score.low:.3f}, {score.high:.3f}]" if score.low is not None and score.high is not None else ""
        out_.print(f"{score.study}   {score.metric} {score.value:.3f}{interval}, {score.rows} validation rows")
    print(merged.path)
    return 0


def _weights(given: str | None) -> list[float] | Literal["learned"] | None:
    """``0.7,0.3`` as numbers.

    Raises:
        UsageError: something in it is no number.
    """
    if given is None:
        return None
    if given.strip() == "learned":
        return "learned"
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise UsageError(f"'{given}' are no weights", "give numbers such as 0.7,0.3, or learned") from None
