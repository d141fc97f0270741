"""Pausing at rungs, promotion and trials side by side: the real nodes on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agents.stage import RUNGS, SECONDS, Clock, Role, Stage, virtual_clock
from tests.agents.team import Killed, Team
from tests.stories import Story, planned, space, task

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget
from tunewright.domain.job import Rungs
from tunewright.domain.outcome import Completed, Failed, Measurement, Paused, Pruned
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.study import Study

Decide = Callable[[str, Measurement], str]


class Scripted:
    """A scheduler that does what a test says."""

    def __init__(
        self, decide: Decide, promote: Callable[[Study, bool], str | None] = lambda study, closing: None
    ) -> None:
        self._decide, self._promote = decide, promote

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        action = self._decide(job, measurement)
        return Steering.model_validate({"action": action, "reason": f"{action} at step {measurement.step}"})

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        return Steering(action="continue", reason="only rungs are scripted")

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        job = self._promote(study, closing)
        return Promotion(job=job, reason="among the best by now") if job is not None else None


def first_waiting(study: Study, closing: bool) -> str | None:
    return study.waiting[0].id if study.waiting else None


def at_the_close(study: Study, closing: bool) -> str | None:
    return first_waiting(study, closing) if closing else None


def go_on(job: str, measurement: Measurement) -> str:
    return "continue"


def pause_at_first(job: str, measurement: Measurement) -> str:
    return "pause" if measurement.step == RUNGS[0] else "continue"


def begun(
    clock: Clock,
    *,
    slots: int = 1,
    trials: int | None = 4,
    wall_s: float = 2000.0,
    review: str = "never",
    devices: float = 1.0,
) -> Story:
    """A study with its plan approved, ten seconds old. ``devices``: device time for each slot, of the wall time."""
    story = Story(
        space=space(),
        task=task(),
        budget=Budget(wall_s=wall_s, device_s=250 + slots * devices * (wall_s - 250), trials=trials),
        rungs=Rungs(steps=RUNGS),
        started=clock.now - 10,
    )
    story.study.options = story.study.options.model_copy(
        update={"slots": slots, "review": review, "threads": 1, "memory_gib": 8.0}
    )
    return story


def launches(team: Team) -> list[str]:
    return [one.job for one in team.story.events if isinstance(one, ev.JobLaunched)]


@pytest.fixture
def clock() -> Iterator[Clock]:
    with virtual_clock() as clock:
        yield clock


def team(
    clock: Clock,
    folder: Path,
    scheduler: Scripted,
    roles: Callable[[str], Role] = lambda job: Role(),
    **more: Any,
) -> Team:
    return Team(begun(clock, **more), clock, Stage(clock, roles), folder, scheduler)


def test_a_paused_trial_waits_at_no_cost_and_goes_on_from_its_rung(clock: Clock, tmp_path: Path) -> None:
    """All pause at their first rung; at the close all go on, none from its start, each within its approval."""
    crew = team(clock, tmp_path, Scripted(pause_at_first, at_the_close))
    crew.run(until=lambda study: len(study.waiting) == 2)
    waiting = crew.study.waiting[0]
    assert isinstance(waiting.outcome, Paused) and waiting.outcome.reason == f"pause at step {RUNGS[0]}"
    assert not waiting.ended and not waiting.open and waiting not in crew.study.unfinished
    assert crew.study.reserved().device_s == 0
    before = waiting.settled
    assert crew.run() == "finisher"
    assert waiting.settled.wall_s > before.wall_s, "nothing was added to it while it waited, and its rest was"
    assert waiting.settled.wall_s == pytest.approx(SECONDS, abs=2.5)
    assert launches(crew) == ["t0", "t1", "t2", "t3"] * 2
    assert [start for _, start in crew.stage.played[4:]] == [crew.stage.played[4][1]] * 4 != [0] * 4
    for job in crew.study.trials:
        assert isinstance(job.outcome, Completed) and job.attempts == 2
        assert [m.step for m in job.measurements] == list(RUNGS)
        decision = crew.study.decisions[job.id]
        assert decision.binds == job.binding
    reasons = [one.reason for one in crew.story.events if isinstance(one, ev.JobPromoted)]
    assert len(reasons) == 4
    assert crew.study.search_ended == "all 4 trials of the budget are used"
    runs = crew.tracker.memory.runs.values()
    assert sorted(run.name for run in runs if run.parent) == ["t0", "t1", "t2", "t3"], "one run over both attempts"
    assert {run.status for run in runs if run.parent} == {"FINISHED"}


def test_a_promotion_goes_before_something_new(clock: Clock, tmp_path: Path) -> None:
    crew = team(clock, tmp_path, Scripted(pause_at_first, first_waiting))
    crew.run()
    assert launches(crew) == ["t0", "t0", "t1", "t1", "t2", "t2", "t3", "t3"]


def test_what_still_waits_at_the_end_is_closed_with_its_last_score(clock: Clock, tmp_path: Path) -> None:
    crew = team(clock, tmp_path, Scripted(pause_at_first))
    assert crew.run() == "finisher"
    for job in crew.study.trials:
        assert isinstance(job.outcome, Pruned) and job.outcome.last.step == RUNGS[0]
        assert job.outcome.reason == "not promoted before the search ended: all 4 trials of the budget are used"
        assert job.outcome.cost.wall_s == 0
    assert crew.study.waiting == [] and crew.study.reflected == {"t0", "t1", "t2", "t3"}
    assert {run.status for run in crew.tracker.memory.runs.values() if run.parent} == {"KILLED"}


def test_what_the_budget_does_not_carry_on_is_closed_too(clock: Clock, tmp_path: Path) -> None:
    """The budget covers the beginnings; the search ends, and the close promotes while the ledger allows."""
    crew = team(clock, tmp_path, Scripted(pause_at_first, at_the_close), trials=40, wall_s=250 + 48)
    assert crew.run() == "finisher"
    outcomes = [job.outcome for job in crew.study.trials]
    assert any(isinstance(one, Completed) for one in outcomes) and any(isinstance(one, Pruned) for one in outcomes)
    assert crew.study.search_ended == "what is left of the budget does not cover another trial"
    assert crew.study.plan is not None
    assert crew.study.budget is not None
    assert crew.study.budget.shortfalls(crew.study.spent(), crew.study.plan.keep) == []


def test_a_trial_that_ends_before_the_pause_reaches_it_is_completed(clock: Clock, tmp_path: Path) -> None:
    late = Scripted(lambda job, measurement: "pause" if measurement.step == RUNGS[1] else "continue")
    crew = team(clock, tmp_path, late, lambda job: Role(slowness=0.04), trials=1)
    crew.run()
    (job,) = crew.study.trials
    assert isinstance(job.outcome, Completed) and job.steered[0].action == "pause"


def test_a_stop_is_final_and_a_pause_is_not(clock: Clock, tmp_path: Path) -> None:
    stops = Scripted(lambda job, measurement: "stop" if job == "t0" else "continue")
    crew = team(clock, tmp_path, stops, trials=2)
    crew.run()
    first, second = crew.study.trials
    assert isinstance(first.outcome, Pruned) and isinstance(second.outcome, Completed)


@pytest.mark.parametrize("fault", ["infra", "sandbox"])
def test_a_machine_s_fault_is_tried_again_as_often_after_a_promotion(clock: Clock, tmp_path: Path, fault: str) -> None:
    crew = team(
        clock, tmp_path, Scripted(pause_at_first, at_the_close), lambda job: Role(fault=fault, at_step=5), trials=1
    )
    crew.run()
    (job,) = crew.study.trials
    assert isinstance(job.outcome, Completed) and job.attempts == 3 and job.faults == 1


def test_slots_are_filled_and_a_new_trial_begins_when_one_ends(clock: Clock, tmp_path: Path) -> None:
    """Trials of different lengths, two at a time: the short one's slot is taken while the long one runs."""
    crew = team(
        clock,
        tmp_path,
        Scripted(go_on),
        lambda job: Role(slowness=1.5 if job == "t0" else 0.8),
        slots=2,
        trials=6,
    )
    most, began = 0, clock.now

    def look(study: Study) -> bool:
        nonlocal most
        most = max(most, len(study.running))
        return False

    crew.run(until=look)
    assert most == 2
    order = [
        (type(one).__name__, one.job) for one in crew.story.events if isinstance(one, ev.JobLaunched | ev.JobEnded)
    ]
    assert order.index(("JobLaunched", "t2")) < order.index(("JobEnded", "t0"))
    took = clock.now - began
    alone = sum(job.settled.wall_s for job in crew.study.trials)
    assert took < 0.65 * alone, "side by side"
    assert crew.study.spent().device_s == pytest.approx(alone)
    assert all(isinstance(job.outcome, Completed) for job in crew.study.trials)


