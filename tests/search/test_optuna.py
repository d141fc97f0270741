"""Optuna's samplers keep the contract of a strategy, and Optuna's file stays a view."""

from __future__ import annotations

import itertools
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial
from tests.conformance.strategy import Make, StrategySuite, begun, edited, out_of_memory, rejected
from tests.stories import Story, play, small_space, space, surface, task

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.proposal import Idea
from tunewright.domain.space import Choice, Space
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.samplers import SHOWN
from tunewright.search.window import GOOD, WindowedStorage


class TestTpe(StrategySuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        number = itertools.count()
        return lambda: OptunaStrategy(tmp_path / f"{next(number)}.journal")


def trials(path: Path, name: str = "route-01") -> dict[str, FrozenTrial]:
    """The file as any other reader of Optuna's sees it: proposal -> trial; what has none by its number."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    read = optuna.load_study(study_name=name, storage=storage).trials
    return {trial.user_attrs.get("proposal") or f"#{trial.number}": trial for trial in read}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "optuna.journal"


def test_each_proposal_is_one_trial_with_its_end(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path)
    play(story, strategy.ask, trials=5)
    for mishap in (rejected, out_of_memory):
        (job,) = story.propose(strategy.ask(story.study, 1), approve=False)
        mishap(story, job)
    strategy.ask(story.study, 1)
    read = trials(path)
    assert [read[f"t{i}"].state for i in range(5)] == [TrialState.COMPLETE] * 5
    assert [read[f"t{i}"].value for i in range(5)] == [story.study.jobs[f"t{i}"].score for i in range(5)]
    assert read["t1"].intermediate_values.keys() == {1, 2}, "numbers of rungs"
    assert read["t5"].state == TrialState.FAIL and read["t5"].user_attrs["reason"] == "rejected: too slow"
    assert read["t6"].state == TrialState.PRUNED and read["t6"].constraints == {"limits": 1.0}
    thought_of = [key for key in read if key.startswith("#")]
    assert len(thought_of) == 1, "only the idea that is not proposed yet"


def test_an_infra_fault_is_not_held_against_the_recipe(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path)
    play(story, strategy.ask, trials=2)
    (job,) = story.propose(strategy.ask(story.study, 1))
    story.launch(job)
    story.fail(job, "infra", "the engine went away")
    strategy.ask(story.study, 1)
    assert trials(path)[job].state == TrialState.FAIL
    assert trials(path)[job].constraints == {}
    story.launch(job, attempt=2)
    story.complete(job, 0.6)
    strategy.ask(story.study, 1)
    assert (trials(path)[job].state, trials(path)[job].value) == (TrialState.COMPLETE, 0.6)


def test_a_trial_holds_the_recipe_as_the_reviewer_left_it(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path)
    (job,) = story.propose(strategy.ask(story.study, 1), approve=False)
    strategy.ask(story.study, 1)  # the trial exists before the edit
    edited(story, job)
    strategy.ask(story.study, 1)
    lr = story.study.recipe_of(job).recipe.stages[0].optimisation.lr
    assert trials(path)[job].params["lr.lora"] == lr
    assert trials(path)[job].value == 0.7


def test_a_constraint_of_the_task_reaches_the_sampler(path: Path) -> None:
    small = Constraint(quantity="adapter_bytes", relation="<=", value=2e6)
    story = Story(space=space(), task=task(constraints=(small,)))
    strategy = OptunaStrategy(path)
    for size in (1_000_000, 3_000_000):
        (job,) = story.propose(strategy.ask(story.study, 1))
        story.run(job, 0.8, adapter_bytes=size)
    strategy.ask(story.study, 1)
    read = trials(path)
    assert read["t0"].constraints["limits"] == pytest.approx(-0.5)
    assert read["t1"].constraints["limits"] == pytest.approx(0.5)


def test_tpe_keeps_away_from_recipes_that_ran_out_of_memory(path: Path) -> None:
    """Every dora fails for memory: of the later ideas few are dora, though a quarter would be by chance."""
    story, strategy = begun(), OptunaStrategy(path)
    kinds: list[str] = []
    for _ in range(40):
        (idea,) = strategy.ask(story.study, 1)
        (job,) = story.propose([idea])
        kinds.append(idea.recipe.stages[0].adapter.kind)
        if kinds[-1] == "dora":
            story.launch(job)
            story.fail(job, "memory", "7.9 of 6.0 GiB")
        else:
            story.run(job, surface(idea.recipe))
    assert kinds[20:].count("dora") <= 3


def test_a_study_goes_on_with_the_same_file_in_another_process(path: Path) -> None:
    story = begun()
    play(story, OptunaStrategy(path).ask, trials=7)
    kept = OptunaStrategy(path).ask(story.study, 2)
    assert OptunaStrategy(path.with_name("fresh")).ask(story.study, 2) == kept
    play(story, OptunaStrategy(path).ask, trials=3)
    assert [key for key in trials(path) if not key.startswith("#")] == [f"t{i}" for i in range(9)]


@pytest.mark.parametrize("harm", ["lost", "torn", "garbage", "other direction", "other study"])
def test_a_file_that_is_no_view_of_the_study_is_written_anew(path: Path, harm: str) -> None:
    story = begun()
    play(story, OptunaStrategy(path).ask, trials=5)
    expected = OptunaStrategy(path).ask(story.study, 2)
    match harm:
        case "lost":
            path.unlink()
        case "torn":
            path.write_bytes(path.read_bytes()[:-30])
        case "garbage":
            path.write_text("no journal\nat all\n")
        case "other direction":
            path.unlink()
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
            optuna.create_study(study_name="route-01", storage=storage, direction="minimize")
        case _:
            path.unlink()
            play(begun(), OptunaStrategy(path, seed=5).ask, trials=9)
    assert OptunaStrategy(path).ask(story.study, 2) == expected
    assert len([key for key in trials(path) if not key.startswith("#")]) == 5


def test_what_was_asked_for_and_never_proposed_is_closed(path: Path) -> None:
    story = begun()
    play(story, OptunaStrategy(path).ask, trials=3)
    OptunaStrategy(path).ask(story.study, 4)
    planned = Idea(recipe=story.study.plan.space.build({**story.study.plan.space.default(), "rank": 31}),  # type: ignore[union-attr]  # begun() has a plan
                   origin="planner", reason="h1")  # fmt: skip
    story.propose([planned])
    OptunaStrategy(path).ask(story.study, 1)
    orphans = [trial for trial in trials(path).values() if trial.user_attrs.get("reason") == "never proposed"]
    assert len(orphans) == 4 and all(trial.state == TrialState.FAIL for trial in orphans)


def test_an_idea_near_a_trial_names_it_and_is_derived_from_it(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path)
    near = [idea for idea in play(story, strategy.ask, trials=40) if idea.parent is not None]
    assert len(near) > 5
    for idea in near:
        parent = story.study.jobs[str(idea.parent)]
        assert f"near {parent.id} ({parent.score:.3f})" in idea.reason


def test_ideas_of_one_batch_know_of_each_other(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path)
    reasons = [idea.reason for idea in strategy.ask(story.study, 12)]
    untried = [reason for reason in reasons if "has not been tried" in reason]
    assert len(untried) > 3
    assert len(set(untried)) == len(untried)


def test_tpe_beats_random_search_on_the_same_surface(tmp_path: Path) -> None:
    def bests(sampler: str) -> float:
        found = []
        for seed in range(3):
            story = begun()
            play(story, OptunaStrategy(tmp_path / f"{sampler}{seed}", sampler=sampler, seed=seed).ask, trials=30)
            best = story.study.best()
            found.append(best.score if best and best.score else 0.0)
        return sum(found) / len(found)

    assert bests("tpe") > bests("random")


@pytest.mark.parametrize("sampler", ["gp", "nsgaii", "nsgaiii", "qmc", "RandomSampler"])
def test_other_samplers_search_the_same_space(tmp_path: Path, sampler: str) -> None:
    story, strategy = begun(space(sources=("a", "b"))), OptunaStrategy(tmp_path / "j", sampler=sampler)
    ideas = play(story, strategy.ask, trials=9, batch=2)
    assert len({idea.recipe.fingerprint for idea in ideas}) == 9
    assert all(story.study.plan is not None and story.study.plan.space.contains(idea.recipe) for idea in ideas)
    assert strategy.ask(story.study, 2) == strategy.ask(Study(story.events), 2)


def test_brute_force_walks_a_finite_space(path: Path) -> None:
    story = begun(small_space())
    assert len(play(story, OptunaStrategy(path, sampler="bruteforce").ask, trials=9)) == 6


def test_a_sampler_that_cannot_search_the_space_says_so(path: Path) -> None:
    story, strategy = begun(), OptunaStrategy(path, sampler="bruteforce")
    story.propose(strategy.ask(story.study, 1))
    with pytest.raises(UsageError, match=r"bruteforce.*infinite") as caught:
        strategy.ask(story.study, 1)
    assert "tpe" in caught.value.hint


def test_options_that_optuna_cannot_hold_are_searched_too(path: Path) -> None:
    odd = (["q_proj", "v_proj"], ["q_proj"], None, True, 1)
    searched = Space(
        template={"stages": [{"optimisation": {"lr": 1e-4, "epochs": 1.0}}]},
        dimensions=(Choice(name="modules", path="stages.0.adapter.modules", options=odd, default=None),),
    )
    story = begun(searched)
    ideas = play(story, OptunaStrategy(path).ask, trials=5)
    found = [idea.recipe.stages[0].adapter.settings["modules"] for idea in ideas]
    assert len({repr(value) for value in found}) == 5
    OptunaStrategy(path).ask(story.study, 1)
    told = [trial.params["modules"] for key, trial in trials(path).items() if not key.startswith("#")]
    assert sorted(told) == sorted(['["q_proj","v_proj"]', '["q_proj"]', "null", "true", "1"])


def test_an_unknown_sampler_is_refused_before_anything_is_written(path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown sampler 'tpee'") as caught:
        OptunaStrategy(path, sampler="tpee")
    assert "did you mean 'tpe'" in caught.value.hint
    assert not path.parent.exists()


def test_of_a_long_study_tpe_is_shown_the_best_and_the_newest(tmp_path: Path) -> None:
    storage = WindowedStorage(JournalFileBackend(str(tmp_path / "j")))
    view = optuna.create_study(storage=storage, direction="maximize")
    for number in range(60):
        limits = {"limits": 1.0} if number == 3 else None
        state = TrialState.PRUNED if number % 2 else TrialState.COMPLETE
        view.add_trial(create_trial(state=state, value=1.0 if number < 4 else number / 100, constraints=limits))
    with storage.window(view._study_id, 40):
        shown = {trial.number for trial in view.get_trials(deepcopy=False)}
    best = {0, 2, *range(14, 60, 2)}  # t1 was pruned, t3 passed its limits
    assert len(best) == GOOD
    assert shown == best | set(range(31, 60, 2))
    assert len(view.trials) == 60, "nothing is hidden from anyone else"


def test_a_study_longer_than_the_window_goes_on_the_same_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHOWN, "tpe", 30)
    story, strategy = begun(), OptunaStrategy(tmp_path / "j")
    play(story, strategy.ask, trials=40)
    assert OptunaStrategy(tmp_path / "fresh").ask(story.study, 2) == strategy.ask(story.study, 2)
