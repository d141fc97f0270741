"""Exports the decisions of studies as data to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tunewright import settings as settings_
from tunewright.app.shelf import folder_of
from tunewright.settings import Settings


def export_decisions(
    studies: Sequence[str],
    out: Path,
    *,
    form: Literal["sft", "dpo", "both"] = "both",
    settings: Settings | None = None,
) -> dict[str, int]:
    """Writes every decision of the studies, rows of good ones and pairs of better and worse: file -> lines.

    Args:
        studies: names; they need not have ended.
        out: a folder; made if it is not there.
        form: which rows to train on.

    Raises:
        UnknownNameError: there is no such study.
        UsageError: the folder cannot be written, or has such files already.
    """
    from tunewright.agents.risk.decision import decisions
    from tunewright.agents.risk.examples import write
    from tunewright.tracking.journal import events

    settings = settings or settings_.load()
    folders = {name: folder_of(settings, name) for name in studies}
    return write({name: (folder, decisions(events(folder)[0])) for name, folder in folders.items()}, out, form=form)
