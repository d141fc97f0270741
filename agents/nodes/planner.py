"""Reads the brief, freezes the data, finds the model, measures it untouched, and proposes a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.clarifying import understood
from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import Specifier
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError, TunewrightError, UsageError
from tunewright.domain.job import ModelIdentity
from tunewright.domain.lesson import Remembered
from tunewright.domain.outcome import Completed, Failed
from tunewright.domain.proposal import Plan
from tunewright.domain.study import Study

BASE_SHARE = 0.25
"""Of the time budget: what measuring the untouched model may take before the study is called too large."""
_UNCAPPED_S = 3600.0
_LEAST_S = 5.0


@dataclass(frozen=True)
class FoundModel:
    """A model on this machine."""

    path: Path
    identity: ModelIdentity


def make_planner(
    notebook: Notebook,
    launcher: Launcher,
    specifier: Specifier,
    folder: Path,
    stop: Stop,
    understand: Callable[[Study], ev.Understood],
    find_model: Callable[[str], FoundModel],
    plan: Callable[[Study], Plan],
    recall: Callable[[Study], Sequence[Remembered]] = lambda study: (),
) -> Node:
    """``understand`` reads the brief, by rules or a language model; ``plan`` sizes the study from measurements;
    ``recall`` gives what earlier studies have learned, once.
    """

    def planner(state: State) -> State:
        if notebook.study.data is None and not _freeze(notebook, folder, understand):
            return state
        _find(notebook, launcher, find_model)
        if not _measured_base(notebook, launcher, specifier, folder) or stop.requested:
            return state
        if notebook.study.insights.recalled is None:
            notebook.record(ev.Recalled(lessons=tuple(recall(notebook.study))))
        try:
            notebook.record(ev.PlanProposed(plan=plan(notebook.study)))
        except BudgetError as error:
            notebook.record(ev.Finished(winner=None, reason=f"{error.message}; {error.hint}"))
        return state

    return planner


def _freeze(notebook: Notebook, folder: Path, understand: Callable[[Study], ev.Understood]) -> bool:
    """False where something is to be asked first."""
    from tunewright.tools.data.freeze import freeze

    study = notebook.study
    reading = understood(notebook, understand)
    if reading is None:
        return False
    frozen = freeze(reading.task, folder, seed=study.options.seed, skip_bad_rows=study.options.skip_bad_rows)
    notebook.record(reading.model_copy(update={"task": frozen.task}))
    notebook.record(ev.DataFrozen(data=frozen.data, profile=frozen.profile))
    return True


def _find(notebook: Notebook, launcher: Launcher, find_model: Callable[[str], FoundModel]) -> None:
    study = notebook.study
    assert study.task is not None
    if study.model is None:
        found = find_model(study.task.model)
        launcher.model = found.path
        notebook.record(ev.ModelFound(model=found.identity))


def _must_be_payable(study: Study, allowed_s: float) -> None:
    """Raises:
    UsageError: a cap that cannot be kept, or one that is used before anything was measured.
    """
    assert study.budget is not None
    if study.budget.usd is not None and study.options.prices.usd_per_device_hour is None:
        raise UsageError(
            f"a budget of {study.budget.usd:g} dollars cannot be kept: the price of a device hour is not known",
            "set TUNEWRIGHT_USD_PER_DEVICE_HOUR or pass --usd-per-device-hour (0 if the device costs nothing)",
        )
    if allowed_s < _LEAST_S:
        raise UsageError(
            f"the budget leaves {allowed_s:.0f} s to measure the untouched model; at least {_LEAST_S:.0f} s are needed",
            'say for example: "... At most 15 minutes and 4 trials."',
        )


def _measured_base(notebook: Notebook, launcher: Launcher, specifier: Specifier, folder: Path) -> bool:
    """Measures the untouched model on validation, once. False if a person stopped it."""
    study = notebook.study
    if study.base is None or not study.base.ended:
        left = ledger.wall_left(study, keep=Cost())
        allowed = min(round(left * BASE_SHARE, 1), _UNCAPPED_S)
        _must_be_payable(study, allowed)
        spec = specifier.evaluation(study, "base", "val", allowed)
        launcher.run(Errand(spec, "base", {"data.jsonl": folder / "data" / "val.jsonl"}, Cost()))
    assert study.base is not None
    outcome = study.base.outcome
    if isinstance(outcome, Failed):
        raise TunewrightError(
            f"the untouched model could not be measured: {outcome.fault.message}",
            "nothing was trained; see the job's log in "
            f"{launcher.folder('base') / 'out'}, or give a larger budget, a smaller model or less data",
        )
    return isinstance(outcome, Completed)
