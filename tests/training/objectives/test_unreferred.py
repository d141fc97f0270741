"""ORPO and SimPO, which have no reference: by hand, their invariants, and TRL's trainers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import FAMILIES, close, gradients, mean

PLACES = [0, 1, 13, 7]


def halves(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch in the form of TRL's two experimental trainers."""
    made = {}
    for name in ("input_ids", "attention_mask", "labels"):
        for side, half in zip(("chosen", "rejected"), batch[name].chunk(2), strict=True):
            made[f"{side}_{name}"] = half
    return made


def trl_trainer(kind: str, model: Any, tokenizer: Any, folder: Path, **own: Any) -> Any:
    from datasets import Dataset

    if kind == "orpo":
        from trl.experimental.orpo import ORPOConfig as Config
        from trl.experimental.orpo import ORPOTrainer as Trainer
    else:
        from trl.experimental.cpo import CPOConfig as Config
        from trl.experimental.cpo import CPOTrainer as Trainer
    arguments = Config(
        output_dir=str(folder), use_cpu=True, report_to="none", bf16=False, gradient_checkpointing=False,
        remove_unused_columns=False, **own,
    )  # fmt: skip
    rows = {"prompt": ["a", "b"], "chosen": [" c", " d"], "rejected": [" e", " f"]}
    return Trainer(
        model=model, args=arguments, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer
    )  # fmt: skip


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "orpo": ("orpo", {"beta": 0.7, "loss_on": "all"}, {"beta": 0.7}),
    "simpo": ("simpo", {}, {"beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.0}),
    "cpo-simpo": (
        "simpo",
        {"beta": 3.0, "gamma": 0.6, "sft_weight": 0.5, "label_smoothing": 0.1},
        {"beta": 3.0, "simpo_gamma": 0.6, "cpo_alpha": 0.5, "label_smoothing": 0.1},
    ),
    "alphapo": ("simpo", {"alpha": 0.25}, {"beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.0, "alpha": 0.25}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trls(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any, family: str, case: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    kind, own, theirs_own = CASES[case]
    learning = make_learning(model := make_model(family), kind, form="preference", settings=own)
    if kind == "simpo":
        theirs_own = {"loss_type": "simpo", **theirs_own}
    trainer = trl_trainer(kind, copy.deepcopy(model), tokenizer, tmp_path, **theirs_own)
    theirs, said = trainer.get_batch_loss_metrics(trainer.model, halves(learning.collate(PLACES)))
    ours = mean(learning, PLACES)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    found, expected = gradients(model, ours), gradients(trainer.model, theirs)
    scale = max(float(one.abs().max()) for one in expected.values())
    assert close({n: g / scale for n, g in found.items()}, {n: g / scale for n, g in expected.items()}, 1e-4)
    accuracy = "rewards/accuracies"
    assert learning.facts()["pair_accuracy"] == pytest.approx(said[accuracy])


def test_simpo_by_hand(make_model: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    """Mean log-probabilities of -1 and -2: a reward of two nats more, of which the margin takes one."""
    learning = make_learning(make_model("llama"), "simpo", form="preference")
    learning.log_probs = lambda batch: torch.tensor([-2.0, -6.0])
    batch = {
        "input_ids": torch.zeros(2, 4),
        "labels": torch.tensor([[-100, -100, 1, 2], [-100, 1, 2, 3]]),
        "per_token": torch.full((2,), 0.5),
    }
    assert learning.loss(batch).item() == pytest.approx(math.log(1 + math.exp(-1.0)), rel=1e-6)
    assert learning.facts()["margin"] == 2.0


def test_alphapos_reward_goes_over_into_simpos(model: Any, make_learning: Callable[..., Any]) -> None:
    straight = mean(make_learning(model, "simpo", form="preference"), PLACES).item()
    bent = mean(make_learning(model, "simpo", form="preference", settings={"alpha": 1e-4}), PLACES).item()
    assert bent == pytest.approx(straight, rel=1e-3) and bent != straight


def test_orpos_parts(model: Any, make_learning: Callable[..., Any]) -> None:
    """The fine-tuning's loss of the chosen answers, and the odds of the two by the definition."""
    learning = make_learning(model, "orpo", form="preference", settings={"beta": 0.0})
    batch = learning.collate(PLACES)
    wanted = batch["labels"][:, 1:] >= 0
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].double()
    each = logits.log_softmax(-1).gather(2, batch["input_ids"][:, 1:, None])[..., 0] * wanted
    likelihood = -each[:4].sum() / wanted[:4].sum()
    assert mean(learning, PLACES).item() == pytest.approx(likelihood.item(), rel=1e-5)
    p = (each.sum(1) / wanted.sum(1)).exp()
    odds = p / (1 - p)
    ratio = (odds[:4] / odds[4:]).log()
    expected = likelihood + 0.3 * torch.log1p(torch.exp(-ratio)).mean()
    other = make_learning(model, "orpo", form="preference", settings={"beta": 0.3})
    assert mean(other, PLACES).item() == pytest.approx(expected.item(), rel=1e-5)
    assert other.facts()["log_odds_ratio"] == pytest.approx(ratio.mean().item(), rel=1e-4)


def test_a_certain_answer_has_finite_odds(make_model: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    model = make_model("llama")
    learning = make_learning(model, "orpo", form="preference")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)  # every token is certain, right or wrong
    loss = mean(learning, PLACES)
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(bool(w.grad.isfinite().all()) for w in model.parameters() if w.grad is not None)


@pytest.mark.parametrize("kind", ["orpo", "simpo"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_parts_make_up_the_whole(model: Any, make_learning: Callable[..., Any], kind: str, size: int) -> None:
    own = {"sft_weight": 0.5} if kind == "simpo" else {"loss_on": "all"}
    learning = make_learning(model, kind, form="preference", settings=own)
    batch = learning.prepare(learning.collate(PLACES), 0)
    whole = learning.loss(batch).item()
    assert sum(learning.loss(part).item() for part in learning.cut(batch, size)) == pytest.approx(whole, rel=1e-5)
