"""Whatever a model answers, the plan can be run: inside budget and brief, with its default in every range."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tests.agents.planner.planned import NONE, Planned, dimension

from tunewright.domain.frozen import Json
from tunewright.domain.space import Choice, Float, Int, Space
from tunewright.domain.task import Constraint, Wishes
from tunewright.tools.training.registry import check_recipe

SMALL = Constraint(quantity="adapter_bytes", relation="<=", value=2.1e6)
WISHES = (
    NONE,
    Wishes(without=("full",)),
    Wishes(max_rank=16),
    Wishes(adapters=("lora", "vera", "gpart")),
    Wishes(plans=("sft", "dft")),
    Wishes(depths=(4, 1)),
    Wishes(keep=0.5, compress=True),
)
VALUES = (1, 0, -3, 64, 1e-9, 1e9, 0.5, True, "x", "lora", "full", "cpt > sft", "sft > sft", "", "a; rm", "a" * 200)
ENDS = (0, -1, 1e-6, 1e-3, 0.1, 5, 64, 1e12)


@pytest.mark.parametrize("seed", range(len(WISHES)))
def test_any_answer_leaves_a_plan_that_can_be_run(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    made = Planned(tmp_path, wishes=WISHES[seed], constraints=(SMALL,) if seed % 2 else ())
    rules = made.by_rules()
    names = [name for one in rules.space.dimensions for name in (one.name, one.path)]
    plan = made.plan(**answer(rng, [*names, "adapter", "plan", "seed", "lr", "", "trials"]))
    assert made.warnings == [] and plan.by != "rules"
    assert (plan.task, plan.budget, plan.seed, plan.trials) == (rules.task, rules.budget, rules.seed, rules.trials)
    assert plan.space.contains(plan.space.build(plan.space.default()))
    assert all(dimension(plan, one.name).holds(one.value) for one in plan.priors)
    assert all(one.note for one in plan.changes if one.fate != "applied") and plan.binding
    for _ in range(4):
        recipe = plan.space.build(drawn(plan.space, rng))
        check_recipe(recipe)
        kinds = {stage.adapter.kind for stage in recipe.stages}
        assert not kinds & set(WISHES[seed].without) and kinds <= set(WISHES[seed].adapters or kinds)
        assert recipe.stages[0].adapter.settings.get("rank", 1) <= (WISHES[seed].max_rank or 10**6)


def answer(rng: random.Random, names: list[str]) -> dict[str, Any]:
    """Twelve changes, some guesses and hypotheses, of anything."""
    changes = []
    for _ in range(12):
        one = {
            "action": rng.choice(["narrow", "widen", "fix", "drop", "add"]),
            "name": rng.choice(names),
            "reason": "r",
        }
        one |= {"options": [rng.choice(VALUES) for _ in range(rng.randint(1, 4))]} if rng.random() < 0.6 else {}
        one |= {end: rng.choice(ENDS) for end in ("low", "high") if rng.random() < 0.5}
        changes.append(one)
    priors = [{"name": rng.choice(names), "value": rng.choice(VALUES), "confidence": 0.5} for _ in range(5)]
    settings = [{"name": rng.choice(names), "value": rng.choice(VALUES)}]
    fidelity = {"length": rng.choice([1, 0.5, 0.01]), "first_look": rng.choice([0, 0.3, 0.99])}
    hypotheses = [{"claim": "c", "settings": settings}]
    return {"changes": changes, "priors": priors, "hypotheses": hypotheses, "fidelity": fidelity}


def drawn(space: Space, rng: random.Random) -> dict[str, Json]:
    point: dict[str, Json] = {}
    for one in space.dimensions:
        if not one.active(point):
            continue
        match one:
            case Choice():
                point[one.name] = rng.choice(one.options)
            case Float():
                point[one.name] = rng.uniform(one.low, one.high)
            case Int():
                point[one.name] = rng.randint(one.low, one.high)
            case _:
                point[one.name] = list(one.default)
    return point
