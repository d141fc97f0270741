"""Trains the finalists again on fresh seeds, opens the sealed test once, records the winner or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from tunewright.agents.confirmation import Confirmation
from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import Specifier
from tunewright.agents.state import Node, State
from tunewright.agents.winner import ending
from tunewright.domain import event as ev
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study

_SLOWER = 3.0
"""Times what an evaluation needs that it may take, where the budget has as much left."""
_LEAST_S = 5
"""Seconds in which a small evaluation may end; with less left it is not begun."""


def make_finisher(
    notebook: Notebook,
    launcher: Launcher,
    specifier: Specifier,
    folder: Path,
    stop: Stop,
    publish: Callable[[Study], None],
) -> Node:
    """``publish`` writes the report and tells the tracker; both are views and may be made again."""

    def finisher(state: State) -> State:
        study = notebook.study
        if study.finished is None:
            if study.base is not None and study.data is not None:
                Confirmation(notebook, launcher, specifier, folder, stop, _test_cost(study)).run()
            if stop.requested:
                return state
            end = ending(notebook.study, folder)
            if end.winner is not None:
                open_test(end.winner)
            if stop.requested:
                return state
            found = ev.Finished(winner=end.winner, reason=end.reason, verdicts=end.verdicts, noise=end.noise)
            notebook.record(found)
        publish(notebook.study)
        notebook.record(ev.Published())
        return state

    def open_test(winner: str) -> None:
        study = notebook.study
        if study.test_opened is None:
            notebook.record(ev.TestOpened(winner=winner))
        sealed = folder / "sealed" / "test.jsonl"
        adapter = launcher.folder(winner) / "out" / "adapter"
        outcome = study.jobs[winner].outcome
        assert isinstance(outcome, Completed)
        base = test_seconds(study)
        for job_id, digest in (("test", outcome.result.adapter_digest), ("test-base", None)):
            record = notebook.study.jobs.get(job_id)
            if stop.requested or (record is not None and record.ended):
                continue
            needed, keep = (test_seconds(study, winner), base) if digest else (base, 0.0)
            seconds = allowed_seconds(notebook.study, needed, keep)
            spec = specifier.evaluation(study, job_id, "test", seconds, digest)
            inputs = {"data.jsonl": sealed} | ({"adapter": adapter} if digest else {})
            errand = Errand(spec, "test", inputs, Cost())
            try:
                launcher.run(errand)
            except BudgetError as error:
                notebook.record(ev.Warned(message=f"the sealed test was left out: {error.message}"))

    return finisher


def test_seconds(study: Study, *trials: str) -> float:
    """Seconds one evaluation of the sealed test may take, from what the base evaluation took.

    Args:
        trials: of which the slowest counts: adapters such as DoRA make a model several times as slow.
    """
    assert study.data is not None and study.base is not None
    outcome = study.base.outcome
    if not isinstance(outcome, Completed):
        return 60.0
    more_rows = max(1.0, study.data.test.rows / max(1, study.data.val.rows))
    ends = [job.outcome.result.eval_s for id in trials if isinstance((job := study.jobs[id]).outcome, Completed)]
    slowest = max(outcome.result.eval_s, *ends) if ends else outcome.result.eval_s
    once = outcome.cost.wall_s + slowest * more_rows - outcome.result.eval_s
    return float(round(10 + 1.5 * once))


def allowed_seconds(study: Study, needed: float, keep: float, now: float | None = None) -> float:
    """What the last evaluations may take: a machine that is slow for a moment is no reason to lose the test while the
    budget has time left, and one that is nearly spent none not to try.

    Args:
        needed: seconds that an evaluation takes at most on a quiet machine.
        keep: seconds that the next one needs.
        now: seconds since the epoch.
    """
    spare = ledger.wall_left(study, keep=study.options.device_cost(keep), now=now)
    if spare >= needed:
        return float(math.floor(min(_SLOWER * needed, spare)))
    left = ledger.wall_left(study, keep=Cost(), now=now)
    return (
        float(math.floor(min(needed, left))) if left >= _LEAST_S else needed
    )  # which the ledger then refuses, and says why


def _test_cost(study: Study) -> Cost:
    completed = [job.id for job in study.trials if isinstance(job.outcome, Completed)]
    return study.options.device_cost(test_seconds(study) + test_seconds(study, *completed))
