"""Trials near the memory limit: their first steps are tried, and what does not fit comes again so that it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agents import team as teams
from tests.agents.stage import Clock, Playing, Role, Stage, virtual_clock
from tests.agents.team import Killed, Team
from tests.agents.test_flow import Scripted, begun
from tests.stories import FORECAST

from tunewright.agents.feasibility import leaner_recipe, repairs
from tunewright.agents.specification import Specifier
from tunewright.cli.narration import lines_for
from tunewright.domain import event as ev
from tunewright.domain.errors import UsageError
from tunewright.domain.job import PREFLIGHT_STEPS, Job, TrialSpec
from tunewright.domain.outcome import Completed, JobResult
from tunewright.domain.proposal import Decision, Forecast, Range
from tunewright.domain.protocols import Exit
from tunewright.domain.recipe import Memory, Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint
from tunewright.search.history import History
from tunewright.search.standing import standing
from tunewright.tools.analysis.runs import reviews, runs
from tunewright.tools.training.memory import ladder

LIMIT = 8.0
RUNGS = [Memory(), *ladder(16)]
FITS, PASSES = 7.5, 8.5
"""GiB that a recipe takes."""


def lighter(recipe: Recipe) -> int:
    """Its rung on the ladder; the first that saves as much, where it stands on none."""
    memory = recipe.stages[0].memory
    return RUNGS.index(memory if memory in RUNGS else memory.model_copy(update={"compact": False}))


def priced(expected: float, saved: float = 1.0) -> Callable[[Study, Recipe], Forecast]:
    """So many GiB less for each rung of the ladder, and a GiB to either side."""

    def price(study: Study, recipe: Recipe) -> Forecast:
        gib = expected - saved * lighter(recipe)
        memory = Range(expected=gib, low=gib - 1, high=gib + 1)
        forecast = teams_price(study, recipe)
        return forecast.model_copy(update={"memory_gib": memory, "preflight_s": 3.0})

    return price


teams_price = teams.price


class Weighed(Playing):
    """A job that takes memory."""

    def __init__(self, job: Job, role: Role, clock: Clock, takes: Callable[[Recipe], float]) -> None:
        super().__init__(job, role, clock)
        assert isinstance(job.spec, TrialSpec)
        self._gib, self._steps = takes(job.spec.recipe), job.spec.preflight_steps

    def _take_a_step(self) -> Iterator[Any]:
        if self._gib > self._job.spec.limits.memory_gib:
            self._exit = Exit(code=None, signal=9, out_of_memory=True)
        elif self._steps is not None and self._step + 1 == self._steps and not self._role.fault:
            self._end(JobResult(status="done", steps=self._steps), 0)
        else:
            yield from super()._take_a_step()

    def _end(self, result: JobResult, code: int) -> None:
        super()._end(result.model_copy(update={"peak_memory_gib": self._gib}), code)


class Scales(Stage):
    def __init__(self, clock: Clock, takes: Callable[[Recipe], float], roles: Callable[[str], Role]) -> None:
        super().__init__(clock, roles)
        self._takes = takes

    def start(self, job: Job) -> Playing:
        super().start(job)
        return Weighed(job, self._roles(job.spec.id), self._clock, self._takes)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with virtual_clock() as clock:
        yield clock


@pytest.fixture
def crew(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Team]:
    def make(
        takes: Callable[[Recipe], float],
        *,
        expected: float = 8.2,
        saved: float = 1.0,
        roles: Callable[[str], Role] = lambda job: Role(),
        folder: str = "study",
        **more: Any,
    ) -> Team:
        monkeypatch.setattr(teams, "price", priced(expected, saved))
        story = begun(clock, **{"trials": 2, **more})
        going = Scripted(lambda job, measurement: "continue")
        return Team(story, clock, Scales(clock, takes, roles), tmp_path / folder, going)

    return make


def launches(team: Team) -> list[str]:
    return [one.job for one in team.story.events if isinstance(one, ev.JobLaunched)]


def said(team: Team) -> list[str]:
    return [line.text for one in team.story.events for line in lines_for(one, team.study)]


def test_what_fits_is_launched_as_it_was_approved_and_its_first_steps_are_paid_for(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: FITS)
    assert team.run() == "finisher"
    assert launches(team) == ["t0-preflight", "t0", "t1-preflight", "t1"]
    tried, trial = team.study.jobs["t0-preflight"], team.study.jobs["t0"]
    assert trial.binding == team.study.decisions["t0"].binds and isinstance(trial.outcome, Completed)
    assert 0 < tried.settled.wall_s < trial.settled.wall_s and tried.reserved.trials == 0
    assert len(team.study.trials) == 2 == team.study.spent().trials, "a preflight is no trial"
    assert team.study.spent().device_s == pytest.approx(sum(job.settled.device_s for job in team.study.jobs.values()))
    spec = team.launcher.staged("t0-preflight")
    assert isinstance(spec, TrialSpec) and spec.preflight_steps == PREFLIGHT_STEPS and not spec.rungs
    assert spec.limits.memory_gib == LIMIT and team.study.judged == {"t0", "t1"}
    assert any("its first steps took 7.5 GiB" in line for line in said(team))
    (row,) = [run for run in runs(team.study) if run.id == "t0-preflight"]
    assert "first steps of t0" in row.recipe


def test_what_does_not_fit_comes_again_with_the_same_batch_through_review(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: FITS if lighter(recipe) else PASSES, trials=1, review="always")
    assert team.run() == "finisher"
    assert launches(team) == ["t0-preflight", "t1"], "a rung down the forecast leaves no doubt any more"
    assert team.asked == [("t0",), ("t1",)]
    decision = team.study.decisions["t0"]
    assert (decision.action, decision.by) == ("reject", "preflight")
    assert decision.reason == "its first steps passed the 8.00 GiB that are allowed"
    assert decision.excess == pytest.approx(0.1), "at least: how much it takes is not known"
    before, now = (team.study.recipe_of(id).recipe.stages[0] for id in ("t0", "t1"))
    assert now.memory == RUNGS[2] and now.optimisation == before.optimisation
    idea = team.study.proposals["t1"].idea
    assert idea.parent == "t0" and idea.origin == team.study.proposals["t0"].idea.origin
    assert idea.reason == "t0 does not fit into memory, and this does the same in micro-batches of 4"
    assert repairs(team.study) == [] and len(team.study.trials) == 1
    assert any("does not fit: its first steps passed" in line for line in said(team))
    assert any(line.startswith("t0: rejected by preflight: its first steps passed") for line in reviews(team.study))


def test_a_limit_of_the_brief_is_held_against_what_the_first_steps_took(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: FITS - lighter(recipe), trials=1, expected=7.2)
    assert team.study.task is not None
    limit = Constraint(quantity="peak_memory_gib", relation="<=", value=7.0)
    team.study.task = team.study.task.model_copy(update={"constraints": (limit,)})
    team.run()
    decision = team.study.decisions["t0"]
    assert decision.reason == ("its first steps took 7.50 GiB, so all of it takes up to 7.65 GiB; 7.00 GiB are allowed")
    assert decision.excess == pytest.approx(7.65 / 7 - 1)


def test_what_surely_does_not_fit_is_never_launched_and_repaired_before_it_is_dropped(
    crew: Callable[..., Team],
) -> None:
    team = crew(lambda recipe: 11.0 - lighter(recipe), expected=11.0, trials=1)
    team.run()
    assert launches(team) == ["t1"] and team.study.decisions["t0"].by == "gate"
    assert team.study.recipe_of("t1").recipe.stages[0].memory == RUNGS[4], "the first that surely fits"
    team = crew(lambda recipe: 30.0, expected=30.0, folder="hopeless", trials=1)
    team.run()
    assert launches(team) == [] and all(one.instead is None for one in team.study.decisions.values())
    assert team.study.search_ended is not None and "nothing runnable" in team.study.search_ended


def test_what_never_fits_does_not_use_the_budget_up(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: PASSES, trials=40, saved=0.0)
    team.run()
    assert team.study.trials == [] and 8 <= len(launches(team)) <= 10
    assert "first steps of 8 recipes in a row did not fit into memory" in str(team.study.search_ended)


def test_the_search_is_told_by_how_much_and_of_a_repaired_recipe_by_what_became_of_it(
    crew: Callable[..., Team],
) -> None:
    team = crew(lambda recipe: 30.0, expected=30.0, trials=1)
    team.run()
    assert team.study.plan is not None
    (first, *_) = History(team.study.plan.space).entries(team.study)
    found = standing(team.study, first)
    assert found.state.name == "PRUNED" and found.excess == pytest.approx(30 / 8 - 1) and found.values is None
    assert found.constraint_attributes()
    team = crew(lambda recipe: FITS if lighter(recipe) else PASSES, trials=1, folder="repaired")
    team.run()
    assert team.study.plan is not None
    rejected, launched = History(team.study.plan.space).entries(team.study)
    assert rejected.point == launched.point is not None, "what keeps memory low is not searched here"
    states = [standing(team.study, one) for one in (rejected, launched)]
    assert [one.state.name for one in states] == ["FAIL", "COMPLETE"] and states[0].excess is None


def test_another_trial_is_begun_beside_a_preflight(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: FITS, slots=2, trials=4)
    most = 0

    def look(study: Study) -> bool:
        nonlocal most
        most = max(most, len(study.running))
        return False

    assert team.run(until=look) == "finisher" and most == 2
    order = launches(team)
    assert order[:2] == ["t0-preflight", "t1-preflight"] and sorted(order) == sorted(
        [f"t{n}{end}" for n in range(4) for end in ("", "-preflight")]
    )


def test_without_a_limit_or_far_from_it_nothing_is_tried(crew: Callable[..., Team]) -> None:
    team = crew(lambda recipe: FITS, expected=6.0)
    team.run()
    assert launches(team) == ["t0", "t1"]
    team = crew(lambda recipe: FITS, folder="unlimited")
    team.study.options = team.study.options.model_copy(update={"memory_gib": None})
    team.run()
    assert launches(team) == ["t0", "t1"]


@pytest.mark.parametrize(("fault", "tries"), [("config", 1), ("infra", 3)])
def test_what_says_nothing_of_memory_holds_no_trial_up(crew: Callable[..., Team], fault: Any, tries: int) -> None:
    def roles(job: str) -> Role:
        return Role(fault=fault, at_step=1) if job.endswith("preflight") else Role()

    team = crew(lambda recipe: FITS, roles=roles, trials=1)
    assert team.run() == "finisher"
    assert launches(team) == ["t0-preflight"] * tries + ["t0"]
    assert isinstance(team.study.jobs["t0"].outcome, Completed)


def test_kill_9_at_any_moment_leads_to_the_same_end(crew: Callable[..., Team]) -> None:
    def takes(recipe: Recipe) -> float:
        return FITS if lighter(recipe) else PASSES

    whole = crew(takes, folder="whole")
    whole.run()
    ends = {id: (one.action, one.by) for id, one in whole.study.decisions.items()}
    for moment in range(7, len(whole.story.events)):
        team = crew(takes, folder=f"killed-{moment}")
        team.journal.dies_at = moment
        with pytest.raises(Killed):
            team.run()
        team.open()
        assert team.run() == "finisher"
        assert {id: (one.action, one.by) for id, one in team.study.decisions.items()} == ends, moment
        assert {id: type(job.outcome) for id, job in team.study.jobs.items()} == {
            id: type(job.outcome) for id, job in whole.study.jobs.items()
        }, moment
        assert not {job.id for job in team.study.trials} & {"t0"}, "what did not fit was never launched"


def test_an_adapter_whose_layers_cannot_be_run_twice_gets_what_it_can(crew: Callable[..., Team]) -> None:
    def check(recipe: Recipe) -> None:
        if recipe.stages[0].memory.checkpoint_every:
            raise UsageError("no", "no")

    def price(study: Study, recipe: Recipe) -> Forecast:
        gib = 6.0 if recipe.stages[0].memory.compact else 30.0
        return FORECAST.model_copy(update={"memory_gib": Range(expected=gib, low=gib - 1, high=gib + 1)})

    team = crew(lambda recipe: FITS)
    assert team.study.plan is not None
    recipe = team.study.plan.space.build(team.study.plan.space.default())
    created = team.story.events[0]
    assert isinstance(created, ev.StudyCreated)
    specifier = Specifier(code=created.code, image=None, forecast=price, check=check)
    found = leaner_recipe(team.study, recipe, specifier)
    assert found is not None and found.stages[0].memory == Memory(micro_batch=1, compact=True)
    twice = recipe.model_copy(update={"stages": (recipe.stages[0], recipe.stages[0])})
    assert leaner_recipe(team.study, twice, specifier) is None, "two stages are outside this space"


def test_a_decision_of_an_older_journal_says_nothing_of_memory() -> None:
    old = Decision(target="t0", action="reject", by="gate", reason="too long", at=0.0)
    document = old.model_dump(mode="json", exclude={"excess", "instead"})
    assert Decision.model_validate(document) == old
