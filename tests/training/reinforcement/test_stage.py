"""Reinforcement learning through the entry that a sandbox uses: what a stage leaves, goes on from, and fails with."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.conformance.objective import StopAfter, trained
from tests.conformance.objective_case import ROWS
from tests.training.rewards.courts import foreign

from tunewright.domain.outcome import EXIT_CODES
from tunewright.tools.contract import Output
from tunewright.tools.models.adapter import attach
from tunewright.tools.models.load import load_model
from tunewright.tools.training.__main__ import _run, main
from tunewright.tools.training.reinforcement import rollout
from tunewright.tools.training.reinforcement.watch import PATIENCE
from tunewright.tools.training.stop import Stop

CODES = {said: code for code, said in EXIT_CODES.items()}
COMPLETION = {"format": "completion", "labels": (), "metric": {"name": "exact_match"}, "max_new_tokens": 4}
LETTERS = [{"kind": "regex", "pattern": "[a-zA-Z]"}]


LORA = {"kind": "lora", "rank": 4}
DYLORA = {"kind": "matryoshka", "mode": "dylora"}
"""Draws a rank before each step."""


def stage(kind: str = "grpo", steps: int = 3, adapter: Mapping[str, Any] = LORA, **own: Any) -> dict[str, Any]:
    optimisation = {"lr": 1e-3, "batch_size": 2, "steps": steps, "precision": "fp32"}
    given: dict[str, Any] = {
        "kind": kind,
        **({"rewards": LETTERS, "group": 4} if kind not in ("sft", "reward") else {}),
    }
    optimisation |= {name: own.pop(name) for name in ("precision", "lr") if name in own}
    carry = {"carry": own.pop("carry")} if "carry" in own else {}
    return {"objective": {**given, **own}, "adapter": dict(adapter), "optimisation": optimisation, **carry}


@pytest.fixture
def make(make_job: Callable[..., Any]) -> Callable[..., Any]:
    """A job on completions."""
    return lambda name, *stages, **given: make_job(
        name, *stages, own=ROWS["completion"], **{"task": COMPLETION, **given}
    )


def failed(job: Any) -> Any:
    """The fault that a job ended with."""
    code = main(job.argv)
    result = job.result()
    assert result.status == "failed" and code == CODES[result.fault.kind], result
    return result.fault


def test_a_reward_that_never_pays_is_a_fault_with_its_step(make: Callable[..., Any]) -> None:
    job = make("job", stage(steps=PATIENCE + 2, rewards=[{"kind": "regex", "pattern": "$^never"}]))
    fault = failed(job)
    assert fault.kind == "config" and fault.step == PATIENCE
    assert "nothing to learn from" in fault.message and "train by sft before" in fault.message
    assert [point["loss"] for point in job.curve()] == [0.0] * PATIENCE


BROKEN = {
    "raises": ("raise ValueError('it cannot say')", "'raises' failed: ValueError: it cannot say"),
    "odd": ("return [float('nan')] * len(answers.texts)", "'odd' gave nan for the answer to row"),
    "hangs": ("while True: pass", "'hangs' gave no value within 0.5 s"),
    "dies": ("import os; os._exit(3)", "'dies' ended its process: exit code 3"),
    "late": (
        "judge.times = getattr(judge, 'times', 0) + 1\n"
        "assert judge.times < 3, 'enough'\n"
        "return [1.0] * len(answers.texts)",
        "'late' failed: AssertionError: enough",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_reward_is_a_fault_and_leaves_no_process(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    body, said = BROKEN[kind]
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    foreign(packages, kind, body)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    fault = failed(make("job", stage(rewards=[{"kind": kind}, *LETTERS])))
    assert fault.kind == "config" and said in fault.message and "row" in fault.message
    assert fault.step == (2 if kind == "late" else 0)
    gc.collect()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


class StopWithin(Stop):
    """Asked for in the middle of the rollout that follows so many steps."""

    def __init__(self, out: Path, steps: int) -> None:
        super().__init__()
        self.after = StopAfter(out, steps)

    def check(self, done: int, of: int) -> None:
        if self.after:
            self.ask()
        super().check(done, of)


def stopped(job: Any, stop: Stop, steps: int) -> None:
    """Runs the job until it is stopped after so many steps, and then to its end."""
    output = Output(job.folder)
    code = _run(job.folder, job.model, output, stop, time.perf_counter())
    output.close()
    assert code == CODES["paused"] and job.result().steps == steps
    assert main(job.argv) == CODES["done"], job.result().fault
    assert job.events("started")[-1].resumed_from == steps, "no step is lost"


def same(one: Any, other: Any) -> bool:
    """Whether two finished jobs left the same, what they said on the way aside."""
    return dataclasses.replace(trained(one), notes=()) == dataclasses.replace(trained(other), notes=())


@pytest.mark.parametrize("adapter", [LORA, DYLORA], ids=["lora", "dylora"])
def test_stopped_within_a_rollout_it_goes_on_from_the_step_before(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, adapter: Mapping[str, Any]
) -> None:
    monkeypatch.setattr(rollout, "TOKENS_AT_ONCE", 60)  # several batches
    straight, broken = (make(name, stage(steps=7, adapter=adapter)) for name in ("straight", "broken"))
    assert main(straight.argv) == CODES["done"]
    stopped(broken, StopWithin(broken.out, 2), 2)
    assert same(broken, straight)


TWICE = {"iterations": 2, "beta": 0.1}
ROUNDS: dict[str, dict[str, Any]] = {
    "gspo": {**TWICE, "steps_per_generation": 2},
    "dapo": {**TWICE, "dynamic": 1, "mask_truncated": False},
    "ppo": {**TWICE, "steps_per_generation": 2},
    "lrpo": {**TWICE, "every": 1, "own": 1},
}


@pytest.mark.parametrize("kind", ROUNDS)
def test_stopped_within_a_round_it_goes_on_with_its_answers(make: Callable[..., Any], kind: str) -> None:
    straight, broken = (make(name, stage(kind, steps=5, **ROUNDS[kind])) for name in ("straight", "broken"))
    assert main(straight.argv) == CODES["done"]
    stopped(broken, StopAfter(broken.out, 3), 3)
    assert same(broken, straight)
    assert len(set(trained(straight).losses)) > 2


@pytest.mark.parametrize("kind", ["grpo", "ppo"])
def test_bf16(make: Callable[..., Any], kind: str) -> None:
    own = {"beta": 0.1, "iterations": 1, "precision": "bf16"}
    one, other = (make(name, stage(kind, steps=2, **own)) for name in ("one", "other"))
    assert main(one.argv) == CODES["done"] == main(other.argv), one.result().fault
    assert same(one, other) and one.result().precision == "bf16"


@pytest.mark.parametrize("adapter", ["lora", "sdslora", "pissa", "full"])
def test_the_reference_is_the_policy_that_the_stage_begins_with(make: Callable[..., Any], adapter: str) -> None:
    job = make("job", stage("sft", lr=1e-2), stage(steps=1, beta=0.1, adapter={"kind": adapter}, carry="merge"))
    assert main(job.argv) == CODES["done"], job.result().fault
    assert job.events("progressed")[-1].facts["kl"] < 1e-6


@pytest.mark.parametrize("carry", ["merge", "continue"])
def test_it_builds_on_what_sft_has_learned(make: Callable[..., Any], carry: str) -> None:
    job = make("job", stage("sft", steps=3, lr=1e-2), stage(steps=2, beta=0.1, lr=1e-2, carry=carry))
    assert main(job.argv) == CODES["done"], job.result().fault
    facts = job.events("progressed")[-1].facts
    assert job.result().steps == 5 and 0 < facts["kl"] < 0.1, "from where sft ended, not from where it began"
    model = attach(load_model(job.model, device="cpu")[0], job.out / "adapter")
    kept = sorted(path.name for path in (job.out / "adapter").iterdir())
    assert {"0", "1"} <= set(kept) if carry == "merge" else "adapter_config.json" in kept
    assert sum(weight.numel() for name, weight in model.named_parameters() if "lora" in name) > 0


def test_a_reward_model_that_a_stage_has_trained_pays_the_next(make_job: Callable[..., Any]) -> None:
    task = {"sources": [{"path": "a.jsonl", "name": "a", "format": "preference"}], "max_new_tokens": 4}
    pays = [{"kind": "reward_model"}]
    job = make_job(
        "job", stage("reward", steps=2), stage("ppo", steps=4, rewards=pays), own=ROWS["preference"], task=task
    )
    assert main(job.argv) == CODES["done"], job.result().fault
    facts = job.events("progressed")[-1].facts
    assert facts["reward_spread"] > 0 and facts["unanimous"] == 0
