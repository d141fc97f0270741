"""Commands about what there is: ``methods``, ``doctor``."""

from __future__ import annotations

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli.line import LABEL, SUB, Line
from tunewright.cli.output import console, only_json, print_json
from tunewright.cli.view import View


def methods(kind: str | None, *, json: bool) -> int:
    """What there is to choose from, a block for each kind."""
    with only_json(json):
        found = app.methods(kind)
    if json:
        print_json(found)
        return 0

    from rich.table import Table

    out = console(stderr=False)
    for number, (name, rows) in enumerate(found.items()):
        if number:
            out.print()
        out.print(name, style="bold")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
        for row in rows:
            table.add_row(str(row["kind"]), str(row.get("summary", "")), str(row.get("source") or ""))
        out.print(table)
    return 0


def doctor(*, json: bool) -> int:
    """What works here; 1 if something is missing that every study needs."""
    with only_json(json):
        checks = app.doctor(settings=settings_.load())
    if json:
        print_json({"checks": [check.model_dump(mode="json") for check in checks]})
    else:
        view = View(console(stderr=False))
        for check in checks:
            mark = "ok" if check.ok else "missing" if check.needed else "no"
            view.say(Line(check.detail, check.name, mark, "plain" if check.ok else "bad" if check.needed else "faint"))
            if not check.ok and check.hint:
                view.say(Line(check.hint, indent=LABEL + SUB, tone="warn" if check.needed else "faint"))
    return 0 if all(check.ok or not check.needed for check in checks) else 1
