"""Reward models: what the head reads, that it is saved and found again, and that it stays out of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from tunewright.domain.errors import ModelError
from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.inference import inference
from tunewright.tools.models.adapter import detached, mark_stages, merged, save_adapter
from tunewright.tools.models.load import load_model
from tunewright.tools.models.prompt import template
from tunewright.tools.models.resolve import Found
from tunewright.tools.models.reward_head import (
    FILE,
    batch_rewards,
    carry_head,
    head_of,
    load_head,
    load_reward_model,
    new_head,
    rewards_of,
    save_head,
)
from tunewright.tools.training.batch import padded

IDS = [[5, 6, 7, 8, 9], [5, 6], [11, 4, 3]]
ROWS = [{"input": "rain"}, {"input": "a longer question"}, {"input": ""}]
ANSWERS = ["yes", "no", "perhaps"]


@pytest.fixture
def model(tiny: Found) -> Any:
    return load_model(tiny.path, device="cpu")[0]


def lora(model: Any, seed: int = 3) -> Any:
    """With an adapter that changes what the model says."""
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3)
    return adapted.eval()


def stage(model: Any, folder: Path, *, head_seed: int | None = None, below: tuple[int, ...] = ()) -> Any:
    """Saves what a finished stage leaves, and gives the model back with its head on it."""
    folder.mkdir(parents=True)
    save_adapter(model, folder, base="tiny")
    if head_seed is not None:
        head = new_head(model, head_seed)
        save_head(head, folder, below)
        carry_head(model, head)
    return model


def test_it_reads_the_last_state_of_each_row_wherever_the_padding_is(model: Any) -> None:
    head = new_head(model, 0)
    expected = []
    for ids in IDS:
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
        expected.append(float((states[0, -1] @ head.weight[0]).detach()))
    right = padded([(ids, ids) for ids in IDS], "cpu")
    width = right["input_ids"].shape[1]
    left = {
        "input_ids": torch.tensor([[*[0] * (width - len(ids)), *ids] for ids in IDS]),
        "attention_mask": torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in IDS]),
    }
    assert batch_rewards(model, head, right).tolist() == pytest.approx(expected, abs=1e-5)
    assert batch_rewards(model, head, left).tolist() == pytest.approx(expected, abs=1e-4)
    with inference(model, "fp32"):
        few = rewards_of(model, head, IDS, batch_tokens=6)
    assert few == pytest.approx(expected, abs=1e-5)


def test_trained_positions_before_the_input_are_passed_over(model: Any) -> None:
    prompted = get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    head = new_head(prompted, 0)
    batch = padded([(ids, ids) for ids in IDS], "cpu")
    alone = [batch_rewards(prompted, head, padded([(ids, ids)], "cpu")).item() for ids in IDS]
    assert batch_rewards(prompted, head, batch).tolist() == pytest.approx(alone, abs=1e-5)


def test_an_untrained_head_is_drawn_by_its_seed_with_the_papers_spread(model: Any) -> None:
    width = model.config.hidden_size
    heads = torch.stack([new_head(model, seed).weight[0] for seed in range(50)])
    assert heads.std().item() == pytest.approx((1 / (width + 1)) ** 0.5, rel=0.05)
    assert torch.equal(new_head(model, 4).weight[0], heads[4]) and not torch.equal(heads[3], heads[4])
    state = torch.get_rng_state()
    new_head(model, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_gradient_reaches_adapter_and_head(model: Any) -> None:
    adapted = lora(model)
    head = new_head(adapted, 0)
    batch_rewards(adapted, head, padded([(ids, ids) for ids in IDS], "cpu")).sum().backward()
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    assert head.weight.grad is not None and all(weight.grad is not None for weight in trained)


def test_it_is_carried_outside_of_the_model(model: Any, tmp_path: Path) -> None:
    before = set(dict(model.named_parameters()))
    adapted = stage(lora(model), tmp_path / "0", head_seed=1)
    assert head_of(adapted) is not None
    assert len([name for name, _ in adapted.named_parameters() if "lora" not in name]) == len(before)
    bare = detached(adapted)
    assert head_of(bare) is None and set(dict(bare.named_parameters())) == before


def test_what_a_stage_left_judges_as_it_did(tiny: Found, task: TaskSpec, tmp_path: Path) -> None:
    base, tokenizer = load_model(tiny.path, device="cpu")
    trained = stage(lora(base), tmp_path / "0", head_seed=1)
    form = template(task, tokenizer)
    ids = [form.encode({**row, "target": said}).input_ids for row, said in zip(ROWS, ANSWERS, strict=True)]
    with inference(trained, "fp32"):
        expected = rewards_of(trained, head_of(trained), ids)  # type: ignore[arg-type]
    found = load_reward_model(load_model(tiny.path, device="cpu")[0], tokenizer, tmp_path / "0", task)
    assert found.scores(ROWS, ANSWERS) == expected
    assert len(set(expected)) == 3
    assert found.scores(ROWS[:1] * 2, ["yes", "yes!"])[0] == pytest.approx(expected[0], abs=1e-5)


def test_stages_that_were_merged_below_it_are_put_back(tiny: Found, task: TaskSpec, tmp_path: Path) -> None:
    base, tokenizer = load_model(tiny.path, device="cpu")
    below = merged(stage(lora(base, 1), tmp_path / "0"))
    trained = stage(lora(below, 2), tmp_path / "1", head_seed=1, below=(0,))
    ids = [[5, 6, 7], [8, 9]]
    with inference(trained, "fp32"):
        expected = rewards_of(trained, head_of(trained), ids)  # type: ignore[arg-type]

    def again(folder: Path) -> list[float]:
        found = load_reward_model(load_model(tiny.path, device="cpu")[0], tokenizer, folder, task)
        with inference(found.model, "fp32"):
            return rewards_of(found.model, found.head, ids)

    assert again(tmp_path / "1") == pytest.approx(expected, abs=1e-5)
    mark_stages(tmp_path, [0, 1])
    assert again(tmp_path) == pytest.approx(expected, abs=1e-5), "as a finished trial's adapter"


def test_a_folder_without_a_head_or_with_another_models_is_refused(tiny: Found, task: TaskSpec, tmp_path: Path) -> None:
    base, tokenizer = load_model(tiny.path, device="cpu")
    stage(lora(base), tmp_path / "0")
    fresh = load_model(tiny.path, device="cpu")[0]
    with pytest.raises(ModelError, match="'0' holds no reward model") as caught:
        load_reward_model(fresh, tokenizer, tmp_path / "0", task)
    assert "objective 'reward'" in caught.value.hint
    save_head(torch.nn.Linear(7, 1, bias=False), tmp_path / "0")
    with pytest.raises(ModelError, match="no head for states of width"):
        load_head(fresh, tmp_path / "0")
    assert load_head(fresh, tmp_path) is None
    assert (tmp_path / "0" / FILE).is_file()