def test_a_person_is_asked_when_nothing_runs_about_enough_for_every_slot(clock: Clock, tmp_path: Path) -> None:
    crew = team(clock, tmp_path, Scripted(go_on), slots=3, trials=7, review="batch")
    crew.run()
    assert [len(batch) for batch in crew.asked] == [3, 3, 1]


def test_ctrl_c_leaves_every_one_at_its_checkpoint_and_resume_goes_on_with_all(clock: Clock, tmp_path: Path) -> None:
    crew = team(clock, tmp_path, Scripted(pause_at_first, at_the_close), slots=3, trials=6)
    crew.run(until=lambda study: len(study.running) == 3 and len(study.waiting) == 0)
    clock.advance(1.0)
    crew.stop.request("stopped by Ctrl-C")
    assert crew.run() == "end"
    assert crew.study.running == []
    assert [job.outcome.waits for job in crew.study.trials if isinstance(job.outcome, Paused)] == ["session"] * 3
    crew.open()
    crew.run()
    assert all(isinstance(job.outcome, Completed) for job in crew.study.trials)
    assert len(crew.study.trials) == 6
    assert crew.stage.played[3][1] > 0, "from its checkpoint"


def test_kill_9_closes_each_once_and_keeps_what_the_scheduler_had_said(clock: Clock, tmp_path: Path) -> None:
    """Killed right after the scheduler's word: the trial waits, as it would have, and the others go on at once."""
    crew = team(clock, tmp_path, Scripted(lambda job, m: "pause" if job == "t1" else "continue"), slots=3, trials=3)

    def dies(study: Study, event: ev.Event) -> None:
        if isinstance(event, ev.JobSteered):
            crew.journal.dies_at = 0

    crew.journal.check = dies
    with pytest.raises(Killed):
        crew.run()
    assert len(crew.study.running) == 3
    crew.open()
    assert crew.study.running == [] and [job.id for job in crew.study.waiting] == ["t1"]
    assert [job.id for job in crew.study.unfinished] == ["t0", "t2"]
    ended = [one.job for one in crew.story.events if isinstance(one, ev.JobEnded)]
    assert sorted(ended) == ["t0", "t1", "t2"]
    crew.run()
    outcomes = {job.id: type(job.outcome) for job in crew.study.trials}
    assert outcomes == {"t0": Completed, "t1": Pruned, "t2": Completed}


