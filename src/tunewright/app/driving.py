"""Drives a study: creates it, takes it up again, files a reviewer's answers, and always lets it go in good order."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from tunewright import settings as settings_
from tunewright.app.shelf import folder_of, quiet
from tunewright.domain import event as ev
from tunewright.domain.errors import StudyBusyError, TunewrightError, UsageError, boundary, unknown_name
from tunewright.domain.live import Observer, Said
from tunewright.domain.proposal import Forecast
from tunewright.domain.recipe import Recipe
from tunewright.domain.review import Answer, Reviewer
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary, summarise
from tunewright.domain.task import Brief
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.agents.notebook import Stop
    from tunewright.tracking.journal import Journal

_STUDY_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")
_NO_VERBS = {"the", "their", "its", "each", "one", "any", "all", "this", "that", "these", "those", "our", "your", "his"}
"""What follows a "to" that is no infinitive's."""


def run(
    brief: Brief | str,
    *,
    study: str | None = None,
    options: ev.StudyOptions | None = None,
    settings: Settings | None = None,
    reviewer: Reviewer | None = None,
    observer: Observer = quiet,
) -> Summary:
    """Creates a study from a brief and drives it until it ends, waits for review, or is paused.

    Args:
        brief: the task and the budget in plain words.
        study: its name; by default made from the brief's verb, such as ``route-01``.
        reviewer: is asked at the terminal; without one the study pauses where a person is needed, and what the brief
            leaves open is assumed.

    Raises:
        UsageError: something in the brief, the data or the options cannot be used; no study is left behind.
        StudyBusyError: the name is taken.
    """
    from tunewright.agents.reading import ROLE as PLANNER
    from tunewright.tracking.identity import code_identity

    settings = settings or settings_.load()
    brief = brief if isinstance(brief, Brief) else Brief(text=brief)
    options = _settled(options or ev.StudyOptions(prices=settings.prices), brief)
    _check_names(options)
    _check_models(options, settings)
    if options.model_of(PLANNER) is None:  # a language model reads it once there is a journal to charge
        _must_be_readable(brief)
    folder = _new_folder(settings, study, brief)
    created = ev.StudyCreated(study=folder.name, brief=brief, options=options, code=code_identity())
    try:
        with _journal(folder) as journal:
            journal.append(created)
            observer(created)
            return _drive(journal, folder, settings, reviewer, observer)
    except UsageError:
        _discard_if_untouched(folder)
        raise


def resume(
    study: str,
    *,
    llm: Sequence[str] = (),
    settings: Settings | None = None,
    reviewer: Reviewer | None = None,
    observer: Observer = quiet,
) -> Summary:
    """Goes on with a study that was paused, killed, or waits: nothing is lost, run twice or charged twice.

    Args:
        llm: other language models from here on, as ``--llm`` takes them: ``MODEL``, ``ROLE=MODEL``, ``none``.

    Raises:
        AccessError: a language model's server refuses us; the study can be resumed again.
    """
    from tunewright.agents.brains.choice import chosen

    settings = settings or settings_.load()
    folder = folder_of(settings, study)
    with _journal(folder) as journal:
        before = journal.study.options
        models = chosen(llm, before) if llm else None
        if models is not None:
            after = before.model_copy(update={"llm": models.llm, "llms": models.llms})
            _check_models(after, settings)
            models = models if after != before else None
        return _drive(journal, folder, settings, reviewer, observer, models=models)


def review(
    study: str,
    answers: Sequence[Answer],
    *,
    settings: Settings | None = None,
    reviewer: Reviewer | None = None,
    observer: Observer = quiet,
) -> Summary:
    """Files the answers, all or none, and goes on.

    Raises:
        UsageError: an answer does not hold; the study waits as before.
    """
    settings = settings or settings_.load()
    folder = folder_of(settings, study)
    with _journal(folder) as journal:
        must_hold(journal.study, answers)
        return _drive(journal, folder, settings, reviewer, observer, answers)


def _drive(
    journal: Journal,
    folder: Path,
    settings: Settings,
    reviewer: Reviewer | None,
    observer: Observer,
    answers: Sequence[Answer] = (),
    models: ev.ModelsChosen | None = None,
) -> Summary:
    from tunewright.agents.clarifying import filed
    from tunewright.agents.notebook import Notebook, Stop
    from tunewright.agents.pausing import refusal
    from tunewright.app.wiring import crew as assemble

    notebook, stop = Notebook(journal, observer), Stop()
    notebook.record(ev.SessionOpened(pid=os.getpid(), host=socket.gethostname()))
    if models is not None:
        notebook.record(models)
    try:
        with ExitStack() as stack:
            stack.enter_context(_interruptible(stop, observer))
            crew = stack.enter_context(assemble(notebook, folder, settings, stop, attended=reviewer is not None))
            for one in filed(notebook.study, answers, crew.specifier):
                notebook.record(one)
            crew.launcher.recover()
            while asked := crew.graph.run(folder.name):
                given = reviewer(notebook.study, asked) if reviewer else None
                if given is None:
                    break
                for one in filed(notebook.study, given, crew.specifier):
                    notebook.record(one)
    except BaseException as error:
        said = (str(error).splitlines() or [""])[0]
        ours = isinstance(error, TunewrightError)  # in plain words already
        notebook.record(ev.SessionClosed(reason=said if ours else f"{type(error).__name__}: {said}"))
        raise
    notebook.record(ev.SessionClosed(reason=stop.reason or "done for now"))
    if stop.error is not None:
        raise refusal(stop.error, folder.name) from None
    return summarise(notebook.study)


