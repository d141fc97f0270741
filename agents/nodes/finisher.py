"""Trains the finalists again on fresh seeds, opens the sealed test once, records the winner or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunewright.agents.confirmation import Confirmation
from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import Specifier
from tunewright.agents.state import Node, State
from tunewright.agents.winner import ending
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study


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
        for job_id, digest in (("test", outcome.result.adapter_digest), ("test-base", None)):
            record = notebook.study.jobs.get(job_id)
            if stop.requested or (record is not None and record.ended):
                continue
            spec = specifier.evaluation(study, job_id, "test", test_seconds(study), digest)
            inputs = {"data.jsonl": sealed} | ({"adapter": adapter} if digest else {})
            errand = Errand(spec, "test", inputs, Cost())
            try:
                launcher.run(errand)
            except BudgetError as error:
                notebook.record(ev.Warned(message=f"the sealed test was left out: {error.message}"))

    return finisher


def test_seconds(study: Study) -> float:
    """Seconds one evaluation of the sealed test may take, from what the base evaluation took."""
    assert study.data is not None and study.base is not None
    outcome = study.base.outcome
    if not isinstance(outcome, Completed):
        return 60.0
    more_rows = max(1.0, study.data.test.rows / max(1, study.data.val.rows))
    once = outcome.cost.wall_s + outcome.result.eval_s * (more_rows - 1)
    return float(round(10 + 1.5 * once))


def _test_cost(study: Study) -> Cost:
    return study.options.device_cost(2 * test_seconds(study))
