"""Launches what was approved, one trial at a time, and sees it to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook
from tunewright.agents.specification import Specifier, allowed_s
from tunewright.agents.stage_cache import StageCache
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.proposal import Decision, Proposal
from tunewright.domain.protocols import Scheduler
from tunewright.domain.study import Study


def make_trainer(
    notebook: Notebook,
    launcher: Launcher,
    specifier: Specifier,
    folder: Path,
    scheduler: Callable[[Study], Scheduler],
) -> Node:
    """One trial a turn: what a crash or a pause left first, then approved proposals in order."""
    cache = StageCache(folder)

    def trainer(state: State) -> State:
        study = notebook.study
        due = _due(study)
        if due is None:
            return state
        proposal = study.recipe_of(due)
        spec = specifier.trial(study, proposal.recipe, due, allowed_s(proposal.forecast))
        keep = study.plan.keep if study.plan is not None else Cost()
        errand = Errand(
            spec,
            "trial",
            training_inputs(folder) | cache.inputs(spec),
            keep,
            reserve_s=proposal.forecast.cost.wall_s,
            proposal=due,
            scheduler=scheduler(study),
        )
        try:
            launcher.run(errand)
        except BudgetError as error:
            _give_up(notebook, launcher, due, error)
        cache.collect(spec, launcher.folder(due) / "out")
        return state

    return trainer


def _due(study: Study) -> str | None:
    paused = [job.id for job in study.unfinished if job.role == "trial"]
    approved: list[Proposal] = study.approved
    return paused[0] if paused else approved[0].id if approved else None


def _give_up(notebook: Notebook, launcher: Launcher, due: str, error: BudgetError) -> None:
    """What no longer fits into the budget is answered, so that the study can go on to its finish."""
    if due in notebook.study.jobs:
        launcher.abandon(due, error.message)
    else:
        decision = Decision(target=due, action="reject", by="gate", reason=error.message)
        notebook.record(ev.Decided(decision=decision))


def training_inputs(folder: Path) -> dict[str, Path]:
    """What a training may see: train and validation rows. The sealed test is not among them."""
    return {"train.jsonl": folder / "data" / "train.jsonl", "val.jsonl": folder / "data" / "val.jsonl"}
