"""Reward models that an earlier stage of the same job has trained, as a reward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.rewards.courts import scores, task

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import read_spec
from tunewright.tools.models.load import load_model
from tunewright.tools.models.reward_head import load_reward_model
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.reward import Answers, Court

CODES = {said: code for code, said in EXIT_CODES.items()}
PREFERENCE = {"sources": [{"path": "a.jsonl", "name": "a", "format": "preference"}]}


def stage(kind: str, steps: int) -> dict[str, Any]:
    return {
        "objective": {"kind": kind},
        "adapter": {"kind": "lora", "rank": 4},
        "optimisation": {"lr": 5e-3, "batch_size": 8, "steps": steps, "precision": "fp32", "schedule": "constant"},
    }


@pytest.fixture(scope="module")
def court(write_job: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Court:
    """After DPO, a hardly trained reward model and a trained one."""
    folder = tmp_path_factory.mktemp("rewards") / "job"
    stages = stage("dpo", 2), stage("reward", 1), stage("reward", 30)
    job = write_job(folder, *stages, own=ROWS["preference"], task=PREFERENCE)
    assert main(job.argv) == CODES["done"], job.result().fault
    return Court(
        _task(job.folder),
        stages=job.out / "adapter",
        base=lambda: load_model(job.model, device="cpu")[0].requires_grad_(False),
        tokenizer=load_model(job.model, device="cpu")[1],
    )


def _task(folder: Path) -> TaskSpec:
    return read_spec(folder).task


def asked(column: str) -> Answers:
    rows = ROWS["preference"]
    return Answers([row["input"] for row in rows], [row[column] for row in rows], rows)  # type: ignore[arg-type]


def test_better_answers_are_worth_more(court: Court) -> None:
    better, worse = (scores("reward_model", asked(column), court) for column in ("target", "rejected"))
    assert sum(one > other for one, other in zip(better, worse, strict=True)) > 20


def test_it_is_what_the_stage_left_and_the_last_one_unless_another_is_named(court: Court) -> None:
    assert court.base is not None and court.stages is not None
    given = asked("target")
    for number in (1, 2):
        model = load_reward_model(court.base(), court.tokenizer, court.stages / str(number), court.task)
        assert scores("reward_model", given, court, stage=number) == model.scores(given.rows, given.texts)
    assert scores("reward_model", given, court) == scores("reward_model", given, court, stage=2)
    assert scores("reward_model", given, court) != scores("reward_model", given, court, stage=1)


def test_asking_changes_nothing(court: Court) -> None:
    state = torch.get_rng_state()
    first = scores("reward_model", asked("target"), court)
    assert torch.equal(torch.get_rng_state(), state)
    assert scores("reward_model", asked("target"), court) == first


def test_one_that_was_not_trained_before_is_refused(court: Court) -> None:
    with pytest.raises(UsageError, match="stages 1, 2 trained one") as raised:
        scores("reward_model", asked("target"), court, stage=0)
    assert "objective 'reward'" in raised.value.hint
    with pytest.raises(UsageError, match="none before this one did"):
        scores("reward_model", asked("target"), Court(task()))
    with pytest.raises(UsageError, match="tokenizer"):
        scores("reward_model", asked("target"), Court(court.task, stages=court.stages))
