"""Reward models: the loss against TRL's, and what a trial leaves, from its first step to the scores that it gives."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS, WORDS
from tests.training.objectives.conftest import FAMILIES, close, gradients, mean

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import load_rows
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.adapter import attach
from tunewright.tools.models.load import load_model
from tunewright.tools.models.reward_head import FILE, head_of, load_reward_model
from tunewright.tools.training.__main__ import main

PLACES = [0, 1, 13, 7]
CODES = {said: code for code, said in EXIT_CODES.items()}
PREFERENCE = {"sources": [{"path": "a.jsonl", "name": "a", "format": "preference"}]}


@pytest.mark.parametrize("centre", [0.0, 0.3])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trls(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any, family: str, centre: float,
    tmp_path: Path,
) -> None:  # fmt: skip
    from datasets import Dataset
    from transformers import GPT2ForSequenceClassification, LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    learning = make_learning(model := make_model(family), "reward", form="preference", settings={"centre": centre})
    config = copy.deepcopy(model.config)
    config.num_labels, config.pad_token_id = 1, tokenizer.pad_token_id
    like = (GPT2ForSequenceClassification if family == "gpt2" else LlamaForSequenceClassification)(config).eval()
    like.base_model.load_state_dict(model.base_model.state_dict())
    like.score.weight.data.copy_(learning.head.weight)
    trainer = RewardTrainer(
        model=like,
        args=RewardConfig(
            output_dir=str(tmp_path), use_cpu=True, report_to="none", bf16=False, gradient_checkpointing=False,
            center_rewards_coefficient=centre or None, disable_dropout=False,
        ),
        train_dataset=Dataset.from_dict({"chosen": ["a b", "c"], "rejected": ["d", "e f"]}),
        processing_class=tokenizer,
    )  # fmt: skip
    batch = learning.collate(PLACES)
    padded = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, tokenizer.pad_token_id)
    theirs = trainer.compute_loss(trainer.model, {"input_ids": padded, "attention_mask": batch["attention_mask"]})
    ours = mean(learning, PLACES)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    learning.head.zero_grad()
    found, expected = gradients(model, ours), gradients(trainer.model, theirs)
    assert torch.allclose(learning.head.weight.grad, expected.pop("score.weight"), atol=1e-5)
    found = {name.removeprefix("transformer.").removeprefix("model."): gradient for name, gradient in found.items()}
    expected = {name.removeprefix("transformer.").removeprefix("model."): each for name, each in expected.items()}
    assert close({name: gradient for name, gradient in found.items() if name in expected}, expected)
    assert not any(bool(gradient.any()) for name, gradient in found.items() if name not in expected)


def test_alike_rewards_are_at_log_2(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "reward", form="preference", settings={"centre": 0.5})
    with torch.no_grad():
        learning.head.weight.zero_()
    assert mean(learning, PLACES).item() == pytest.approx(math.log(2))
    assert learning.facts()["margin"] == 0.0


def stage(kind: str = "reward", **own: Any) -> dict[str, Any]:
    return {
        "objective": {"kind": kind},
        "adapter": {"kind": "lora", "rank": 4},
        "optimisation": {"lr": 5e-3, "batch_size": 8, "steps": 8, "precision": "fp32", "schedule": "constant", **own},
    }


def scored(job: Any, folder: Path) -> list[float]:
    """Chosen minus rejected, by what a stage has left."""
    base, tokenizer = load_model(job.model, device="cpu")
    task = TaskSpec.model_validate(json.loads((job.folder / "spec.json").read_text())["task"])
    found = load_reward_model(base, tokenizer, folder, task)
    rows = ROWS["preference"]
    chosen = found.scores(rows, [row["target"] for row in rows])
    rejected = found.scores(rows, [row["rejected"] for row in rows])
    return [one - other for one, other in zip(chosen, rejected, strict=True)]


def test_a_trial_leaves_a_model_that_knows_the_better_answer(make_job: Callable[..., Any]) -> None:
    job = make_job("job", stage(steps=30), own=ROWS["preference"], task=PREFERENCE)
    assert main(job.argv) == CODES["done"]
    assert (job.out / "adapter" / FILE).is_file()
    margins = scored(job, job.out / "adapter")
    assert sum(margin > 0 for margin in margins) > 20
    assert job.events("progressed")[-1].facts["pair_accuracy"] > 0.8


@pytest.mark.parametrize("stages", [(), ("sft",)])
def test_what_is_measured_is_the_reward_model_and_can_be_measured_again(
    make_job: Callable[..., Any], stages: tuple[str, ...]
) -> None:
    metric = {"metric": {"name": "preference_accuracy"}}
    job = make_job(
        "job", *(stage(kind, steps=2) for kind in stages), stage(steps=30), task=metric, rungs=Rungs(steps=(9,))
    )
    assert main(job.argv) == CODES["done"], job.result().fault
    found = job.result().measurement
    assert found.value > 0.8
    task = TaskSpec.model_validate(json.loads((job.folder / "spec.json").read_text())["task"])
    base, tokenizer = load_model(job.model, device="cpu")
    rows = load_rows(job.folder / "in" / "val.jsonl")
    before, _ = measure(base, tokenizer, rows, task, step=0)
    again, _ = measure(attach(base, job.out / "adapter"), tokenizer, rows, task, step=found.step)
    assert again.value == found.value != before.value
    (job.out / "result.json").unlink()
    assert main(job.argv) == CODES["done"]
    assert job.result().measurement.value == found.value, "an attempt after the end measures the same model"


def test_the_head_is_clipped_and_cleared_like_the_rest(make_job: Callable[..., Any]) -> None:
    """Gradients that piled up from step to step would make the second of two equal steps larger than the first."""
    rows = [{"id": "0" * 16, "source": "a", "input": "blue", "target": "sky", "rejected": sorted(WORDS)[0], "meta": {}}]
    still = stage(steps=4, batch_size=2, lr=1e-12)
    job = make_job("job", still, own=rows, task=PREFERENCE)
    assert main(job.argv) == CODES["done"]
    norms = [event.grad_norm for event in job.events("progressed")]
    losses = [point["loss"] for point in job.curve()]
    assert losses[0] == pytest.approx(losses[-1], rel=1e-5)
    assert norms[0] == pytest.approx(norms[-1], rel=1e-3)


def test_a_reward_model_after_fine_tuning_is_put_together_again(make_job: Callable[..., Any]) -> None:
    job = make_job(
        "job",
        stage("sft", steps=2),
        stage(),
        own=[{**row, "source": "bc"[number % 2]} for number, row in enumerate(ROWS["preference"])],
        task={
            "sources": [
                {"path": "a.jsonl", "name": "a"},
                {"path": "b.jsonl", "name": "b", "format": "completion"},
                {"path": "c.jsonl", "name": "c", "format": "preference"},
            ]
        },
    )
    assert main(job.argv) == CODES["done"], job.result().fault
    whole, alone = scored(job, job.out / "adapter"), scored(job, job.out / "adapter" / "1")
    assert whole == pytest.approx(alone, abs=1e-5)
    model = attach(load_model(job.model, device="cpu")[0], job.out / "adapter")
    assert head_of(model) is not None


def test_a_stage_after_a_reward_model_begins_without_it(make_job: Callable[..., Any]) -> None:
    job = make_job(
        "job",
        stage(),
        {**stage("sft", steps=2), "carry": "merge"},
        own=[{**row, "source": "bc"[number % 2]} for number, row in enumerate(ROWS["preference"])],
        task={
            "sources": [
                {"path": "a.jsonl", "name": "a"},
                {"path": "b.jsonl", "name": "b", "format": "completion"},
                {"path": "c.jsonl", "name": "c", "format": "preference"},
            ]
        },
    )
    assert main(job.argv) == CODES["done"], job.result().fault
    model = attach(load_model(job.model, device="cpu")[0], job.out / "adapter")
    assert head_of(model) is None, "what was trained is the policy"
    assert len(scored(job, job.out / "adapter" / "0")) == 24


def test_the_heads_gradient_counts_in_the_norm_that_is_clipped(
    make_model: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    from accelerate import Accelerator
    from transformers import Trainer

    from tunewright.tools.training.trainer import StageTrainer

    learning = make_learning(model := make_model("llama"), "reward", form="preference")
    mean(learning, PLACES).backward()
    trainer = StageTrainer.__new__(StageTrainer)
    trainer.learning, trainer.accelerator = learning, Accelerator(cpu=True)
    trainer.args = SimpleNamespace(max_grad_norm=0.01)
    trained = [*model.parameters(), *learning.head.parameters()]

    def norm() -> float:
        return float(torch.stack([weight.grad.norm() for weight in trained if weight.grad is not None]).norm())

    before = norm()
    assert float(trainer._clip_grad_norm(model)) == pytest.approx(before) and before > 0.02
    assert norm() == pytest.approx(0.01, rel=1e-3)
    assert hasattr(Trainer, "_clip_grad_norm"), "what transformers calls has another name now"
