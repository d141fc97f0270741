"""DFT's loss against a hand-computed value, its equation, and TRL's."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import FAMILIES, close, gradients, mean

PLACES = [0, 3, 4]


def test_two_tokens_by_hand(make_model: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    learning = make_learning(make_model("llama"), "dft")
    likely = torch.tensor([math.log(0.5), math.log(0.1)], requires_grad=True)
    loss = learning.weighted(likely, {}, None).sum()
    assert loss.item() == pytest.approx(0.5 * math.log(2) + 0.1 * math.log(10))
    loss.backward()
    assert likely.grad is not None
    assert likely.grad.tolist() == pytest.approx([-0.5, -0.1]), "the weight itself has no gradient"


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trls(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any, family: str, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    learning = make_learning(model := make_model(family), "dft")
    batch = learning.collate(PLACES)
    columns = {name: batch[name].tolist() for name in ("input_ids", "labels")}
    trainer = SFTTrainer(
        model=make_model(family),
        args=SFTConfig(
            output_dir=str(tmp_path), loss_type="dft", use_cpu=True, report_to="none", max_length=None, bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
    )  # fmt: skip
    theirs = trainer.compute_loss(trainer.model, dict(batch))
    ours = mean(learning, PLACES)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert close(gradients(model, ours), gradients(trainer.model, theirs))


def test_a_confident_model_is_trained_as_by_sft(model: Any, make_learning: Callable[..., Any]) -> None:
    """Where every token is certain the weights are 1; on a random model they are far below, and so is the loss."""
    plain, weighted = (mean(make_learning(model, kind), PLACES).item() for kind in ("sft", "dft"))
    assert 0 < weighted < 0.5 * plain
    certain = torch.tensor([-1e-4, -2e-4])
    assert make_learning(model, "dft").weighted(certain, {}, None).sum().item() == pytest.approx(3e-4, rel=1e-3)
