"""Work that goes on beside trials: the real nodes on a virtual clock, and models that take as long as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.agents.stage import Clock, Role, Stage, virtual_clock
from tests.agents.team import Killed, Team
from tests.agents.test_flow import Scripted, begun, launches

from tunewright.agents.beside.beside import Beside
from tunewright.agents.beside.relay import Relay
from tunewright.agents.beside.work import Warn, Work
from tunewright.agents.routing import unreflected
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import PauseError, ServerError, TunewrightError
from tunewright.domain.study import Study

LONG_S = 20.0
"""A test that waits so long has failed."""
ASKED = Cost(llm_tokens=10)


class Model:
    """A language model of the reflection panel, which answers when it may."""

    def __init__(self, team: Team) -> None:
        self.team, self.relay, self.may = team, Relay(), threading.Event()
        self.error: Exception | None = None
        self.holds = ASKED
        """What is held for each of its calls."""
        self.saw: list[tuple[int, int]] = []
        """Trials of the study that it was shown, before and after it thought."""
        work = Work("reflection", lambda study: ",".join(unreflected(study)) or None, self.meet)
        self.beside = Beside(team.notebook, team.stop, self.relay, [work], instant=lambda work: False)
        team.launcher.meanwhile = self.beside.turn
        team._nodes["reflection"] = self.beside.settle
        team.study.options = team.study.options.model_copy(update={"llms": {"reflection": "openai/slow"}})

    def meet(self, study: Study, warn: Warn) -> Sequence[ev.Event]:
        number = len(self.saw)
        asking = ev.ModelAsking(call=f"c{number}", role="reflection", model="slow", reserved=self.holds)
        self.relay(lambda: self.team.notebook.record(asking))
        before = len(study.trials)
        assert self.may.wait(LONG_S), "it was never let"
        self.saw.append((before, len(study.trials)))
        if self.error is not None:
            raise self.error
        asked = ev.ModelAsked(role="reflection", model="slow", cost=ASKED, valid=True, call=f"c{number}")
        self.relay(lambda: self.team.notebook.record(asked))
        warn("it was slow")
        return [ev.Reflected(trials=tuple(unreflected(study)))]


@pytest.fixture
def clock() -> Iterator[Clock]:
    with virtual_clock() as clock:
        yield clock


def staffed(
    clock: Clock, folder: Path, when: Callable[[Model, ev.Event], object] = lambda model, one: None, **more: Any
) -> tuple[Team, Model]:
    """A team with a model on the panel; ``when`` is called with every event, by whoever writes it."""
    writers.clear()
    models: list[Model] = []

    def check(study: Study, one: ev.Event) -> None:
        writers.add(threading.get_ident())
        for model in models:
            when(model, one)

    go_on = Scripted(lambda job, measurement: "continue")
    team = Team(begun(clock, **more), clock, Stage(clock, lambda job: Role()), folder, go_on, check)
    models.append(Model(team))
    return team, models[0]


writers: set[int] = set()


def places(team: Team, kind: type[object]) -> list[int]:
    return [at for at, one in enumerate(team.story.events) if isinstance(one, kind)]


@pytest.mark.parametrize("slots", [1, 2])
def test_a_model_that_hangs_keeps_no_trial_from_being_run(clock: Clock, tmp_path: Path, slots: int) -> None:
    """It answers when the search has ended, which is when it is waited for; what it was shown does not change."""

    def when(model: Model, one: ev.Event) -> None:
        if isinstance(one, ev.JobEnded) and len(model.team.study.trials) == 5 and not model.team.study.running:
            model.may.set()

    team, model = staffed(clock, tmp_path, when, slots=slots, trials=5)
    assert team.run() == "finisher"
    assert launches(team) == [f"t{number}" for number in range(5)]
    assert team.study.search_ended == "all 5 trials of the budget are used"
    assert team.study.reflected == set(launches(team))
    assert min(places(team, ev.ModelAsked)) > max(places(team, ev.JobEnded))
    assert max(places(team, ev.JobLaunched)) > min(places(team, ev.ModelAsking))
    assert all(before == after for before, after in model.saw) and len(model.saw) == 2, "one at a time"
    assert writers == {threading.get_ident()}, "one thread writes the journal"
    assert team.study.warnings == ["it was slow"] * 2 and team.study.model_cost == ASKED + ASKED


def test_the_next_trial_is_launched_before_the_last_is_reflected_on(clock: Clock, tmp_path: Path) -> None:
    def when(model: Model, one: ev.Event) -> None:
        if isinstance(one, ev.JobLaunched) and one.job == "t1":
            model.may.set()

    team, _ = staffed(clock, tmp_path, when, trials=3)
    assert team.run() == "finisher"
    second = places(team, ev.JobLaunched)[1]
    assert all(second < place for place in places(team, ev.ModelAsking))
    first = next(one for one in team.story.events if isinstance(one, ev.Reflected))
    assert first.trials == ("t0",)
    asking, asked = places(team, ev.ModelAsking), places(team, ev.ModelAsked)
    assert all(one < other for one, other in zip(asking, asked, strict=True)), "what is held comes first"


def test_a_model_that_cannot_be_reached_pauses_the_study_and_what_runs(clock: Clock, tmp_path: Path) -> None:
    team, model = staffed(clock, tmp_path, trials=4)
    model.error = PauseError("no answer", "look at it")
    model.error.__cause__ = ServerError("no answer")
    model.may.set()
    assert team.run() == "end"
    assert team.stop.reason == "no answer" and len(team.study.warnings) == 1
    assert team.study.running == [] and 0 < len(team.study.trials) < 4
    team.open()
    again = Model(team)
    again.may.set()
    assert team.run() == "finisher" and len(team.study.trials) == 4 and team.study.reserved().llm_tokens == 0


def test_what_fails_otherwise_fails_as_in_a_node(clock: Clock, tmp_path: Path) -> None:
    team, model = staffed(clock, tmp_path, trials=4)
    model.error = TunewrightError("a defect")
    model.may.set()
    with pytest.raises(TunewrightError, match="a defect"):
        team.run()


def test_a_stop_waits_for_no_answer_and_what_comes_later_is_not_written(clock: Clock, tmp_path: Path) -> None:
    def when(model: Model, one: ev.Event) -> None:
        if isinstance(one, ev.ModelAsking):
            model.team.stop.request("stopped by Ctrl-C")

    team, model = staffed(clock, tmp_path, when, trials=4)
    assert team.run() == "end"
    model.beside.close()
    written = len(team.story.events)
    with pytest.raises(PauseError):
        _hand_over(model.relay)
    model.may.set()
    assert len(team.story.events) == written
    team.open()
    assert team.study.spent().llm_tokens == ASKED.llm_tokens, "it may have been billed"


def _hand_over(relay: Relay) -> None:
    """From a thread beside; raises what that is told."""
    told: list[Exception] = []

    def run() -> None:
        try:
            relay(lambda: None)
        except PauseError as error:
            told.append(error)

    relay.thread(run).join(LONG_S)
    raise told[0]


@pytest.mark.parametrize("dies_at", range(12, 60, 4))
def test_a_kill_at_any_moment_loses_nothing(clock: Clock, tmp_path: Path, dies_at: int) -> None:
    team, model = staffed(clock, tmp_path, slots=2, trials=4)
    team.journal.dies_at = dies_at
    model.may.set()
    try:
        team.run()
    except Killed:
        model.relay.close()
        team.open()
        Model(team).may.set()
        team.run()
    team.journal.dies_at = None
    asked = [one for one in team.story.events if isinstance(one, ev.ModelAsking)]
    assert team.study.reflected == {job.id for job in team.study.trials} and len(team.study.trials) == 4
    assert team.study.reserved().llm_tokens == 0
    assert team.study.spent().llm_tokens == len(asked) * ASKED.llm_tokens, "each call once: settled, or lost"


def test_what_a_call_holds_is_waited_for_before_a_trial_is_given_up(clock: Clock, tmp_path: Path) -> None:
    """Nothing fits beside it: the proposals of that time are refused, and the search goes on when it is settled."""

    def when(model: Model, one: ev.Event) -> None:
        if isinstance(one, ev.Decided) and one.decision.by == "gate":
            model.may.set()

    team, model = staffed(clock, tmp_path, when, trials=4)
    model.holds, team.spared = Cost(device_s=1e6), model.beside.finish
    assert team.run() == "finisher"
    assert any("device_s" in one.reason for one in team.study.decisions.values() if one.by == "gate")
    assert len(team.study.trials) == 4 and team.study.search_ended == "all 4 trials of the budget are used"


def test_what_is_told_again_is_taken_in_where_it_was(clock: Clock, tmp_path: Path) -> None:
    """By the number of proposals, launches and ends before it, however soon the answer is there."""
    team, model = staffed(clock, tmp_path, trials=4)
    team.launcher.meanwhile = lambda: False
    turns: list[int] = []

    def lands(work: Work, key: str) -> int:
        return 8 if key == "t0" else 0

    def meet(study: Study, warn: Warn) -> Sequence[ev.Event]:
        turns.append(study.stock.turns)
        return [ev.Reflected(trials=tuple(unreflected(study)))]

    work = Work("reflection", lambda study: ",".join(unreflected(study)) or None, meet)
    beside = Beside(team.notebook, team.stop, model.relay, [work], lands=lands)
    team.launcher.meanwhile = beside.turn
    team._nodes["reflection"] = beside.settle
    assert team.run() == "finisher"
    told = [one for one in team.story.events if isinstance(one, ev.Reflected)]
    assert [one.trials for one in told] == [("t0",), ("t1",), ("t2",), ("t3",)]
    study = Study()
    for one in team.story.events:
        if one is told[0]:
            assert study.stock.turns == 8
        study.fold(one)
    assert turns[0] == 5
