"""Judges each completed trial against the incumbent, item by item. Numbers come from code; nobody reports them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewright.agents.notebook import Notebook
from tunewright.agents.routing import unjudged
from tunewright.agents.state import Node, State
from tunewright.agents.worth import not_worth
from tunewright.domain import event as ev
from tunewright.domain.errors import DataError
from tunewright.domain.outcome import Item, Verdict
from tunewright.domain.study import Study


def make_evaluator(notebook: Notebook, folder: Path) -> Node:
    """A trial becomes the incumbent only if it is better beyond noise; a tie stays with the earlier one."""

    def evaluator(state: State) -> State:
        for trial in unjudged(notebook.study):
            study = notebook.study
            incumbent = study.incumbent or "base"
            verdict = judge(study, folder, trial, incumbent)
            note = not_worth(study, verdict) if verdict.answer == "better" else ""
            now = trial if verdict.answer == "better" and not note else incumbent
            notebook.record(ev.Judged(verdict=verdict, incumbent=now, note=note))
        return state

    return evaluator


def judge(study: Study, folder: Path, trial: str, against: str) -> Verdict:
    """The paired comparison of two jobs on the rows both have scored."""
    return compare_items(study, read_items(folder, trial), read_items(folder, against), trial, against)


def compare_items(study: Study, items: Sequence[Item], others: Sequence[Item], trial: str, against: str) -> Verdict:
    """The paired comparison of two lists of scored items."""
    from tunewright.tools.evaluation.registry import scorer
    from tunewright.tools.evaluation.statistics import compare

    assert study.task is not None
    metric = study.task.metric
    return compare(items, others, metric=metric, scorer=scorer(metric.name), trial=trial, against_name=against)


def read_items(folder: Path, job: str) -> list[Item]:
    """The scored rows that a job left.

    Raises:
        DataError: the file is gone or damaged; its scores cannot be judged.
    """
    path = folder / "trials" / job / "out" / "items.jsonl"
    try:
        return [Item.model_validate_json(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"the per-item scores of {job} cannot be read from {path}", "restore the file") from error
