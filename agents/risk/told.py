"""What the risk parts say in the report: how well each forecaster's word was kept."""

from __future__ import annotations

from tunewright.agents.risk.forecaster import calibrations
from tunewright.domain.study import Study
from tunewright.tools.analysis.configuration import Table

_NONE = "\N{EN DASH}"


def calibration_table(study: Study) -> Table:
    """Every forecaster on one line; no rows where nothing was forecast."""
    rows = tuple(
        (
            one.by,
            str(one.graded),
            str(one.counted),
            f"{one.brier:.3f}",
            f"{100 * one.hit_rate:.0f} %",
            _NONE if one.weighted_hit is None else f"{one.weighted_hit:+.2f}",
        )
        for one in calibrations(study)
    )
    head = ("forecaster", "graded", "counted", "Brier score", "right", "mean weighted hit")
    return Table("Forecasts of gain", rows, head)