@contextmanager
def _interruptible(stop: Stop, observer: Observer) -> Iterator[None]:
    """Ctrl-C and SIGTERM pause the study; a second one ends it where it stands, and resume picks that up too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.request("stopped by Ctrl-C" if number == signal.SIGINT else "stopped by SIGTERM")
        observer(Said("pausing: what runs writes a checkpoint; once more to end at once"))

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _journal(folder: Path) -> Iterator[Journal]:
    from tunewright.tracking.journal import Journal

    with Journal(folder) as journal:
        yield journal


def _must_be_readable(brief: Brief) -> None:
    """Reads the brief for what is wrong with it, before a study is made and a sandbox is warmed up.

    Raises:
        UsageError: the brief or a file that it names cannot be used.
    """
    from tunewright.agents.reading import read

    read(brief, None, warn=lambda message: None)


def must_hold(study: Study, answers: Sequence[Answer]) -> None:
    """Tries the answers before a session is opened: a slip costs no time of the budget. Nothing made here is kept.

    Raises:
        UsageError: an answer does not hold; memory is looked at only in the session, where it is priced.
    """
    from tunewright.agents.clarifying import filed
    from tunewright.agents.specification import Specifier
    from tunewright.tools.training.registry import check_recipe

    def known_price(study: Study, _: Recipe) -> Forecast:
        return next(iter(study.proposals.values())).forecast

    if study.created is not None:
        filed(study, answers, Specifier(study.created.code, None, known_price, check_recipe))


def _settled(options: ev.StudyOptions, brief: Brief) -> ev.StudyOptions:
    """The options with what depends on this machine written down, so that every resume trains the same."""
    from tunewright.app.health import trial_memory_gib

    slots = options.slots if "slots" in options.model_fields_set else _slots(options, brief)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return options.model_copy(
        update={
            "slots": slots,
            "memory_gib": options.memory_gib or trial_memory_gib(slots),
            "threads": options.threads or max(1, cores // slots),
        }
    )


def _slots(options: ev.StudyOptions, brief: Brief) -> int:
    """How many trials run side by side where no option says: what the brief asks for, or what the GPUs hold."""
    from tunewright.agents.brief import spoken_width
    from tunewright.app.health import gpu_count

    return spoken_width(brief) or (max(1, gpu_count() // options.gpus) if options.gpus else 1)


def _check_names(options: ev.StudyOptions) -> None:
    """Every name in the options, before anything is made.

    Raises:
        UnknownNameError: no such sampler, pruner, sandbox or role.
        UsageError: an option that the sandbox does not have, or more GPUs asked for than there are.
    """
    from tunewright.agents.brains.choice import check_roles
    from tunewright.app.health import gpu_count
    from tunewright.sandbox.registry import open_sandbox, sandboxes
    from tunewright.search.pruning import pruners
    from tunewright.search.samplers import samplers

    for what, name, known in (
        ("sandbox", options.sandbox, sandboxes()),
        ("pruner", options.pruner, pruners()),
        ("sampler", options.sampler, samplers()),
    ):
        if name not in known:
            raise unknown_name(what, name, known)
    check_roles(options.llms)
    open_sandbox(options.sandbox, options.sandbox_options)  # refuses options that it does not know
    there = gpu_count() if options.gpus else 0
    if options.gpus > there:
        raise UsageError(
            f"{options.gpus} GPU{'s' if options.gpus > 1 else ''} asked for, {there or 'none'} found here",
            "leave out --gpus to train on the CPU; tunewright doctor shows what there is",
        )
    if options.slots * options.gpus > there:
        raise UsageError(
            f"{options.slots} trials at a time with {options.gpus} GPU{'s' if options.gpus > 1 else ''} each need "
            f"{options.slots * options.gpus} GPUs, {there} found here",
            f"run at most {there // options.gpus} at a time: --slots {there // options.gpus}",
        )


def _check_models(options: ev.StudyOptions, settings: Settings) -> None:
    """Opens each language model as a session would, without asking it anything.

    Raises:
        UsageError: a script or a recording cannot be read.
    """
    from tunewright.agents.brains import open_brain

    for spec in filter(None, map(options.model_of, ("", *options.llms))):
        open_brain(spec, record=quiet, study=Study, studies=settings.studies)


def _new_folder(settings: Settings, name: str | None, brief: Brief) -> Path:
    """Makes the study's folder; the name is taken from here on.

    Raises:
        UsageError: the name cannot be used, or the home cannot be written.
        StudyBusyError: there is such a study.
    """
    if name is not None and not _STUDY_NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no study name", "use lower-case letters, digits and hyphens, such as route-01")
    hint = "set TUNEWRIGHT_HOME to a folder that can be written"
    with boundary(UsageError, f"make a study under {settings.home}", hint):
        settings.studies.mkdir(parents=True, exist_ok=True)
        for candidate in [name] if name else _fresh_names(brief):
            folder = settings.studies / candidate
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    raise StudyBusyError(f"there is a study '{name}' already", f"tunewright resume {name}, or choose another --study")


def _fresh_names(brief: Brief) -> list[str]:
    """``route-01``, ``route-02``, ... from the first verb of "teach X to route ..."."""
    words = re.findall(r"\bto\s+([a-z]{3,20})\b", brief.text.lower())
    stem = next((word for word in words if word not in _NO_VERBS), "study")
    return [f"{stem}-{number:02d}" for number in range(1, 10_000)]


def _discard_if_untouched(folder: Path) -> None:
    """Removes a study that was never more than its name: wrong input leaves nothing behind."""
    from tunewright.tracking.journal import read_study

    study = read_study(folder)
    if not study.jobs and study.spent().llm_tokens == 0:
        shutil.rmtree(folder)
