"""KTO's loss by hand, its estimate of the divergence, rows of three formats, and TRL's trainer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import FAMILIES, close, gradients
from tests.training.objectives.test_dpo import shake

from tunewright.domain.errors import UsageError

BETA = 0.5


def step(learning: Any, number: int = 0) -> Any:
    """The batch of a step as it was laid out, prepared."""
    data = learning.data
    places = data.order[number * data.batch_size :][: data.batch_size]
    return learning.prepare(learning.collate(places), number)


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_two_answers_by_hand(make_model: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    """Log-ratios 2 and 1 over a divergence of 0.5; the good answer counts twice."""
    own = {"beta": BETA, "desirable_weight": 2.0, "undesirable_weight": 0.5}
    learning = make_learning(make_model("llama"), "kto", form="judged", settings=own)
    learning.log_probs = lambda batch: torch.tensor([-1.0, -3.0])
    batch = {
        "good": torch.tensor([True, False]),
        "reference": torch.tensor([-3.0, -4.0]),
        "divergence": torch.full((2,), 0.5),
    }
    expected = 2 * (1 - s(BETA * 1.5)) + 0.5 * (1 - s(BETA * -0.5))
    assert learning.loss(batch).item() == pytest.approx(expected, rel=1e-6)
    assert learning.facts() == pytest.approx({"reward_good": 1.0, "reward_bad": 0.5, "divergence": 0.5})


@pytest.mark.parametrize("form", ["judged", "preference", "label"])
@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
def test_a_policy_that_is_the_reference_is_at_one_half(
    model: Any, make_learning: Callable[..., Any], form: str, loss: str
) -> None:
    learning = make_learning(model, "kto", form=form, settings={"loss": loss})
    batch = step(learning)
    assert (learning.loss(batch) / learning.items(batch)).item() == pytest.approx(0.5, abs=1e-4)
    assert learning.items(batch) == (4 if form == "judged" else 8)


def test_each_prompt_meets_the_answer_before_its_own(
    make_model: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    learning = make_learning(make_model("llama"), "kto", form="preference")
    places = learning.data.order[:4]
    batch = learning.collate(places)
    decode = learning.data.form.tokenizer.decode

    def said(labels: torch.Tensor) -> list[str]:
        return [decode([one for one in line if one >= 0][:-1]).strip() for line in labels.tolist()]

    rows = [ROWS["preference"][place] for place in places]
    answers = [*(row["target"] for row in rows), *(row["rejected"] for row in rows)]
    assert said(batch["labels"]) == answers
    assert said(batch["others_labels"]) == [answers[-1], *answers[:-1]]
    prompts = [row["input"] for row in rows] * 2
    for line, labels, prompt in zip(batch["others_input_ids"], batch["others_labels"], prompts, strict=True):
        assert decode(line[1 : int((labels >= 0).nonzero()[0])]).strip() == prompt
    assert batch["good"].tolist() == [True] * 4 + [False] * 4


def test_the_divergence_is_one_number_without_a_gradient_and_never_below_zero(
    model: Any, make_learning: Callable[..., Any]
) -> None:
    learning = make_learning(model, "kto", form="judged")
    shake(model)
    batch = step(learning)
    assert not batch["divergence"].requires_grad
    assert len(set(batch["divergence"].tolist())) == 1 and batch["divergence"][0] >= 0
    assert not any(name.startswith("others_") for name in batch)
    learning.log_probs = lambda batch: batch["reference"] - 3.0
    assert step(learning)["divergence"].tolist() == [0.0] * 4
    learning.log_probs = lambda batch: batch["reference"] + 3.0
    assert step(learning)["divergence"].tolist() == pytest.approx([3.0] * 4)


@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
@pytest.mark.parametrize("form", ["judged", "preference"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trls(
    make_model: Callable[..., Any],
    make_learning: Callable[..., Any],
    tokenizer: Any,
    family: str,
    form: str,
    loss: str,
    tmp_path: Path,
) -> None:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    policy = make_model(family)
    before = copy.deepcopy(policy)
    own = {"loss": loss, "beta": BETA, "desirable_weight": 1.5, "undesirable_weight": 0.7}
    learning = make_learning(policy, "kto", form=form, settings=own)
    shake(policy, 0.05)
    trainer = KTOTrainer(
        model=copy.deepcopy(policy),
        ref_model=before,
        args=KTOConfig(
            output_dir=str(tmp_path), use_cpu=True, report_to="none", bf16=False, gradient_checkpointing=False,
            per_device_train_batch_size=2, beta=BETA, loss_type=loss, desirable_weight=1.5, undesirable_weight=0.7,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"], "completion": [" c", " d"], "label": [True, False]}),
        processing_class=tokenizer,
    )  # fmt: skip
    batch = learning.collate(learning.data.order[:4])
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    given |= {"completion_mask": (batch["labels"] >= 0).long(), "label": batch["good"]}
    if loss == "kto":
        given |= {f"KL_{name}": batch[f"others_{name}"] for name in ("input_ids", "attention_mask")}
        given["KL_completion_mask"] = (batch["others_labels"] >= 0).long()
    theirs = trainer.compute_loss(trainer.model, given)
    prepared = learning.prepare(batch, 0)
    ours = learning.loss(prepared) / learning.items(prepared)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)
    assert ours.item() != pytest.approx(0.5 * 1.1, abs=1e-3)
    assert close(gradients(policy, ours), gradients(trainer.model, theirs), 2e-5)
    if loss == "kto":
        assert float(prepared["divergence"][0]) == pytest.approx(trainer._metrics["eval"]["kl"][-1], abs=1e-4)


def test_a_batch_of_one_row_has_nobody_elses_answer(model: Any, make_learning: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="batches of two rows at least") as caught:
        make_learning(model, "kto", form="judged", batch=1)
    assert "apo_zero_unpaired" in caught.value.hint
    make_learning(model, "kto", form="judged", batch=1, settings={"loss": "apo_zero_unpaired"})


def test_a_bad_answer_becomes_less_likely_and_a_good_one_more(
    make_model: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    model = make_model("llama")
    learning = make_learning(model, "kto", form="judged", batch=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for number in range(10):
        optimiser.zero_grad()
        batch = step(learning, number % 3)
        (learning.loss(batch) / learning.items(batch)).backward()
        optimiser.step()
    facts = learning.facts()
    assert facts["reward_good"] > 0.05 and facts["reward_bad"] < -0.05
