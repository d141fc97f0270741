"""What each event says to a person, and that nothing is said twice."""

from __future__ import annotations

import pytest
from tests.stories import MODEL, Story, space, task

from tunewright.cli.line import Line
from tunewright.cli.narration import lines_for, progress_for
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.lesson import Evidence, Lesson
from tunewright.domain.live import Live, Said
from tunewright.domain.outcome import JobResult, Measurement, Paused
from tunewright.domain.proposal import Decision
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.domain.task import Constraint
from tunewright.domain.trial_event import Measured, Noted, Progressed
from tunewright.tools.analysis.runs import runs


def told(story: Story) -> list[str]:
    """Every line that a story's events leave on the screen."""
    study, rows = Study(), list[str]()
    for one in story.events:
        study.fold(one)
        rows += [row for line in lines_for(one, study) for row in line.rows()]
    return rows


def last(story: Story) -> list[Line]:
    return lines_for(story.events[-1], story.study)


def test_the_set_up_says_what_was_understood_and_what_is_not_in_use() -> None:
    small = Constraint(quantity="adapter_bytes", relation="<=", value=5e6)
    rows = told(Story(space=space(), task=task(constraints=(small,))))
    assert rows[:7] == [
        "study        route-01",
        "understood   task      label `text` -> `label` (data/messages.jsonl)",
        "             model     smollm2-135m",
        "             metric    accuracy, higher is better",
        "             limits    30 min wall, 12 trials, adapter <= 5 MB",
        "             note      adapter <= 5 MB is a constraint",
        "not in use   a language model (set --llm to let one plan); a GPU (set --gpus 1 to train on one)",
    ]
    assert rows[7] == (
        "data         1,418 train / 304 val / 304 test, 5 labels, 11 duplicates kept together, test sealed"
    )
    assert rows[8].strip().startswith("! left out: data/messages.jsonl line 812")
    assert rows[9].strip() == "! 3 labels have fewer than 5 rows in val: their accuracy will be noisy"
    assert rows[10] == "model        smollm2-135m, 134.5M parameters"
    assert len(rows) == 11


def test_a_metric_to_minimise_and_a_language_model_in_use() -> None:
    story = Story(space=space(), task=task(direction="min"))
    story.study.options = story.study.options.model_copy(update={"llm": "scripted:answers.json", "gpus": 1})
    one = ev.Understood(task=task(direction="min"), budget=story.study.budget or pytest.fail("no budget"))
    rows = [row for line in lines_for(one, story.study) for row in line.rows()]
    assert any("loss, lower is better" in row for row in rows)
    assert not any("not in use" in row for row in rows)


def test_what_a_language_model_can_do_and_who_takes_over(story: Story) -> None:
    story.tell(ev.ModelProbed(at=story.tick(), model="openai/a", form="schema", tools=True))
    [line] = last(story)
    assert (line.label, line.text) == ("llm", "openai/a: its answers are held to a JSON schema; it calls functions")
    story.tell(ev.ModelsChosen(at=story.tick(), llm=None, llms={"planner": "openai/b"}))
    assert [line.text for line in last(story)] == ["from here on rules; planner by openai/b"]


def test_the_base_model_and_a_verdict(story: Story) -> None:
    assert told(story)[-1] == "base model   accuracy 0.118 [0.082, 0.154] on val, 14 s"


def test_a_completed_trial_is_told_once_with_its_verdict(batch: Story) -> None:
    batch.decide("t0")
    batch.run("t0", 0.655)
    assert last(batch) == [], "its score comes with the verdict"
    batch.judge("t0", "base")
    [line] = last(batch)
    assert line.text.startswith("#0 lora r8 lr 2e-4")
    assert "0.655 [0.602, 0.708]   better than base by 0.537 [0.507, 0.567], 304 items   new best" in line.text
    assert line.tone == "good"
    batch.decide("t1")
    batch.run("t1", 0.66)
    batch.judge("t1", "t0")
    [line] = last(batch)
    assert "not told apart from #0 by +0.005" in line.text
    assert "new best" not in line.text
    rows = told(batch)
    assert len(rows) == len(set(rows))


def test_ends_that_are_no_completion(batch: Story) -> None:
    for target in ("t0", "t1", "t2"):
        batch.decide(target)
    batch.launch("t0")
    batch.measure("t0", 75, 0.31)
    batch.steer("t0", "stop", "0.31 is below the median 0.52")
    assert last(batch) == [], "the reason comes with the end"
    batch.prune("t0", "0.31 is below the median 0.52")
    assert "stopped at step 75: 0.31 is below the median 0.52" in last(batch)[0].text
    batch.launch("t1")
    batch.fail("t1", "memory", "7.9 of 6.0 GiB")
    assert "memory fault at step 1: 7.9 of 6.0 GiB" in last(batch)[0].text
    assert last(batch)[0].tone == "bad"
    batch.launch("t2")
    batch.tell(ev.JobEnded(job="t2", outcome=Paused(reason="stopped by Ctrl-C", cost=Cost())))
    assert last(batch)[0].text.endswith("paused: stopped by Ctrl-C")


