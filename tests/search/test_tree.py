"""The tree sampler keeps Optuna's contract of a sampler and ours of a strategy, and finds what others do not."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from tests.conformance.strategy import Make, StrategySuite, begun
from tests.stories import play, space

from tunewright.search.evidence import BRANCH, PARENT
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.own import own_samplers
from tunewright.search.space_tree import SpaceTree
from tunewright.search.tree import TreeSampler


class TestAsASampler(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: TreeSampler(["x", "category", "kind"], seed=0, n_startup_trials=0)


class TestTree(StrategySuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        number = itertools.count()
        return lambda: OptunaStrategy(tmp_path / f"{next(number)}.journal", sampler="tree")


class TestModel(StrategySuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        number = itertools.count()
        return lambda: OptunaStrategy(tmp_path / f"{next(number)}.journal", sampler="model")


def objective(trial: optuna.Trial) -> float:
    """Kind b at the middle of its range is best; kind c breaks."""
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    if kind == "c":
        trial.set_constraint("breaks", 1.0)
        raise optuna.TrialPruned
    lr = trial.suggest_float(f"lr.{kind}", 1e-5, 1e-1, log=True)
    batch = trial.suggest_categorical("batch", [8, 16, 32])
    return float((kind == "b") * 0.3 - (np.log10(lr) + 3) ** 2 * 0.1 - (batch - 16) ** 2 / 2000)


def optimised(sampler: BaseSampler, trials: int = 40) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study


def test_alone_with_names_of_decisions_it_beats_random_search_and_leaves_what_breaks() -> None:
    shared = {"lr.a": "lr", "lr.b": "lr"}
    ours = [optimised(TreeSampler(["kind"], shared=shared, seed=seed)) for seed in range(3)]
    theirs = [optimised(optuna.samplers.RandomSampler(seed=seed)) for seed in range(3)]
    assert statistics.fmean(s.best_value for s in ours) > statistics.fmean(s.best_value for s in theirs)
    assert statistics.fmean(s.best_value for s in ours) > 0.28
    late = [trial.params["kind"] for study in ours for trial in study.trials[20:]]
    assert late.count("c") <= 3 and late.count("b") > len(late) / 2


def test_each_trial_says_why_its_branch_and_what_it_derives_from() -> None:
    study = optimised(TreeSampler(["kind"], seed=1), 20)
    said = [trial.system_attrs.get(BRANCH, "") for trial in study.trials[1:]]
    assert any("unexplored" in reason for reason in said) and any(" of " in reason for reason in said)
    parents = [trial.system_attrs.get(PARENT) for trial in study.trials[1:]]
    assert all(parent is None or study.trials[parent].value is not None for parent in parents)
    assert sum(parent is not None for parent in parents) > 10


@pytest.mark.parametrize("inner", [name for name in own_samplers() if "-" in name])
def test_other_samplers_search_inside_a_branch(tmp_path: Path, inner: str) -> None:
    story, strategy = begun(space(sources=("a", "b"))), OptunaStrategy(tmp_path / "j", sampler=inner)
    ideas = play(story, strategy.ask, trials=12)
    assert len({idea.recipe.fingerprint for idea in ideas}) == 12
    assert all(story.study.plan is not None and story.study.plan.space.contains(idea.recipe) for idea in ideas)
    assert len({idea.recipe.stages[0].adapter.kind for idea in ideas}) > 1


def test_decisions_come_first_and_settings_of_one_path_share_a_coordinate() -> None:
    tree = SpaceTree(space())
    assert tree.decisions[0] == "adapter"
    found = tree.decision(())
    assert found is not None and found[0] == "adapter"
    rest = tree.rest((("adapter", "lora"),))
    assert "lr.lora" in rest and "lr.full" not in rest
    assert tree.coordinate("lr.lora") == tree.coordinate("lr.full")
    assert tree.default("adapter") == "lora"


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_tree_stands_any_course_of_faults(data: Any) -> None:
    """Completed, pruned with or without rungs, past limits, failed, left running: ideas stay in the space."""
    study = optuna.create_study(direction="maximize", sampler=TreeSampler(["kind"], seed=2, n_startup_trials=1))
    ends = st.sampled_from(["done", "nan", "pruned", "rung", "broken", "failed", "running"])
    for _ in range(data.draw(st.integers(1, 14))):
        trial = study.ask()
        kind = trial.suggest_categorical("kind", ["a", "b", "c"])
        at = trial.suggest_float(f"lr.{kind}", 1e-5, 1e-1, log=True)
        assert 1e-5 <= at <= 1e-1
        end = data.draw(ends)
        if end in ("rung", "running"):
            trial.report(data.draw(st.floats(-1e6, 1e6)), 1)
        if end == "broken":
            trial.set_constraint("limits", 1.0)
        match end:
            case "done":
                study.tell(trial, data.draw(st.floats(-1e6, 1e6)))
            case "nan" | "failed":
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            case "running":
                pass
            case _:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
