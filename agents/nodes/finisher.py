"""Confirms the incumbent on fresh seeds, opens the sealed test once, names the winner or says why there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.nodes.evaluator import compare_items, read_items
from tunewright.agents.nodes.trainer import training_inputs
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import Specifier, allowed_s, device_cost
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.job import TrialSpec
from tunewright.domain.outcome import Completed, Item
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import JobRecord, Study


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
            confirm(study)
            if stop.requested:
                return state
            winner, reason = _decide(notebook.study, folder)
            if winner is not None:
                open_test(winner)
            if stop.requested:
                return state
            notebook.record(ev.Finished(winner=winner, reason=reason))
        publish(notebook.study)
        notebook.record(ev.Published())
        return state

    def confirm(study: Study) -> None:
        if _candidate(study) is None or study.plan is None:
            return
        incumbent = study.jobs[_candidate(study) or ""]
        proposal = study.recipe_of(incumbent.id)
        for number in range(1, study.plan.confirm_seeds + 1):
            job_id, record = f"c{number}", notebook.study.jobs.get(f"c{number}")
            if stop.requested or (record is not None and record.ended):
                continue
            recipe = proposal.recipe.reseeded(proposal.recipe.seed + number)
            spec = specifier.trial(study, recipe, job_id, _allowed(notebook.study, specifier, recipe, job_id, folder))
            errand = Errand(spec, "confirm", training_inputs(folder), _test_cost(notebook.study), proposal=incumbent.id)
            _if_affordable(notebook, partial(launcher.run, errand), f"confirmation {job_id}")

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
            _if_affordable(notebook, partial(launcher.run, errand), "the sealed test")

    return finisher


def _if_affordable(notebook: Notebook, run: Callable[[], object], what: str) -> None:
    try:
        run()
    except BudgetError as error:
        notebook.record(ev.Warned(message=f"{what} was left out: {error.message}"))


def _candidate(study: Study) -> str | None:
    """The incumbent, if it is a trial: the untouched base model wins nothing."""
    return study.incumbent if study.incumbent not in (None, "base") else None


def _allowed(study: Study, specifier: Specifier, recipe: Recipe, job_id: str, folder: Path) -> float:
    """A confirmation may run as long as it was first given, so that a resumed one has the same specification."""
    written = folder / "trials" / job_id / "spec.json"
    if job_id in study.jobs and written.is_file():
        return TrialSpec.model_validate_json(written.read_bytes()).limits.wall_s
    return allowed_s(specifier.forecast(study, recipe))


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
    return device_cost(study, 2 * test_seconds(study))


def _decide(study: Study, folder: Path) -> tuple[str | None, str]:
    """The winner and why, or None and why not."""
    decision = study.decisions.get("plan")
    if decision is not None and decision.action == "reject":
        return None, f"the plan was rejected: {decision.reason}"
    candidate = _candidate(study)
    if candidate is None:
        return None, _no_candidate(study)
    confirmed = [job for job in study.confirmations if job.score is not None]
    if not confirmed:
        return candidate, "better than the base model beyond noise; not confirmed on a fresh seed"
    verdict = compare_items(study, _mean_items(folder, confirmed), read_items(folder, "base"), "confirmations", "base")
    scores = ", ".join(f"{job.score:.3f}" for job in confirmed)
    if verdict.answer != "better":
        return None, f"{candidate} did not hold on fresh seeds ({scores}): {verdict.says()}"
    return candidate, f"confirmed on {len(confirmed)} fresh seed{'s' if len(confirmed) > 1 else ''}: {scores}"


def _no_candidate(study: Study) -> str:
    if not study.trials:
        return study.search_ended or "no trial was run"
    if not any(isinstance(job.outcome, Completed) for job in study.trials):
        return "no trial was completed"
    return "no trial beat the base model beyond noise"


def _mean_items(folder: Path, jobs: list[JobRecord]) -> list[Item]:
    """Each row's score averaged over seeds, so that seeds do not count as independent rows."""
    scores: dict[str, list[float]] = defaultdict(list)
    first: dict[str, Item] = {}
    for job in jobs:
        for item in read_items(folder, job.id):
            scores[item.id].append(item.score)
            first.setdefault(item.id, item)
    return [item.model_copy(update={"score": sum(scores[i]) / len(scores[i])}) for i, item in first.items()]
