"""What goes with depths and clients: everything that does is trained so, everything else is refused before it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.objective_case import CASES, ROWS, Case
from tests.training.depth.conftest import stage

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES, JobResult
from tunewright.domain.recipe import Recipe
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.depth.check import transferring
from tunewright.tools.training.registry import adapter, adapters, check_recipe, objective, objectives

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
GROWS, CLIENTS = {"stages": 2}, {"clients": 2, "local_steps": 1}
DEEPENING = [kind for kind in adapters() if transferring(adapter(kind)) is None]
AVERAGED = ["dora", "vblora", "prompt_tuning", "ln_tuning"]
"""Of those that clients can train and that cannot deepen, one of each sort."""


def chosen(kind: str) -> dict[str, Any]:
    known = adapter(kind).Config.model_fields
    return {"kind": kind, **{name: value for name, value in (("rank", 2), ("reduction", 4)) if name in known}}


def recipe(depth: dict[str, Any], kind: str = "lora", **more: Any) -> Recipe:
    return Recipe.model_validate({"stages": [{**stage(depth, chosen(kind)), **more}]})


@pytest.mark.parametrize("kind", DEEPENING)
def test_every_adapter_that_can_goes_through_depths(deep_job: Make, kind: str) -> None:
    job = deep_job("job", stage(GROWS, chosen(kind), steps=2))
    assert main(job.argv) == CODES["done"], job.result().fault
    assert {event.facts["depth"] for event in job.events("progressed") if event.facts} <= {3.0, 6.0}


@pytest.mark.parametrize("kind", AVERAGED)
def test_adapters_that_cannot_deepen_are_averaged(make_job: Make, kind: str) -> None:
    job = make_job("job", stage(CLIENTS, chosen(kind), steps=4))
    assert main(job.argv) == CODES["done"], job.result().fault


@pytest.mark.parametrize("kind", [kind for kind in objectives() if objective(kind).family == "supervised"])
def test_every_supervised_objective_goes_with_them(make_job: Make, deep: Any, kind: str) -> None:
    case = CASES.get(kind, Case())
    form = case.format or objective(kind).formats[0]
    depth = {**CLIENTS, **({} if objective(kind).reads_layers else GROWS)}
    given = {**stage(depth, steps=4), "objective": {"kind": kind, **case.settings}}
    task = {"sources": [{"path": "a.jsonl", "name": "a", "format": form}], **case.task}
    job = replace(make_job("job", given, own=ROWS[form], task=task), model=deep)
    assert main(job.argv) == CODES["done"], job.result().fault


@pytest.mark.parametrize("kind", [kind for kind in adapters() if kind not in DEEPENING])
def test_every_other_adapter_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match=f"'{kind}' cannot be trained by progressive depth"):
        check_recipe(recipe(GROWS, kind))


@pytest.mark.parametrize(
    ("depth", "more", "says"),
    [
        (GROWS, {"objective": {"kind": "dpo"}}, "neither progressive depth nor federated training is for 'dpo'"),
        (CLIENTS, {"objective": {"kind": "dpo"}}, "neither progressive depth nor federated training is for 'dpo'"),
        (GROWS, {"objective": {"kind": "alphatoken"}}, "looks into the layers"),
        (GROWS, {"adapter": {"kind": "lora", "placement": "layers:0-2"}}, "not the same in every layer"),
        (GROWS, {"memory": {"base_bits": 4}}, "layers of 4 bits cannot be fused"),
        (CLIENTS, {"adapter": {"kind": "adalora"}}, "'adalora' cannot be: its training has phases"),
        ({**CLIENTS, "average": "share_a"}, {"adapter": {"kind": "ia3"}}, "which 'ia3' does not have"),
        (CLIENTS, {"data": {"weights": [0.5, 0.5]}}, "sources cannot be weighted"),
        (CLIENTS, {"data": {"replay": 0.2}}, "general data"),
        (CLIENTS, {"data": {"policy": {"kind": "temperature"}}}, "sources cannot be weighted"),
        (CLIENTS, {"data": {"selection": {"kind": "dwm"}}}, "weighs rows of all clients"),
    ],
)
def test_what_does_not_go_together_is_refused(depth: dict[str, Any], more: dict[str, Any], says: str) -> None:
    check_recipe(recipe(depth))
    with pytest.raises(UsageError, match=says) as raised:
        check_recipe(recipe(depth, **more))
    assert raised.value.hint


def refused(job: Any) -> str:
    assert main(job.argv) == CODES["config"]
    result: JobResult = job.result()
    assert result.fault is not None
    return result.fault.message


def test_what_only_the_model_and_the_rows_tell_is_a_fault_of_the_recipe(deep_job: Make, make_job: Make) -> None:
    assert "no shallower than the model, which has 6" in refused(
        deep_job("deep", stage({"stages": 2, "start_layers": 6}))
    )
    assert "31 clients cannot share 30 training rows" in refused(make_job("many", stage({"clients": 31}, steps=40)))
    assert "3 steps are too few for 1 depths and 4 clients" in refused(make_job("few", stage({"clients": 4}, steps=3)))
