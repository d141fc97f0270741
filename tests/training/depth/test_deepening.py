"""Progressive depth and federated training, through the entry that a sandbox uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objective import StopAfter
from tests.training.depth.conftest import LAYERS, stage
from torch.nn.modules.module import register_module_forward_pre_hook

from tunewright.domain.depth import Depth
from tunewright.domain.job import Rungs
from tunewright.domain.outcome import EXIT_CODES
from tunewright.tools.contract import Output
from tunewright.tools.training.__main__ import _run, main

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
GROWS: dict[str, Any] = {"stages": 2}
CLIENTS: dict[str, Any] = {"clients": 2, "local_steps": 2}
DROPPED = {"kind": "lora", "rank": 4, "dropout": 0.2}


def left(job: Any) -> tuple[Any, ...]:
    """What must be the same of two jobs."""
    result = job.result()
    return job.curve(), result.adapter_digest, result.measurement.value, result.measurement.low


def layers_run(job: Any, name: str) -> int:
    """How often a layer of this class runs in training mode."""
    count = 0

    def note(module: Any, args: Any) -> None:
        nonlocal count
        count += type(module).__name__ == name and module.training

    handle = register_module_forward_pre_hook(note)
    try:
        assert main(job.argv) == CODES["done"]
    finally:
        handle.remove()
    return count


class TestTheModelIsAsDeepAsItsStepWantsIt:
    @pytest.mark.parametrize(
        ("depth", "steps", "expected"),
        [
            ({}, 4, 4 * 6),
            ({"stages": 2}, 4, 2 * 3 + 2 * 6),
            ({"stages": 3}, 6, 2 * 2 + 2 * 3 + 2 * 6),
            ({"stages": 2, "start_layers": 1, "full_share": 0.25}, 4, 3 * 1 + 1 * 6),
        ],
    )
    def test_layers_of_a_llama(self, deep_job: Make, depth: dict[str, Any], steps: int, expected: int) -> None:
        assert layers_run(deep_job("job", stage(depth, steps=steps)), "LlamaDecoderLayer") == expected

    def test_layers_of_a_gpt2(self, make_job: Make, deep_gpt2: Path) -> None:
        adapter = {"kind": "vera", "rank": 4}
        job = replace(make_job("job", stage({"stages": 2}, adapter, steps=4)), model=deep_gpt2)
        assert layers_run(job, "GPT2Block") == 2 * 3 + 2 * 6

    def test_a_rung_changes_nothing(self, deep_job: Make) -> None:
        straight = deep_job("one", stage(GROWS, steps=4), rungs=Rungs(steps=(2,)))
        assert main(straight.argv) == CODES["done"]
        assert [event.measurement.step for event in straight.events("measured")] == [2, 4]
        unmeasured = deep_job("two", stage(GROWS, steps=4))
        assert main(unmeasured.argv) == CODES["done"]
        assert left(unmeasured) == left(straight)

    def test_a_rung_measures_the_whole_model(self, deep_job: Make) -> None:
        """At a rate at which nothing is learned all loss is the base model's, whatever the depth."""
        task = {"metric": {"name": "loss", "direction": "min"}}
        job = deep_job("job", stage({"stages": 3}, steps=6, lr=1e-12), rungs=Rungs(steps=(1, 3)), task=task)
        assert main(job.argv) == CODES["done"]
        values = [event.measurement.value for event in job.events("measured")]
        assert values == pytest.approx([values[-1]] * 3, rel=1e-6)
        losses = [point["loss"] for point in job.curve()]
        assert losses[0] != pytest.approx(losses[-1], rel=1e-3), "while the loss in training is the shallow model's"


STOPS: list[tuple[dict[str, Any], int]] = [
    (GROWS, 2), (GROWS, 4), (CLIENTS, 3), ({**CLIENTS, "average": "product_svd"}, 2),
    ({**GROWS, **CLIENTS, "average": "share_a"}, 3), ({**GROWS, **CLIENTS, "grouping": "random"}, 6),
]  # fmt: skip
"""At a depth, between two of them, between two clients and in the middle of a client's turn."""