def test_a_trial_that_waits_and_is_promoted(batch: Story) -> None:
    batch.decide("t0")
    batch.launch("t0")
    batch.measure("t0", 75, 0.31)
    batch.steer("t0", "pause", "0.31 is number 2 of 3 at this rung; the best 1 go on")
    result = JobResult(status="paused", steps=77, total_steps=360)
    reason = "0.31 at step 75 is number 2 of 3 at this rung; the best 1 go on"
    waits = Paused(reason=reason, cost=Cost(), waits="promotion", result=result)
    batch.tell(ev.JobEnded(job="t0", outcome=waits))
    assert last(batch)[0].text.endswith("waits at step 75 of 360: 0.31 is number 2 of 3 at this rung; the best 1 go on")
    (trial,) = summarise(batch.study).trial_list
    assert (trial.status, trial.reason) == ("waiting", batch.study.jobs["t0"].rest)
    (run,) = [one for one in runs(batch.study) if one.id == "t0"]
    assert (run.status, run.score, run.interval) == ("waiting", "0.310", "at step 75")
    assert run.verdict.startswith("waits at step 75 of 360: 0.31 is number 2")
    batch.tell(ev.JobPromoted(job="t0", reason="0.31 is number 1 of 4 by now"))
    assert last(batch)[0].text.endswith("promoted: 0.31 is number 1 of 4 by now")
    batch.launch("t0", attempt=2)
    assert progress_for(batch.events[-1], batch.study)[0].text.endswith("started again from step 75")
    assert "promoted: 0.31 is number 1 of 4 by now" in next(one for one in runs(batch.study) if one.id == "t0").why


def test_decisions_that_change_something(batch: Story) -> None:
    batch.decide("t0")
    assert last(batch) == []
    batch.decide("t1", action="reject", reason="tried last month")
    assert last(batch)[0].text.endswith("rejected by person: tried last month")
    recipe = batch.study.proposals["t2"].recipe
    stage = recipe.stages[0]
    slower = stage.model_copy(update={"optimisation": stage.optimisation.model_copy(update={"lr": 1e-4})})
    batch.decide("t2", action="edit", recipe=recipe.model_copy(update={"stages": (slower,)}))
    assert last(batch)[0].text.endswith("edited: lr 2e-4 -> 1e-4")
    gate = Decision(target="t2", action="reject", by="gate", reason="needs 9.0 GiB of 6.0 GiB")
    batch.tell(ev.Decided(decision=gate))
    assert last(batch)[0].text.endswith("cannot run: needs 9.0 GiB of 6.0 GiB")


def test_what_was_edited_is_not_called_the_default(batch: Story) -> None:
    recipe = batch.study.proposals["t0"].recipe
    batch.decide("t0", action="edit", recipe=recipe.model_copy(update={"seed": 7}))
    batch.launch("t0")
    assert progress_for(batch.events[-1], batch.study)[0].text.endswith("started: edited in review (default)")


def test_a_lesson_names_trials_as_the_rest_of_the_screen_does(batch: Story) -> None:
    claim = "lora beats dora by 0.1: 0.8 (t0) against 0.7 (t1)"
    evidence = (Evidence(trial="t0", quantity="score", value=0.8),)
    lesson = Lesson(claim=claim, evidence=evidence, supporting=("t0",), confidence=0.5)
    [line] = lines_for(ev.Learned(lesson=lesson), batch.study)
    assert line.text == f"{lesson.id}: lora beats dora by 0.1: 0.8 (#0) against 0.7 (#1) (for: #0)"


def test_a_rejected_plan(plan_waits: list[ev.Event]) -> None:
    study = Study(plan_waits)
    one = ev.Decided(decision=Decision(target="plan", action="reject", by="person", reason="too long"))
    assert [row for line in lines_for(one, study) for row in line.rows()] == [
        "plan         rejected by person: too long"
    ]


def test_steps_belong_on_the_screen_and_not_in_the_log(batch: Story) -> None:
    step = Live("t0", Progressed(step=3, of=225, loss=1.2))
    assert lines_for(step, batch.study) == []
    assert progress_for(step, batch.study) == []


def test_what_a_log_is_told_besides(batch: Story) -> None:
    batch.decide("t1")
    batch.launch("t1")
    assert progress_for(batch.events[-1], batch.study)[0].text.endswith("started: tpe: unexplored (sampler)")
    batch.launch("t1", attempt=2)
    assert progress_for(batch.events[-1], batch.study)[0].text.endswith("started, attempt 2")
    rung = Measurement(value=0.31, rows=100, step=25, seconds=1)
    assert progress_for(Live("t1", Measured(measurement=rung)), batch.study)[0].text.endswith("0.310 at step 25")
    assert progress_for(Live("t1", Measured(measurement=rung, final=True)), batch.study) == []
    assert progress_for(Said("fetching the weights of smollm2-135m"), batch.study)[0].text.startswith("fetching")


def test_warnings_stay(batch: Story) -> None:
    assert lines_for(ev.Warned(message="MLflow does not answer"), batch.study)[0].rows() == ["! MLflow does not answer"]
    note = Live("t1", Noted(level="warning", message="12 rows were cut"))
    assert lines_for(note, batch.study)[0].rows() == ["! #1: 12 rows were cut"]
    assert lines_for(Live("t1", Noted(message="decoded: ...")), batch.study) == []


def test_every_kind_of_event_can_be_told(batch: Story) -> None:
    """No event raises, whatever it meets: an observer must not."""
    study = Study()
    for one in (
        ev.ModelFound(model=MODEL),
        ev.Published(),
        ev.SearchEnded(reason="enough"),
        ev.TestOpened(winner="t1"),
    ):
        study.fold(one)
        for line in lines_for(one, study):
            assert line.rows()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_long_line_is_folded_under_itself(width: int) -> None:
    line = Line("word " * 40, "label")
    rows = line.rows(width)
    assert all(len(row) <= width for row in rows)
    assert rows[0].startswith("label        word")
    assert all(row.startswith(" " * 13 + "word") for row in rows[1:])
    assert " ".join(rows).split()[1:] == ["word"] * 40
