"""DPO's losses and IPO: by hand, at the reference, cut into parts, and against TRL's trainer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import FAMILIES, close, gradients, mean

from tunewright.tools.training.objectives.dpo import SMOOTHED, SORTED
from tunewright.tools.training.pair_losses import LOSSES, Compared

PLACES = [0, 1, 13, 7]
BETA = 0.5
SMOOTHING = 0.1
# up 1.0 and -0.5, down -1.0 and 0.5: margins 2 and -1; two and four tokens each.
NUMBERS = ([-1.0, -2.5], [-4.0, -2.0], [-2.0, -2.0], [-3.0, -2.5])


def compared() -> Compared:
    columns = [torch.tensor(column, dtype=torch.float64) for column in NUMBERS]
    return Compared(*columns, torch.tensor([2, 4]), torch.tensor([4, 2]), torch.tensor([2 / 6, 2 / 6]))


def settings(**own: float) -> SimpleNamespace:
    return SimpleNamespace(**{"beta": BETA, "label_smoothing": 0.0, "tau": 0.05, **own})


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def log_s(x: float) -> float:
    return math.log(s(x))


BY_HAND: dict[str, list[float]] = {
    "sigmoid": [-log_s(1.0), -log_s(-0.5)],
    "hinge": [0.0, 1.5],
    "ipo": [(1 / 2 + 1 / 4 - 1) ** 2, (-0.5 / 4 - 0.5 / 2 - 1) ** 2],
    "exo_pair": [
        s(m) * (log_s(m) - math.log(0.999)) + s(-m) * (log_s(-m) - math.log(0.001)) for m in (1.0, -0.5)
    ],
    "nca_pair": [
        -log_s(0.5) - 0.5 * log_s(-0.5) - 0.5 * log_s(0.5),
        -log_s(-0.25) - 0.5 * log_s(0.25) - 0.5 * log_s(-0.25),
    ],
    "robust": [-log_s(1.0), -log_s(-0.5)],
    "bco_pair": [-log_s(0.5) - log_s(0.5), -log_s(-0.25) - log_s(-0.25)],
    "sppo_hard": [0.0, (-0.5 - 1) ** 2 + (0.5 + 1) ** 2],
    # chosen minus rejected 3 and -0.5, before 1 and 0.5: sorted -0.5 against 0.5, 3 against 1
    "aot": [-log_s(-0.5), -log_s(1.0)],
    # up sorted -0.5, 1; down sorted -1, 0.5
    "aot_unpaired": [-log_s(0.25), -log_s(0.25)],
    "apo_zero": [1 - s(0.5) + s(-0.5), 1 - s(-0.25) + s(0.25)],
    "apo_down": [s(0.5) + 1 - s(1.0), s(-0.25) + 1 - s(-0.5)],
    "discopop": [
        (1 - s(20.0)) * -log_s(1.0) + s(20.0) * math.exp(-1.0),
        (1 - s(-10.0)) * -log_s(-0.5) + s(-10.0) * math.exp(0.5),
    ],
    "sft": [1.0 / 3, 2.5 / 3],
    "sigmoid_norm": [-log_s(0.5 * 0.75), -log_s(0.5 * -0.375)],
}  # fmt: skip


def test_there_are_trls_losses() -> None:
    assert set(BY_HAND) == set(LOSSES) and len(LOSSES) == 15


@pytest.mark.parametrize("loss", LOSSES)
def test_two_pairs_by_hand(loss: str) -> None:
    assert LOSSES[loss](compared(), settings()).tolist() == pytest.approx(BY_HAND[loss], rel=1e-6)


@pytest.mark.parametrize("loss", SMOOTHED)
def test_label_smoothing_by_hand(loss: str) -> None:
    found = LOSSES[loss](compared(), settings(label_smoothing=SMOOTHING)).tolist()
    scaled = {"aot": (-0.5, 1.0), "aot_unpaired": (0.25, 0.25)}.get(loss, (1.0, -0.5))
    expected = [-(0.9 * log_s(m) + 0.1 * log_s(-m)) for m in scaled]
    if loss == "robust":
        expected = [(-0.9 * log_s(m) + 0.1 * log_s(-m)) / 0.8 for m in scaled]
    if loss == "exo_pair":
        expected = [s(m) * (log_s(m) - math.log(0.9)) + s(-m) * (log_s(-m) - math.log(0.1)) for m in scaled]
    assert found == pytest.approx(expected, rel=1e-6)


AT_REFERENCE = {
    "sigmoid": math.log(2), "robust": math.log(2), "aot": math.log(2), "aot_unpaired": math.log(2),
    "sigmoid_norm": math.log(2), "hinge": 1.0, "ipo": 1.0, "nca_pair": 2 * math.log(2), "bco_pair": 2 * math.log(2),
    "sppo_hard": 2.0, "apo_zero": 1.0, "apo_down": 1.0, "discopop": 0.5 * math.log(2) + 0.5,
    "exo_pair": math.log(0.5) - 0.5 * (math.log(0.999) + math.log(0.001)),
}  # fmt: skip


@pytest.mark.parametrize("loss", AT_REFERENCE)
def test_a_policy_that_is_the_reference(model: Any, make_learning: Callable[..., Any], loss: str) -> None:
    learning = make_learning(model, "dpo", form="preference", settings={"loss": loss, "beta": BETA})
    found = mean(learning, PLACES)
    assert found.item() == pytest.approx(AT_REFERENCE[loss], abs=2e-4)
    facts = learning.facts()
    assert facts["margin"] == pytest.approx(0, abs=1e-4) and facts["reward_chosen"] == pytest.approx(0, abs=1e-4)


def test_ipo_begins_at_its_margin_squared(model: Any, make_learning: Callable[..., Any]) -> None:
    for beta in (0.1, 0.5):
        learning = make_learning(model, "ipo", form="preference", settings={"beta": beta})
        assert mean(learning, PLACES).item() == pytest.approx((1 / (2 * beta)) ** 2, rel=1e-4)


def test_ipo_is_dpos_loss_of_that_name(model: Any, make_learning: Callable[..., Any]) -> None:
    one = make_learning(model, "ipo", form="preference", settings={"beta": 0.3})
    other = make_learning(model, "dpo", form="preference", settings={"beta": 0.3, "loss": "ipo"})
    shake(model)
    assert mean(one, PLACES).item() == mean(other, PLACES).item() != pytest.approx((1 / 0.6) ** 2, rel=1e-2)


def shake(model: Any, by: float = 0.03) -> None:
    """Moves the weights a little, so that policy and reference differ."""
    chance = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(by * torch.randn(weight.shape, generator=chance))


def trl_trainer(policy: Any, before: Any, tokenizer: Any, folder: Path, **own: Any) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = {"prompt": ["a", "b"], "chosen": [" c", " d"], "rejected": [" e", " f"]}
    return DPOTrainer(
        model=policy,
        ref_model=before,
        args=DPOConfig(
            output_dir=str(folder), use_cpu=True, report_to="none", bf16=False, gradient_checkpointing=False, **own
        ),
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trls(
    make_model: Callable[..., Any],
    make_learning: Callable[..., Any],
    tokenizer: Any,
    family: str,
    loss: str,
    tmp_path: Path,
) -> None:
    smoothing = {"label_smoothing": SMOOTHING} if loss in SMOOTHED[1:] else {}
    beta = {} if loss == "sft" else {"beta": BETA}
    policy = make_model(family)
    before = copy.deepcopy(policy)
    learning = make_learning(policy, "dpo", form="preference", settings={"loss": loss, **beta, **smoothing})
    shake(policy)
    batch = learning.collate(PLACES)
    trainer = trl_trainer(
        copy.deepcopy(policy), before, tokenizer, tmp_path, loss_type=[loss], **{"beta": BETA, **smoothing}
    )
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    theirs = trainer.compute_loss(trainer.model, {**given, "completion_mask": (batch["labels"] >= 0).long()})
    ours = mean(learning, PLACES)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4, abs=1e-5)
    # By the size of the gradients: sppo_hard's are a hundred times sigmoid's.
    found, expected = gradients(policy, ours), gradients(trainer.model, theirs)
    scale = max(float(one.abs().max()) for one in expected.values())
    assert scale > 1e-4
    assert close({n: g / scale for n, g in found.items()}, {n: g / scale for n, g in expected.items()}, 2e-4)
    reported = {name: values[-1] for name, values in trainer._metrics["eval"].items() if name.startswith("rewards/")}
    said = learning.facts()
    for name, theirs_name in (("reward_chosen", "chosen"), ("margin", "margins"), ("pair_accuracy", "accuracies")):
        scaled = said[name] * (BETA / learning.settings.beta if name != "pair_accuracy" else 1)
        assert scaled == pytest.approx(reported[f"rewards/{theirs_name}"], rel=1e-3, abs=1e-4)


def test_a_weight_for_the_chosen_answers_adds_their_likelihood(model: Any, make_learning: Callable[..., Any]) -> None:
    parts = []
    for own in ({}, {"loss": "sft"}, {"sft_weight": 0.5}):
        learning = make_learning(model, "dpo", form="preference", settings=own)
        parts.append(mean(learning, PLACES).item())
    assert parts[2] == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-5)


@pytest.mark.parametrize("loss", SORTED)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_loss_that_sorts_the_batch_is_the_same_in_parts(
    model: Any, make_learning: Callable[..., Any], loss: str, size: int
) -> None:
    learning = make_learning(model, "dpo", form="preference", settings={"loss": loss, "beta": BETA})
    shake(model, 0.2)
    batch = learning.prepare(learning.collate([0, 1, 13, 7, 2]), 0)
    whole = learning.loss(batch)
    expected = gradients(model, whole)
    parts = list(learning.cut(batch, size))
    assert len(parts) > 1
    losses = [learning.loss(part) for part in parts]
    total = torch.stack(losses).sum()
    assert total.item() == pytest.approx(whole.item(), rel=1e-5)
    naive = sum(learning.loss(part) for part in super(type(learning), learning).cut(batch, size))
    assert naive.item() != pytest.approx(whole.item(), rel=1e-4), "the batch must be one in which sorting matters"
    assert close(gradients(model, total), expected)


def test_training_on_pairs_tells_them_apart(make_model: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    model = make_model("llama")
    learning = make_learning(model, "dpo", form="preference")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    first = mean(learning, PLACES).item()
    for step in range(10):
        optimiser.zero_grad()
        mean(learning, PLACES, step).backward()
        optimiser.step()
    assert mean(learning, PLACES).item() < 0.5 * first
    assert learning.facts()["pair_accuracy"] == 1.0
