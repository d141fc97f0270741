"""Commands that drive a study: ``run``, ``resume``, ``review``. Each ends with one exit code for where it stands."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunewright import app
from tunewright import settings as settings_
from tunewright.app.driving import must_hold
from tunewright.cli.brief import read_brief
from tunewright.cli.closing import closing_lines
from tunewright.cli.output import GO_ON, console, only_json, print_error, print_json
from tunewright.cli.pick import latest
from tunewright.cli.reviewer import TerminalReviewer
from tunewright.cli.selection import answers_of
from tunewright.cli.view import View
from tunewright.domain.budget import Prices
from tunewright.domain.errors import UsageError
from tunewright.domain.event import StudyOptions
from tunewright.domain.live import Observer
from tunewright.domain.review import Reviewer
from tunewright.domain.study import Study
from tunewright.domain.summary import State, Summary
from tunewright.settings import Settings

EXIT_CODES: dict[State, int] = {"winner": 0, "running": 0, "waiting": 3, "no-winner": 4, "paused": 130}


def options_of(
    *,
    sandbox_options: Sequence[str],
    usd_per_device_hour: float | None,
    llm: Sequence[str] = (),
    slots: int | None = None,
    **plain: Any,
) -> Callable[[Settings], StudyOptions]:
    """The options of a new study; the price of a device and the language models are the settings' where the command
    gives none, and what the command does not say of slots is settled with the machine.

    Raises:
        UsageError: a sandbox option is not KEY=VALUE, or a language model is given for no role that there is.
    """
    from tunewright.agents.brains.choice import chosen

    pairs = {}
    plain |= {"slots": slots} if slots is not None else {}
    for text in sandbox_options:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"'{text}' is not KEY=VALUE", "for example: --sandbox-option image=tunewright-trial")
        pairs[key] = value

    def build(settings: Settings) -> StudyOptions:
        given = Prices(usd_per_device_hour=usd_per_device_hour)
        prices = settings.prices if usd_per_device_hour is None else given
        models = chosen(llm or settings.llms)
        return StudyOptions(sandbox_options=pairs, prices=prices, llm=models.llm, llms=models.llms, **plain)

    return build


def start(brief: str, study: str | None, options: Callable[[Settings], StudyOptions], *, json: bool) -> int:
    """Starts a study."""
    settings = settings_.load()
    words = read_brief(brief)

    def drive(reviewer: Reviewer | None, observer: Observer) -> Summary:
        return app.run(
            words, study=study, options=options(settings), settings=settings, reviewer=reviewer, observer=observer
        )

    return _drive(drive, None, settings, json=json)


def resume(study: str | None, *, llm: Sequence[str] = (), json: bool) -> int:
    """Goes on with a study, with other language models if they are given."""
    settings = settings_.load()
    name = study or latest(settings, ("paused", "waiting"), "goes on")
    known = app.load(name, settings=settings)
    if known.asked and not llm and not (known.unfinished or known.approved or _interactive(json)):
        return _show_waiting(known, settings, json=json)  # nobody is there to answer, and a session costs time

    def drive(reviewer: Reviewer | None, observer: Observer) -> Summary:
        return app.resume(name, llm=llm, settings=settings, reviewer=reviewer, observer=observer)

    return _drive(drive, known, settings, json=json)


def review(
    study: str,
    *,
    approve: list[str],
    reject: list[str],
    reasons: list[str],
    edit: list[str],
    answer: list[str],
    json: bool,
) -> int:
    """Files what the options say, or lets the terminal ask; then goes on."""
    settings = settings_.load()
    known = app.load(study, settings=settings)
    if not known.asked:
        raise UsageError(f"study {study} waits for no review", f"tunewright status {study}")
    answers = answers_of(known.asked, approve=approve, reject=reject, reasons=reasons, edit=edit, answer=answer)
    if reasons and not reject and not edit:
        raise UsageError("--reason without --reject or --edit", "an approval needs no reason")
    if not answers and not _interactive(json):
        return _show_waiting(known, settings, json=json)

    def drive(reviewer: Reviewer | None, observer: Observer) -> Summary:
        return app.review(study, answers, settings=settings, reviewer=reviewer, observer=observer)

    return _drive(drive, known, settings, json=json)


def _drive(
    drive: Callable[[Reviewer | None, Observer], Summary], known: Study | None, settings: Settings, *, json: bool
) -> int:
    with only_json(json):
        view = View(console(stderr=True), known)
        summary: Summary | None = None
        with contextlib.suppress(KeyboardInterrupt), _kept(view), view:
            summary = drive(TerminalReviewer(view, check=must_hold) if _interactive(json) else None, view)
        if summary is not None and summary.state == "waiting":
            # A resumed study was asked about before: what waits has to be on the screen.
            view.show(app.load(summary.study, settings=settings), summary.waiting_for)
    return _ended_at_once(view, json=json) if summary is None else end(summary, settings, json=json)


@contextlib.contextmanager
def _kept(view: View) -> Iterator[None]:
    """Whatever goes wrong once a study is made, the error says how the study goes on."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        if view.study.name:
            error.add_note(f"{GO_ON}tunewright resume {view.study.name}")
        raise


def end(summary: Summary, settings: Settings, *, json: bool) -> int:
    """The last words: the result on stdout, what to type next on stderr."""
    if json:
        print_json(summary)
    elif summary.state in ("winner", "no-winner"):
        study = app.load(summary.study, settings=settings)
        out = console(stderr=False)
        out.print()
        View(out).say(*closing_lines(study, summary, settings))
        sys.stdout.flush()
    if summary.state == "waiting":
        if summary.questions:
            example = f'--answer {summary.questions[0].id}="..."'
            print(f"to answer: tunewright review {summary.study} {example}", file=sys.stderr)
        print(f"waiting for review: {summary.next}", file=sys.stderr, flush=True)
    elif summary.state == "paused":
        print(f"paused: {summary.next}", file=sys.stderr, flush=True)
    return EXIT_CODES[summary.state]


def _ended_at_once(view: View, *, json: bool) -> int:
    """After a second Ctrl-C: what ran is found and continued by the next resume."""
    print_error("ended at once", f"tunewright resume {view.study.name}".rstrip(), json=json)
    return EXIT_CODES["paused"]


def _show_waiting(study: Study, settings: Settings, *, json: bool) -> int:
    """Without a terminal and without answers: what waits, and what to type."""
    summary = app.status(study.name, settings=settings)
    View(console(stderr=True)).show(study, study.asked)
    return end(summary, settings, json=json)


def _interactive(json: bool) -> bool:
    """Whether a person can be asked. With ``--json`` a program is reading, and nobody is."""
    return not json and sys.stdin.isatty() and sys.stderr.isatty()
