"""Several goals: ideas are spread over the front, each by weights of its own, and say so."""

from __future__ import annotations

import math
import re
from pathlib import Path

import optuna
import pytest
from tests.stories import Story, space, surface, task

from tunewright.domain.goal import tradeoffs
from tunewright.domain.proposal import Idea
from tunewright.domain.task import Constraint, Goal
from tunewright.search.goal import GOALS
from tunewright.search.governor import due
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.promising import PromisingScheduler
from tunewright.search.tradeoff import TradeoffSampler, scalarised
from tunewright.search.tree import TreeSampler

SMALL = Goal(quantity="adapter_bytes")


def size_of(idea: Idea) -> int:
    """So that a rank costs score on one side and bytes on the other."""
    adapter = idea.recipe.stages[0].adapter
    if adapter.kind == "full":
        return 20_000_000
    return 50_000 * int(adapter.settings.get("r", 1))


def test_ideas_say_what_they_weigh_and_every_other_or_so_looks_for_the_score_alone(tmp_path: Path) -> None:
    story = Story(space=space(), task=task().model_copy(update={"goals": (SMALL,)}))
    strategy, weighed = OptunaStrategy(tmp_path / "optuna.journal", sampler="tree", seed=3), []
    for _ in range(12):
        (idea,) = strategy.ask(story.study, 1)
        (job,) = story.propose([idea])
        story.run(job, surface(idea.recipe), adapter_bytes=size_of(idea))
        said = re.match(r"tree for (score (\d\.\d\d), adapter_bytes \d\.\d\d|the score alone)", idea.reason)
        assert said or idea.origin == "default", idea.reason
        weighed += [said[2]] if said else []
    assert 0 < weighed.count(None) < len(weighed)
    assert min(float(share) for share in weighed if share) >= 0.5
    assert not any(
        " for " in idea.reason.partition(":")[0]
        for idea in OptunaStrategy(tmp_path / "alone", sampler="tree").ask(Story(space=space(), task=task()).study, 2)
    )


@pytest.mark.parametrize(("direction", "best"), [("maximize", 0), ("minimize", 2)])
def test_each_trial_has_one_number_in_the_studys_direction_and_what_is_not_measured_has_none(
    direction: str, best: int
) -> None:
    trials = []
    for value, size in ((0.9, 8e6), (0.8, 1e5), (0.1, 5e6), (0.5, None)):
        attrs = {} if size is None else {GOALS: {"adapter_bytes": size}}
        trial = optuna.trial.create_trial(value=value, user_attrs=attrs, intermediate_values={1: value / 2})
        trial.number = len(trials)
        trials.append(trial)
    maximise = direction == "maximize"
    score_only = scalarised(trials, (SMALL,), (1.0, 0.0), maximise=maximise)
    known = [trial.value for trial in score_only[:3]]
    pick = max if maximise else min
    assert known.index(pick(known)) == best and known[best] == pytest.approx(0.0)
    size_only = [one.value for one in scalarised(trials, (SMALL,), (0.0, 1.0), maximise=maximise)[:3]]
    assert size_only.index(pick(size_only)) == 1, "the smallest"
    assert score_only[3].state == optuna.trial.TrialState.FAIL and not score_only[3].intermediate_values
    assert trials[3].value == 0.5 and trials[0].value == 0.9, "the trials themselves are as they were"
    rungs = [one.intermediate_values[1] for one in score_only[:3]]
    assert len(set(rungs)) == 3


def test_a_limit_of_its_own_makes_a_goal_no_tradeoff_and_nothing_is_paused_or_ended_early_for_its_score() -> None:
    wanted = task().model_copy(update={"goals": (SMALL, Goal(quantity="latency_s"))})
    limit = Constraint(quantity="adapter_bytes", relation="<=", value=5e6)
    assert tradeoffs(wanted) == (SMALL, Goal(quantity="latency_s"))
    assert tradeoffs(wanted.model_copy(update={"constraints": (limit,)})) == (Goal(quantity="latency_s"),)
    story = Story(space=space(), task=wanted)
    strategy = Idea(recipe=space().build(space().default()), origin="sampler", reason="of the test")
    (job,) = story.propose([strategy])
    story.launch(job)
    said = PromisingScheduler().decide(story.study, job, story.measure(job, 25, 0.01))
    assert said.action == "continue" and "other goals" in said.reason
    assert not due(story.study)


def test_it_works_alone_in_a_study_of_optunas() -> None:
    sampler = TradeoffSampler(TreeSampler(["kind"], seed=0), (SMALL,), seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        rank = trial.suggest_int("rank", 1, 64, log=True)
        trial.set_user_attr(GOALS, {"adapter_bytes": 1000.0 * rank})
        return math.log2(rank) / 6 - (kind == "b") * 0.2

    study.optimize(objective, n_trials=16)
    ranks = [trial.params["rank"] for trial in study.trials]
    assert min(ranks) <= 3 and max(ranks) >= 32
