"""A real training gives the same bits whichever way it is started."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tunewright.agents.conclusion import Orders, conclude, read_result
from tunewright.domain.budget import Cost
from tunewright.domain.job import CodeIdentity, DataIdentity, Job, Limits, Rungs, SplitIdentity, TrialSpec
from tunewright.domain.outcome import Failed, JobResult
from tunewright.domain.protocols import Sandbox
from tunewright.domain.recipe import Optimisation, Recipe, Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import Checkpointed, Measured, Started
from tunewright.sandbox.docker import DockerSandbox
from tunewright.sandbox.process import ProcessConfig, ProcessSandbox
from tunewright.sandbox.staging import stage
from tunewright.tools.models.resolve import Found

PRELOAD = ("tunewright.tools.training.preload",)
Make = Callable[..., Job]


@pytest.fixture(scope="module")
def make(tiny: Found, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A training of a few steps on the tiny model, the same each time but for its id."""
    home = tmp_path_factory.mktemp("training")
    rows = [
        {"id": f"{i:016x}", "source": "a", "input": f"word {i}", "target": "ab"[i % 2], "meta": {}} for i in range(40)
    ]
    data = home / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = SplitIdentity(digest=hashlib.sha256(data.read_bytes()).hexdigest(), rows=len(rows))

    def job(name: str, steps: int = 24, *, memory_gib: float = 4, **more: Any) -> Job:
        spec = TrialSpec(
            id=name,
            study="training",
            task=TaskSpec(
                model="tiny",
                sources=(DataSource(path="a", name="a"),),
                format="label",
                input_field="input",
                target_field="target",
                metric=Metric(name="accuracy"),
                labels=("a", "b"),
            ),
            model=tiny.identity,
            limits=Limits(wall_s=300, memory_gib=memory_gib, threads=2),
            code=CodeIdentity(version="0", digest="0"),
            sandbox="any",
            recipe=Recipe(stages=(Stage(optimisation=Optimisation(lr=1e-3, steps=steps)),)),
            data=DataIdentity(train=split, val=split, test=split),
            **{"rungs": Rungs(steps=(4,)), **more},
        )
        return Job(
            spec=spec, folder=stage(home / name, spec, {"train.jsonl": data, "val.jsonl": data}), model=tiny.path
        )

    return job


def train(sandbox: Sandbox, job: Job, *, stop_at_rung: bool = False) -> JobResult:
    handle = sandbox.start(job)
    for event in handle.events(240):
        if stop_at_rung and isinstance(event, Measured | Checkpointed):
            handle.ask_to_stop()
    ended = handle.wait(30)
    assert ended is not None
    assert ended.code == (10 if stop_at_rung else 0), ended.message
    return JobResult.model_validate_json((job.out / "result.json").read_bytes())


@pytest.fixture(scope="module")
def reference(make: Make) -> JobResult:
    """Trained in an interpreter of its own."""
    with ProcessSandbox(ProcessConfig(fork_server=False)) as sandbox:
        return train(sandbox, make("cold"))


def same(one: JobResult, other: JobResult) -> bool:
    assert one.adapter_digest
    assert one.curve_digest
    return (one.adapter_digest, one.curve_digest) == (other.adapter_digest, other.curve_digest)


def test_forked_trials_are_bit_identical_quick_to_start_and_resumable(make: Make, reference: JobResult) -> None:
    with ProcessSandbox(preload=PRELOAD) as sandbox:
        assert same(train(sandbox, make("first")), reference)
        begun = time.time()
        second = make("second")
        assert same(train(sandbox, second), reference)
        events = (second.out / "events.jsonl").read_text().splitlines()
        assert Started.model_validate_json(events[0]).at - begun < 4, "a fork that imports everything again"
        halted = make("halted")
        assert train(sandbox, halted, stop_at_rung=True).status == "paused"
        assert same(train(sandbox, halted), reference)


def test_first_steps_are_weighed_and_end_at_the_limit_that_they_pass(make: Make) -> None:
    """The same two steps with room and without: what a study goes by before it launches the whole."""
    first = {"preflight_steps": 2, "rungs": Rungs()}
    with ProcessSandbox(preload=PRELOAD) as sandbox:
        fits = train(sandbox, make("fits", **first))
        assert (fits.steps, fits.measurement) == (2, None) and 0.1 < fits.peak_memory_gib < 4
        # The keeper counts what processes share by its part, so the limit is well below what the job says of itself.
        tight = make("tight", memory_gib=0.3 * fits.peak_memory_gib, **first)
        ended = sandbox.start(tight).wait(240)
    assert ended is not None and ended.out_of_memory
    outcome = conclude(tight.spec.limits, Orders(), ended, read_result(tight.out), Cost(), tries_left=True)
    assert isinstance(outcome, Failed) and outcome.fault.kind == "memory"


@pytest.mark.docker
def test_a_container_trains_the_same_bits(make: Make, reference: JobResult) -> None:
    with DockerSandbox() as sandbox:
        assert same(train(sandbox, make("contained")), reference)
