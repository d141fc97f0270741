"""A trial that cannot win any more is not scored on the rows that are left: the real nodes on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.stage import SECONDS, Clock, Role, Stage, virtual_clock
from tests.agents.team import Killed, Team
from tests.agents.test_flow import Scripted, begun

from tunewright.agents.yardstick import Scoring, Yardstick
from tunewright.domain import event as ev
from tunewright.domain.goal import Goal
from tunewright.domain.outcome import Completed, Pruned
from tunewright.domain.paired import Paired
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Scored
from tunewright.search.curtailment import Curtailing
from tunewright.search.history import History, scores
from tunewright.search.standing import Standings

ROWS = 300


class ItemsAlone(Curtailing, Scripted):
    """Lets every trial go on at its rungs."""

    def __init__(self) -> None:
        Scripted.__init__(self, lambda job, measurement: "continue")


def right(share: float, *, shift: int = 0) -> tuple[float, ...]:
    """Right on about this share of the rows, spread evenly."""
    return tuple(float((number * 7 + shift) % 100 < 100 * share) for number in range(ROWS))


GOOD = right(0.8)
BAD = right(0.3)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with virtual_clock() as clock:
        yield clock


def team(clock: Clock, folder: Path, roles: dict[str, tuple[float, ...]], *, slots: int = 1) -> Team:
    stage = Stage(clock, lambda job: Role(items=roles[job]))
    return Team(begun(clock, trials=len(roles), slots=slots), clock, stage, folder, ItemsAlone())


def test_a_trial_that_is_clearly_behind_ends_in_its_scoring(clock: Clock, tmp_path: Path) -> None:
    """Neither the yardstick, nor a better one, nor one as good; and the search learns an estimate for all rows."""
    roles = {"t0": right(0.5), "t1": GOOD, "t2": BAD, "t3": GOOD[1:] + GOOD[:1]}
    crew = team(clock, tmp_path, roles)
    assert crew.run() == "finisher"
    study = crew.study
    assert [type(job.outcome) for job in study.trials] == [Completed, Completed, Pruned, Completed]
    stopped = study.jobs["t2"]
    assert isinstance(stopped.outcome, Pruned) and stopped.partial is not None
    part = stopped.partial
    rows = part.measurement.rows
    assert 60 <= rows < 200 and part.of == ROWS and part.against == "t1" and part.measurement.step == SECONDS
    assert stopped.outcome.reason.startswith(f"behind t1 on {rows} of 300 rows: ")
    assert part.measurement.value == pytest.approx(sum(BAD[:rows]) / rows)
    low, high = part.measurement.low, part.measurement.high
    assert low is not None and high is not None and low < part.measurement.value < high and high - low > 0.1
    assert part.estimate == Paired(against="t1", mine=BAD[:rows], others=GOOD).estimate == stopped.estimate
    assert part.estimate == pytest.approx(sum(BAD) / ROWS, abs=0.05)
    assert stopped.score is None and stopped.ended and study.waiting == [] and stopped.attempts == 1
    assert study.best() is study.jobs["t1"], "what was scored in part is never the best"
    assert stopped.settled.wall_s < study.jobs["t3"].settled.wall_s
    assert [one.job for one in crew.story.events if isinstance(one, ev.JobSteered) and one.action == "stop"] == ["t2"]
    assert scores(study)["t2"] == part.estimate
    entry = History(study.plan.space).entries(study)[2] if study.plan is not None else None
    assert entry is not None
    now = Standings().of(study, entry)
    assert now.state.name == "COMPLETE" and now.values == [part.estimate] and now.rows == f"{rows} of 300"
    replayed = Study(type(one).model_validate_json(one.model_dump_json()) for one in crew.story.events)
    assert replayed.jobs["t2"].partial == part


@pytest.mark.parametrize("kept", ["goals", "items gone", "first of its kind"])
def test_where_it_cannot_be_told_everything_is_scored(clock: Clock, tmp_path: Path, kept: str) -> None:
    crew = team(clock, tmp_path, {"t0": GOOD, "t1": BAD} if kept != "first of its kind" else {"t0": BAD, "t1": GOOD})
    if kept == "goals":
        task = crew.study.task
        assert task is not None
        crew.study.task = task.model_copy(update={"goals": (Goal(quantity="adapter_bytes"),)})
    crew.run(until=lambda study: "t1" in study.jobs)
    if kept == "items gone":
        (tmp_path / "trials" / "t0" / "out" / "items.jsonl").unlink()
    assert crew.run() == "finisher"
    assert all(isinstance(job.outcome, Completed) for job in crew.study.trials)


def test_side_by_side_each_is_compared_with_the_best_that_there_is(clock: Clock, tmp_path: Path) -> None:
    roles = {"t0": GOOD, "t1": BAD, "t2": BAD, "t3": right(0.9), "t4": BAD}
    crew = team(clock, tmp_path, roles, slots=2)
    assert crew.run() == "finisher"
    against = {job.id: job.partial.against for job in crew.study.trials if job.partial is not None}
    assert "t0" not in against and "t3" not in against
    assert against["t2"] == "t0" and against["t4"] in ("t0", "t3")


@pytest.mark.parametrize("after", [0, 1])
def test_a_kill_while_the_end_is_scored_charges_nothing_twice(clock: Clock, tmp_path: Path, after: int) -> None:
    """Before the stop is on record the end is scored again from its start; from then on the trial is closed."""
    crew = team(clock, tmp_path, {"t0": GOOD, "t1": BAD})

    def dies(study: Study, event: ev.Event) -> None:
        if isinstance(event, ev.JobLaunched) and event.job == "t1" and event.attempt == 1:
            # Two rungs come first, then the stop.
            crew.journal.dies_at = len(crew.story.events) + 2 + after

    crew.journal.check = dies
    with pytest.raises(Killed):
        crew.run()
    crew.clock.advance(3)
    crew.open()
    assert crew.run() == "finisher"
    job = crew.study.jobs["t1"]
    assert isinstance(job.outcome, Pruned) and job.partial is not None
    assert job.attempts == 2 - after
    ends = [one.outcome.cost.wall_s for one in crew.story.events if isinstance(one, ev.JobEnded) and one.job == "t1"]
    assert len(ends) == job.attempts and job.settled.wall_s == pytest.approx(sum(ends))


def test_scores_are_put_together_in_their_order_or_not_at_all() -> None:
    def told(first: int, count: int, step: int = 9) -> Scored:
        return Scored(step=step, first=first, of=100, scores=(1.0,) * count)

    scoring = Scoring()
    assert scoring.take(told(20, 20)) == [], "its first rows are missing"
    assert len(scoring.take(told(0, 20))) == 20
    assert len(scoring.take(told(20, 30))) == 50
    assert scoring.take(told(60, 10)) == [] and scoring.take(told(50, 10)) == [], "a gap is not mended"
    assert len(scoring.take(told(0, 60, step=12))) == 60
    assert scoring.take(told(60, 41, step=12)) == [], "more rows than there are"


def test_a_metric_that_does_not_follow_the_mean_is_not_paired(clock: Clock, tmp_path: Path) -> None:
    crew = team(clock, tmp_path, {"t0": GOOD, "t1": BAD})
    crew.run(until=lambda study: study.best() is not None)
    study, yardstick = crew.study, Yardstick(tmp_path)
    assert study.task is not None
    assert yardstick.pair(study, "t1", BAD[:60], ROWS) is not None
    assert yardstick.pair(study, "t1", BAD[:60], ROWS + 1) is None, "the best was scored on other rows"
    perplexity = study.task.metric.model_copy(update={"name": "perplexity", "direction": "min"})
    study.task = study.task.model_copy(update={"metric": perplexity})
    paired = yardstick.pair(study, "t1", BAD[:60], ROWS)
    assert paired is not None
    part = yardstick.partial(study, paired, step=9, seconds=1.0)
    assert part.estimate == pytest.approx(2.718281828**paired.estimate)
    study.task = study.task.model_copy(update={"metric": perplexity.model_copy(update={"name": "macro_f1"})})
    assert yardstick.pair(study, "t1", BAD[:60], ROWS) is None
