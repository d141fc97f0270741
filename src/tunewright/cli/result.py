"""Commands that hand something out: ``reproduce``, ``export``, ``export-decisions``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli.line import Line, Tone
from tunewright.cli.output import console, only_json, print_json
from tunewright.cli.view import View


def reproduce(run_id: str, *, json: bool) -> int:
    """Trains a run again and prints the verdict; 1 if the two differ."""
    settings = settings_.load()
    with only_json(json), View(console(stderr=True)) as view:
        found = app.reproduce(run_id, settings=settings, observer=view)
    if json:
        print_json(found)
    else:
        lines = [Line(check.detail, check.name, tone="plain" if check.ok else "warn") for check in found.checks]
        tone: Tone = "bad" if found.verdict == "different" else "good"
        step = found.first_different_step
        where = f", first at step {step}" if step is not None and found.verdict != "bit-identical" else ""
        View(console(stderr=False)).say(*lines, Line(f"{found.verdict}{where}", "verdict", tone=tone))
    return 1 if found.verdict == "different" else 0


def export(run_id: str, destination: str, *, json: bool) -> int:
    """Writes the adapter and says where."""
    settings = settings_.load()
    with only_json(json):
        folder = app.export(run_id, Path(destination), settings=settings)
    if json:
        print_json({"run_id": run_id, "path": str(folder)})
    else:
        print(folder)
    return 0


def export_decisions(studies: Sequence[str], out: str, *, form: Literal["sft", "dpo", "both"], json: bool) -> int:
    """Writes the decisions and says how many there are of each kind."""
    settings = settings_.load()
    with only_json(json):
        found = app.export_decisions(studies, Path(out), form=form, settings=settings)
    if json:
        print_json({"path": out, **found})
    else:
        for name, count in found.items():
            print(f"{Path(out) / name}   {count} line{'' if count == 1 else 's'}")
    return 0