def test_deadlines_hold_for_all_that_run_at_once(clock: Clock, tmp_path: Path) -> None:
    """Each takes three times its forecast: what nobody holds is shared, and the caps hold in every currency."""
    crew = team(
        clock,
        tmp_path,
        Scripted(go_on),
        lambda job: Role(slowness=4.0),
        slots=2,
        wall_s=240 + 10 + 25,
    )
    crew.run()
    assert crew.study.plan is not None and crew.study.budget is not None
    assert crew.study.trials
    assert not any(isinstance(job.outcome, Completed) for job in crew.study.trials)
    assert all(isinstance(job.outcome, Pruned | Failed) for job in crew.study.trials)
    slack = crew.study.plan.keep.scaled(0.97)
    assert crew.study.budget.shortfalls(crew.study.spent(), slack) == []


def test_a_trial_that_outruns_its_forecast_leaves_the_others_of_the_brief_their_time(
    clock: Clock, tmp_path: Path
) -> None:
    """Four trials of 10 s are asked for; the second takes six times as long. What it reserved it may take."""
    crew = team(
        clock,
        tmp_path,
        Scripted(go_on),
        lambda job: Role(slowness=6.0 if job == "t1" else 1.0),
        trials=4,
        wall_s=240 + 10 + 75,
    )
    crew.run()
    assert [type(job.outcome) for job in crew.study.trials] == [Completed, Pruned, Completed, Completed]
    slow = crew.study.jobs["t1"].outcome
    assert isinstance(slow, Pruned) and "its time is up" in slow.reason
    assert slow.cost.wall_s > 13, "it had all that it reserved, and what nobody needs besides"


def test_where_the_brief_gives_no_number_a_trial_may_take_what_is_left(clock: Clock, tmp_path: Path) -> None:
    crew = team(
        clock,
        tmp_path,
        Scripted(go_on),
        lambda job: Role(slowness=2.2 if job == "t1" else 1.0),
        trials=None,
        wall_s=240 + 10 + 45,
    )
    crew.run()
    assert [type(job.outcome) for job in crew.study.trials] == [Completed, Completed]


def test_the_default_owes_nobody_anything(clock: Clock, tmp_path: Path) -> None:
    """A yardstick that is cut short measures nothing."""
    crew = team(
        clock,
        tmp_path,
        Scripted(go_on),
        lambda job: Role(slowness=2.2),
        trials=4,
        wall_s=240 + 10 + 45,
    )
    assert crew.study.plan is not None
    default = crew.study.plan.space.build(crew.study.plan.space.default())
    crew.first = [planned(crew.story).model_copy(update={"recipe": default})]
    crew.run()
    assert [type(job.outcome) for job in crew.study.trials] == [Completed, Pruned]


def test_stops_by_a_person_are_no_tries(clock: Clock, tmp_path: Path) -> None:
    """Stopped three times, then the engine fails once: it is tried again as if it had never been stopped."""
    crew = team(clock, tmp_path, Scripted(go_on), lambda job: Role("sandbox", 9), trials=1)
    for _ in range(3):
        crew.run(until=lambda study: bool(study.running))
        clock.advance(1.0)
        crew.stop.request("stopped by Ctrl-C")
        crew.run()
        crew.open()
    crew.run()
    (job,) = crew.study.trials
    assert isinstance(job.outcome, Completed) and (job.attempts, job.faults) == (5, 1)