@pytest.mark.parametrize(("depth", "at"), STOPS)
def test_after_a_stop_it_goes_on_as_if_there_had_been_none(deep_job: Make, depth: dict[str, Any], at: int) -> None:
    straight, broken = (deep_job(name, stage(depth, DROPPED, steps=8)) for name in ("straight", "broken"))
    assert main(straight.argv) == CODES["done"]
    output = Output(broken.folder)
    assert _run(broken.folder, broken.model, output, StopAfter(broken.out, at), time.perf_counter()) == CODES["paused"]
    output.close()
    assert main(broken.argv) == CODES["done"]
    assert broken.events("started")[-1].resumed_from == at
    assert left(broken) == left(straight)


BESIDE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stages": ({"stages": 2}, {"stages": 3}),
    "start_layers": ({"stages": 2}, {"stages": 2, "start_layers": 2}),
    "beta": ({"stages": 2}, {"stages": 2, "beta": 0.3}),
    "grouping": ({"stages": 2}, {"stages": 2, "grouping": "even"}),
    "contiguous": ({"stages": 2, "grouping": "random"}, {"stages": 2, "grouping": "random", "contiguous": True}),
    "full_share": ({"stages": 2}, {"stages": 2, "full_share": 0.25}),
    "clients": ({"clients": 2}, {"clients": 3}),
    "local_steps": (CLIENTS, {**CLIENTS, "local_steps": 3}),
    "partition": (CLIENTS, {**CLIENTS, "partition": "dirichlet"}),
    "alpha": ({**CLIENTS, "partition": "dirichlet"}, {**CLIENTS, "partition": "dirichlet", "alpha": 0.05}),
    "average": (CLIENTS, {**CLIENTS, "average": "product_svd"}),
}


def test_every_field_is_tried() -> None:
    assert BESIDE.keys() == Depth.model_fields.keys()


@pytest.fixture(scope="module")
def trained(write_job: Make, deep: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Any]:
    """Trains by a depth, once each: its curve and its adapter."""
    seen: dict[str, Any] = {}

    def train(depth: dict[str, Any]) -> Any:
        if repr(depth) not in seen:
            job = replace(write_job(tmp_path_factory.mktemp("job") / "job", stage(depth, steps=8)), model=deep)
            assert main(job.argv) == CODES["done"]
            seen[repr(depth)] = job.curve(), job.result().adapter_digest
        return seen[repr(depth)]

    return train


@pytest.mark.parametrize("field", BESIDE)
def test_every_field_changes_what_is_trained(trained: Callable[[dict[str, Any]], Any], field: str) -> None:
    before, after = BESIDE[field]
    assert trained(before) != trained(after)


def test_a_depth_of_one_stage_and_one_client_is_no_depth(deep_job: Make) -> None:
    plain, said = deep_job("plain", {**stage(), "depth": {}}), deep_job("said", stage({"stages": 1, "clients": 1}))
    assert main(plain.argv) == main(said.argv) == CODES["done"]
    assert left(plain) == left(said)


@pytest.mark.parametrize("memory", [{"checkpoint_every": 1}, {"offload": True}, {"micro_batch": 1}])
def test_memory_levers_change_no_number_of_it(deep_job: Make, memory: dict[str, Any]) -> None:
    given = stage(GROWS, steps=4)
    plain, lean = deep_job("plain", given), deep_job("lean", {**given, "memory": memory})
    assert main(plain.argv) == main(lean.argv) == CODES["done"]
    for one, other in zip(plain.curve(), lean.curve(), strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)


def test_layers_that_are_replaced_are_computed_twice_too(deep_job: Make) -> None:
    job = deep_job("job", {**stage(GROWS, steps=4), "memory": {"checkpoint_every": 1}})
    assert layers_run(job, "LlamaMLP") == 2 * (2 * 3 + 2 * 6)


def test_it_says_which_layers_are_trained_and_what_was_sent(deep_job: Make) -> None:
    job = deep_job("job", stage({**GROWS, "grouping": "even", **CLIENTS}, steps=8))
    assert main(job.argv) == CODES["done"]
    said = [event.message for event in job.events("noted")]
    assert f"3 of {LAYERS} layers are trained: 0-1, 2-3, 4-5" in said
    assert f"{LAYERS} of {LAYERS} layers are trained" in said
    assert any(line.startswith("2 clients sent ") and line.endswith("in 2 rounds") for line in said)
    facts = job.events("progressed")[-1].facts
    assert facts["depth"] == LAYERS and facts["client"] == 1 and facts["upload_bytes"] > 0
