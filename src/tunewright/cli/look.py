"""Commands that only read: ``status``, ``studies``, ``report``."""

from __future__ import annotations

from typing import Any

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli import words
from tunewright.cli.closing import closing_lines
from tunewright.cli.line import Line, Tone
from tunewright.cli.narration import name_of
from tunewright.cli.output import console, only_json, print_json
from tunewright.cli.pick import latest
from tunewright.cli.screen import Screen
from tunewright.cli.view import View
from tunewright.domain.errors import TunewrightError
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary
from tunewright.settings import Settings


def status(study: str | None, *, follow: bool, json: bool) -> int:
    """Where a study stands; with ``follow`` the same screen as its own terminal has, until it stops."""
    settings = settings_.load()
    name = study or latest(settings)
    if follow:
        with only_json(json), View(console(stderr=True)) as view:
            app.follow(name, settings=settings, observer=view)
    summary = app.status(name, settings=settings)
    if json:
        print_json(summary)
        return 0
    view = View(console(stderr=False))
    known = app.load(name, settings=settings)
    if summary.state in ("winner", "no-winner"):
        view.say(*_head(summary), *_trials(known, summary), *closing_lines(known, summary, settings))
        return 0
    view.say(*_head(summary), *_trials(known, summary))
    if summary.state == "running":
        screen = Screen(Study())
        app.follow(name, settings=settings, observer=screen.take, wait=False)
        view.console.print(screen.render())
    elif summary.state == "waiting" and summary.waiting_for != ("plan",) and known.plan:
        view.show(known, summary.waiting_for)  # its heading says what is spent
    else:
        view.say(Line(words.spent_of(summary.spent, summary.budget), "spent"))
        view.show(known, summary.waiting_for)
    if summary.state == "paused" and summary.reason:
        view.say(Line(words.labelled(summary.reason), "why", tone="warn"))
    view.say(Line(summary.next, "next"))
    return 0


def studies(*, json: bool) -> int:
    """Every study on one line, the newest last."""
    settings = settings_.load()
    rows = [_row(name, settings) for name in app.studies(settings=settings)]
    if json:
        print_json({"studies": rows})
        return 0
    if not rows:
        print(f"no studies in {settings.studies}")
        return 0

    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("study", "state", "trials", "base", "best", "next"):
        table.add_column(column, overflow="fold")
    for row in rows:
        scores = [f"{row[key]:.3f}" if row.get(key) is not None else "-" for key in ("base_score", "best_score")]
        table.add_row(row["study"], row["state"], str(row.get("trials", "-")), *scores, row["next"])
    console(stderr=False).print(table)
    return 0


def report(study: str | None, *, json: bool) -> int:
    """Writes the report anew and says where."""
    settings = settings_.load()
    name = study or latest(settings)
    with only_json(json):
        markdown, html = app.report(name, settings=settings)
    if json:
        print_json({"study": name, "markdown": str(markdown), "html": str(html)})
    else:
        print(f"{markdown}\n{html}")
    return 0


def _row(name: str, settings: Settings) -> dict[str, Any]:
    try:
        summary = app.status(name, settings=settings)
    except TunewrightError as error:
        return {"study": name, "state": "unreadable", "next": error.message}
    kept = ("study", "state", "trials", "base_score", "best_score", "best_run_id", "winner", "next")
    return {key: getattr(summary, key) for key in kept}


def _head(summary: Summary) -> list[Line]:
    return [Line(f"{summary.study}, {summary.state}", "study")]


def _trials(study: Study, summary: Summary) -> list[Line]:
    """Every run on one line, with how it ended."""
    tones: dict[str, Tone] = {"failed": "bad", "pruned": "warn", "paused": "warn", "waiting": "faint"}
    lines = []
    for trial in summary.trial_list:
        said = f"{trial.score:.3f}" if trial.score is not None else trial.status
        verdict = next((v.says() for v in summary.verdicts if v.trial == trial.id), trial.reason)
        text = f"{name_of(trial.id, study)}   {said:<10} {words.clock(trial.seconds):>8}   {words.labelled(verdict)}"
        lines.append(Line(text, tone=tones.get(trial.status, "plain")))
    return lines
