"""Judges each completed trial against the best so far, item by item. What is said here is exploratory: it is corrected
for no other comparison, and shows how the search goes; the claims are made at the finish.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunewright.agents.beside.left import explained_later
from tunewright.agents.domains import uneven
from tunewright.agents.judging import judge
from tunewright.agents.limit import barred, group_excess
from tunewright.agents.notebook import Notebook
from tunewright.agents.routing import unjudged
from tunewright.agents.state import Node, State
from tunewright.agents.worth import not_worth
from tunewright.domain import event as ev
from tunewright.domain.outcome import Verdict
from tunewright.domain.study import Study


def make_evaluator(
    notebook: Notebook, folder: Path, explain: Callable[[Study, Verdict], ev.Explained] | None = None
) -> Node:
    """A trial becomes the incumbent only if it is better beyond noise and within the limits; in a tie it does not.

    Args:
        explain: says where a gain or loss came from. It is asked here where code alone answers; a language model
            answers beside the trials.
    """

    def explained() -> None:
        """The newest verdict, where it was not yet: a session may have ended in between."""
        study = notebook.study
        verdict = study.verdicts[-1] if study.verdicts else None
        if explain is None or verdict is None or verdict.trial in study.insights.explained:
            return
        if not explained_later(study, verdict):
            notebook.record(explain(study, verdict))

    def evaluator(state: State) -> State:
        explained()
        for trial in unjudged(notebook.study):
            study = notebook.study
            incumbent = study.incumbent or "base"
            verdict = judge(study, folder, trial, incumbent)
            note = barred(study, folder, trial)
            if verdict.answer == "better" and not note:
                note = not_worth(study, verdict) or uneven(study, folder, trial, incumbent)
            over = group_excess(study, folder, trial)
            now = trial if verdict.answer == "better" and not note else incumbent
            notebook.record(ev.Judged(verdict=verdict, incumbent=now, note=note, group_excess=over))
            explained()
        return state

    return evaluator
