"""Launches what was approved or promoted while slots are free, and sees what runs to its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.preflight import Preflight
from tunewright.agents.routing import due, free_slots
from tunewright.agents.specification import Specifier, allowed_s, training_inputs
from tunewright.agents.stage_cache import StageCache
from tunewright.agents.state import Node, State
from tunewright.agents.to_come import owed
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.proposal import Decision
from tunewright.domain.protocols import Scheduler
from tunewright.domain.study import Study


def make_trainer(
    notebook: Notebook,
    launcher: Launcher,
    specifier: Specifier,
    folder: Path,
    stop: Stop,
    scheduler: Callable[[Study], Scheduler],
    spared: Callable[[], bool] = lambda: False,
) -> Node:
    """One step a turn: a trial is launched, or the next of those that run ends, or what waits for nothing is closed.

    Args:
        spared: waits for what else holds some of the budget, such as a call of a language model; whether anything did.
    """
    cache, preflight = StageCache(folder), Preflight(notebook, launcher, specifier, folder)

    def trainer(state: State) -> State:
        study = notebook.study
        ready = due(study) if free_slots(study) and not stop.requested else None
        if ready is not None:
            launch(study, ready)
        elif study.running:
            launcher.wait()
        elif study.search_ended is not None:
            for job in study.waiting:
                launcher.abandon(job.id, f"not promoted before the search ended: {study.search_ended}")
        return state

    def launch(study: Study, job_id: str) -> None:
        proposal = study.recipe_of(job_id)
        spec = specifier.trial(study, proposal.recipe, job_id, allowed_s(proposal.forecast))
        # What is gone on with keeps the inputs that it began with, whatever others have finished since.
        found = {} if job_id in study.jobs else cache.inputs(spec)
        errand = Errand(
            spec,
            "trial",
            training_inputs(folder) | found,
            study.plan.keep if study.plan is not None else Cost(),
            owed=partial(owed, forecast=specifier.forecast, job=job_id),
            reserve_s=proposal.forecast.cost.wall_s,
            proposal=job_id,
            scheduler=scheduler(study),
            afterwards=partial(cache.collect, spec, launcher.folder(job_id) / "out"),
        )
        try:
            if job_id in study.jobs or preflight.cleared(proposal):
                launcher.start(errand)
        except BudgetError as error:
            if study.running:
                launcher.wait()  # what that gives back may be enough
            elif not spared():
                _give_up(notebook, launcher, job_id, error)

    return trainer


def _give_up(notebook: Notebook, launcher: Launcher, job_id: str, error: BudgetError) -> None:
    """What no longer fits into the budget is answered, so that the study can go on to its finish."""
    if job_id in notebook.study.jobs:
        launcher.abandon(job_id, error.message)
    else:
        decision = Decision(target=job_id, action="reject", by="gate", reason=error.message)
        notebook.record(ev.Decided(decision=decision))
