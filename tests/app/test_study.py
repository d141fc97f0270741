"""Studies from brief to winner on the replay sandbox: real journal, Optuna, LangGraph and MLflow; nothing trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.app.conftest import most_at_once, replayed

import tunewright as tw
from tunewright.domain.errors import ApprovalError, StudyBusyError, UnknownNameError, UsageError
from tunewright.domain.event import Decided, JobEnded, Learned, StudyOptions
from tunewright.domain.outcome import Completed, Failed
from tunewright.domain.proposal import Decision
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.settings import Settings
from tunewright.tracking.journal import Journal, events


def test_a_study_ends_with_a_winner_its_runs_and_its_report(brief: str, settings: Settings) -> None:
    seen: list[object] = []
    summary = tw.run(brief, options=replayed(), settings=settings, observer=seen.append)
    study = tw.load(summary.study, settings=settings)
    assert summary.state == "winner"
    assert summary.trials == 3
    assert summary.base_score is not None and summary.best_score is not None
    assert summary.best_score > summary.base_score
    assert summary.best_run_id == study.runs[summary.winner or ""]
    assert {"study", "base", "t0", "t1", "t2", "test", "test-base"} <= study.runs.keys()
    assert summary.test_score is not None
    folder = settings.studies / summary.study
    assert (folder / "report.html").is_file() and (folder / "report.md").is_file()
    assert all(lesson.evidence for lesson in study.lessons)
    assert any(isinstance(one, JobEnded) for one in seen)


def test_a_report_written_again_has_all_that_the_first_had(brief: str, settings: Settings) -> None:
    summary = tw.run(brief, options=replayed(), settings=settings)
    folder = settings.studies / summary.study
    first = (folder / "report.md").read_text()
    assert "nothing is run: a script plays the jobs" in first
    markdown, _ = tw.report(summary.study, settings=settings)
    assert without_clock(markdown.read_text()) == without_clock(first)


def without_clock(report: str) -> str:
    """A report but for the time spent, which goes on until its study is closed."""
    return re.sub(r"time \| \d+:\d\d \|", "TIME |", re.sub(r"\*\*\d+:\d\d\*\* of", "TIME of", report))


def test_spending_stays_within_every_cap(brief: str, settings: Settings) -> None:
    summary = tw.run(brief, options=replayed(), settings=settings)
    assert summary.budget is not None
    assert summary.budget.shortfalls(summary.spent, tw.load(summary.study, settings=settings).reserved()) == []


def test_the_first_trial_is_the_default_and_the_base_is_measured_before_it(brief: str, settings: Settings) -> None:
    study = tw.load(tw.run(brief, options=replayed(), settings=settings).study, settings=settings)
    assert study.plan is not None
    assert list(study.jobs)[:2] == ["base", "t0"]
    assert study.recipe_of("t0").recipe == study.plan.space.build(study.plan.space.default())


def test_the_seed_is_never_searched_and_repeats_have_seeds_of_their_own(brief: str, settings: Settings) -> None:
    options = replayed(seed=3, sampler="random")
    summary = tw.run(brief.replace("3 trials", "6 trials"), options=options, settings=settings)
    study = tw.load(summary.study, settings=settings)
    assert study.plan is not None
    assert not any(dimension.path.split(".")[-1] == "seed" for dimension in study.plan.space.dimensions)
    assert {study.recipe_of(job.id).recipe.seed for job in study.trials} == {3}
    folder = settings.studies / summary.study / "trials"
    seen: dict[str, list[int]] = {}
    for job in study.confirmations:
        spec = json.loads((folder / job.id / "spec.json").read_text())
        recipe = study.recipe_of(job.proposal or "").recipe
        assert spec["recipe"] == recipe.reseeded(spec["recipe"]["seed"]).model_dump(mode="json")
        seen.setdefault(job.proposal or "", []).append(spec["recipe"]["seed"])
    assert seen and all(seeds == list(range(4, 4 + len(seeds))) for seeds in seen.values())
    assert summary.claims == (study.finished.verdicts if study.finished else ())
    assert summary.noise is not None and summary.noise.seed_sd is not None


def test_a_limit_that_no_trial_keeps_leaves_no_winner_and_no_best_so_far(brief: str, settings: Settings) -> None:
    # Data decide how much EVA trains, so that it is held against the limit only when it is trained.
    said = f"{brief} Only eva adapters. At most 10 trainable parameters."
    summary = tw.run(said, options=replayed(), settings=settings)
    study = tw.load(summary.study, settings=settings)
    assert (summary.state, summary.best_trial) == ("no-winner", None)
    assert "no trial stays within the limits of the brief: t0: trained parameters" in summary.reason
    assert study.barred.keys() == study.judged and study.incumbent == "base"
    assert study.confirmations == []


@pytest.mark.parametrize(
    ("limit", "said", "instead"),
    [
        ("Keep the adapter under 0.1 kB.", "100 B: the smallest, ia3, takes", "adapter under"),
        (
            "At most 10 trainable parameters.",
            "10 trained parameters: the smallest, ia3, trains",
            "at most 96 trainable parameters",
        ),
    ],
)
def test_a_limit_that_no_adapter_can_keep_ends_the_study_before_anything_is_trained(
    limit: str, said: str, instead: str, brief: str, settings: Settings
) -> None:
    summary = tw.run(f"{brief} {limit}", options=replayed(), settings=settings)
    assert (summary.state, summary.trials) == ("no-winner", 0)
    assert f"no adapter that is searched fits into {said}" in summary.reason
    assert f"say for example: {instead}" in summary.reason


def test_fresh_seeds_run_side_by_side_and_what_the_machine_failed_is_tried_again(
    brief: str, settings: Settings
) -> None:
    options = replayed(slots=2, sandbox_options={"fault": "lr>0:infra", "seconds": "0.3"})
    summary = tw.run(brief.replace("3 trials", "8 trials"), options=options, settings=settings)
    study = tw.load(summary.study, settings=settings)
    assert len(study.confirmations) >= 2
    assert all(isinstance(job.outcome, Completed) and job.attempts == 2 for job in study.confirmations)
    told, _ = events(settings.studies / summary.study)
    assert most_at_once(told, ["confirm"]) == 2


def test_every_adapter_that_the_brief_names_gets_a_trial(rows: Path, settings: Settings) -> None:
    brief = (
        f"Teach tiny to label {rows} (field label). Compare ia3, LoRA, DoRA and CeRA. At most 20 minutes and 6 trials."
    )
    study = tw.load(tw.run(brief, options=replayed(), settings=settings).study, settings=settings)
    ideas = [study.recipe_of(job.id).idea for job in study.trials]
    origins = [idea.origin for idea in ideas]
    assert origins[:4] == ["default", "brief", "brief", "brief"]
    assert set(origins[4:]) <= {"sampler", "planner"} and "sampler" in origins, "an experiment of the rules may be one"
    assert {idea.recipe.stages[0].adapter.kind for idea in ideas[:4]} == {"lora", "ia3", "dora", "cera"}
    assert study.plan is not None
    assert all(study.plan.space.contains(idea.recipe) for idea in ideas)


def test_more_adapters_than_trials_is_said_in_the_plan(rows: Path, settings: Settings) -> None:
    brief = (
        f"Teach tiny to label {rows} (field label). Compare ia3, LoRA, DoRA and CeRA. At most 20 minutes and 3 trials."
    )
    study = tw.load(tw.run(brief, options=replayed(), settings=settings).study, settings=settings)
    assert study.plan is not None
    assert "the brief names 4 adapters and 3 trials fit: 1 of them is not tried" in study.plan.notes


def test_without_a_terminal_it_waits_and_goes_on(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    assert (waiting.state, waiting.waiting_for) == ("waiting", ("plan",))
    assert waiting.next == f"tunewright review {waiting.study} --approve plan"
    batch = tw.review(waiting.study, [Answer(target="plan", action="approve")], settings=settings)
    assert batch.waiting_for == ("t0", "t1", "t2")
    again = tw.resume(waiting.study, settings=settings)
    assert again.waiting_for == batch.waiting_for, "resuming decides nothing"
    answers = [
        Answer(target="t0", action="approve"),
        Answer(target="t1", action="edit", edits={"stages.0.optimisation.batch_size": 8}),
        Answer(target="t2", action="reject", reason="tried last month"),
    ]
    went_on = tw.review(waiting.study, answers, settings=settings)
    study = tw.load(waiting.study, settings=settings)
    assert [job.id for job in study.trials] == ["t0", "t1"]
    assert study.recipe_of("t1").recipe.stages[0].optimisation.batch_size == 8
    assert went_on.state == "waiting", "one trial of the budget is left, and asked about"


def test_waiting_costs_no_wall_time(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    study = tw.load(waiting.study, settings=settings)
    much_later = 10_000 + max(one.at for one in events(settings.studies / waiting.study)[0])
    assert study.spent(much_later).wall_s == pytest.approx(waiting.spent.wall_s, abs=0.01)


def test_a_wrong_answer_opens_no_session_and_costs_nothing(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    batch = tw.review(waiting.study, [Answer(target="plan", action="approve")], settings=settings)
    journal = settings.studies / waiting.study / "journal.jsonl"
    before = journal.read_bytes()
    edits: list[dict[str, object]] = [
        {"foo": 1}, {"stages.0.optimisation.lr": 5}, {"stages.0.optimisation.lr": "abc"},
        {"stages.0.adapter.kind": "dorra"},
    ]  # fmt: skip
    wrong = [Answer(target=batch.waiting_for[0], action="edit", edits=one) for one in edits]
    for answer in [*wrong, Answer(target="t7", action="approve")]:
        with pytest.raises(UsageError) as refused:
            tw.review(waiting.study, [answer], settings=settings)
        assert refused.value.hint
    assert journal.read_bytes() == before


def test_a_wrong_answer_leaves_the_study_waiting(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    with pytest.raises(UsageError, match="reason"):
        tw.review(waiting.study, [Answer(target="plan", action="reject")], settings=settings)
    assert tw.status(waiting.study, settings=settings).state == "waiting"


def test_a_rejected_plan_ends_the_study_without_a_trial(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    answer = Answer(target="plan", action="reject", reason="too long")
    ended = tw.review(waiting.study, [answer], settings=settings)
    assert (ended.state, ended.trials) == ("no-winner", 0)
    assert "too long" in ended.reason


def test_review_first_asks_once(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="first"), settings=settings)
    batch = tw.review(waiting.study, [Answer(target="plan", action="approve")], settings=settings)
    answers = [Answer(target=target, action="reject", reason="no") for target in batch.waiting_for]
    assert tw.review(waiting.study, answers, settings=settings).state in ("winner", "no-winner")


def test_a_failed_trial_is_data(brief: str, settings: Settings) -> None:
    options = replayed(sandbox_options={"fault": "adapter.kind=lora:memory"})
    summary = tw.run(brief, options=options, settings=settings)
    study = tw.load(summary.study, settings=settings)
    assert isinstance(study.jobs["t0"].outcome, Failed)
    assert summary.trials == 3
    assert any(isinstance(job.outcome, Completed) for job in study.trials)


def test_an_infra_fault_is_tried_again_and_not_held_against_the_recipe(brief: str, settings: Settings) -> None:
    options = replayed(sandbox_options={"fault": "adapter.kind=lora:infra"})
    study = tw.load(tw.run(brief, options=options, settings=settings).study, settings=settings)
    assert study.jobs["t0"].attempts == 2
    assert isinstance(study.jobs["t0"].outcome, Completed)


def test_what_was_not_approved_is_not_launched(brief: str, settings: Settings) -> None:
    """The journal is given an approval that binds another hash: nothing may start."""
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    batch = tw.review(waiting.study, [Answer(target="plan", action="approve")], settings=settings)
    folder = settings.studies / waiting.study
    text = (folder / "journal.jsonl").read_text()
    study = tw.load(waiting.study, settings=settings)

    with Journal(folder) as journal:
        for target in batch.waiting_for:
            binds = study.proposals[target].binding[:-1] + "x"
            journal.append(Decided(decision=Decision(target=target, action="approve", by="person", binds=binds)))
    with pytest.raises(ApprovalError, match="not what was approved"):
        tw.resume(waiting.study, settings=settings)
    assert tw.load(waiting.study, settings=settings).trials == []
    assert (folder / "journal.jsonl").read_text().startswith(text)


def test_a_running_study_is_not_run_twice(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    with Journal(settings.studies / waiting.study), pytest.raises(StudyBusyError, match=waiting.study):
        tw.resume(waiting.study, settings=settings)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Teach tiny to label missing.jsonl. At most 3 trials.", UsageError),
        ("Teach tiny to label {rows}.", UsageError),
        ("Teach tiny to label {rows} (field topic). At most 3 trials.", UsageError),
        ("Teach no-such-model to label {rows}. At most 3 trials.", UsageError),
        ("Teach tiny to label {rows}. Maximise flurbness. At most 3 trials.", UsageError),
        ("Teach tiny to label {rows}. At most 0 minutes.", UsageError),
        ("Teach tiny to label {rows}. At most 2 seconds.", UsageError),
        ("Teach tiny to label {rows}. At most 5 dollars.", UsageError),
    ],
)
def test_wrong_input_leaves_no_study_behind(text: str, kind: type[Exception], rows: Path, settings: Settings) -> None:
    with pytest.raises(kind):
        tw.run(text.format(rows=rows), options=replayed(), settings=settings)
    assert tw.studies(settings=settings) == []


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Teach tiny to label missing.jsonl. At most 3 trials.", {}),
        ("Teach tiny to label {rows}.", {}),
        ("Teach tiny to label {rows}. At most 3 trials.", {"sandbox_options": {"colour": "blue"}}),
    ],
)
def test_wrong_input_is_refused_before_a_study_is_made(
    text: str, options: dict[str, object], rows: Path, settings: Settings
) -> None:
    seen: list[object] = []
    with pytest.raises(UsageError):
        tw.run(text.format(rows=rows), options=replayed(**options), settings=settings, observer=seen.append)
    assert seen == [] and not settings.studies.exists()


@pytest.mark.parametrize("options", [{"sampler": "tpee"}, {"pruner": "mediann"}, {"sandbox": "dokcer"}])
def test_an_unknown_name_is_refused_with_the_nearest(options: dict[str, str], brief: str, settings: Settings) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        tw.run(brief, options=StudyOptions.model_validate(options), settings=settings)


def test_the_journal_alone_tells_the_study(brief: str, settings: Settings) -> None:
    summary = tw.run(brief, options=replayed(), settings=settings)
    folder = settings.studies / summary.study
    told, _ = events(folder)
    assert Study(told).runs == tw.load(summary.study, settings=settings).runs
    for view in ("graph.sqlite", "optuna.journal"):
        (folder / view).unlink(missing_ok=True)
    assert tw.resume(summary.study, settings=settings).state == summary.state


def test_lessons_cite_what_the_journal_bears_out(brief: str, settings: Settings) -> None:
    from tunewright.agents.reflection.check import verify

    summary = tw.run(brief.replace("3 trials", "6 trials"), options=replayed(), settings=settings)
    told, _ = events(settings.studies / summary.study)
    lessons = [one.lesson for one in told if isinstance(one, Learned)]
    assert lessons
    study = tw.load(summary.study, settings=settings)
    assert [verify(lesson, study) for lesson in lessons if lesson.supporting] == [[] for _ in lessons]
