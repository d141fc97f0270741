"""What the stage adds to TRL changes no number: the loss, the batches, the adapters at their start."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.adapter import rows as probe_rows

from tunewright.domain.recipe import Adapter, Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.models.facts import facts
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.batch import StageData, stage_data
from tunewright.tools.training.learning import Begin
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter, adapters, objective


@pytest.fixture(scope="module")
def task() -> TaskSpec:
    return TaskSpec(
        model="tiny",
        sources=(DataSource(path="a.jsonl", name="a"), DataSource(path="b.jsonl", name="b")),
        format="completion",
        input_field="input",
        target_field="target",
        metric=Metric(name="exact_match"),
        max_length=64,
        max_new_tokens=8,
    )


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "source": "ab"[n % 2], "input": "x" * (n % 7), "target": "y" * (1 + n % 5), "meta": {}}
        for n in range(count)
    ]


def stage(**optimisation: Any) -> Stage:
    return Stage.model_validate({"optimisation": {"lr": 1e-3, "batch_size": 4, **optimisation}})


def data(task: TaskSpec, tiny: Found, wanted: Stage, count: int = 10, seed: int = 0) -> StageData:
    _, tokenizer = load_model(tiny.path, device="cpu")
    return stage_data(rows(count), task, wanted, 0, seed, tokenizer)


def test_an_epoch_shows_every_row_once_and_the_next_in_another_order(task: TaskSpec, tiny: Found) -> None:
    laid = data(task, tiny, stage(epochs=2.0))
    assert laid.steps == 5 and len(laid.order) == 20
    first, second = laid.order[:10], laid.order[10:]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert laid.order == data(task, tiny, stage(epochs=2.0)).order
    assert laid.order != data(task, tiny, stage(epochs=2.0), seed=1).order


def test_every_step_has_a_full_batch_even_with_fewer_rows(task: TaskSpec, tiny: Found) -> None:
    laid = data(task, tiny, stage(steps=3), count=2)
    assert len(laid.order) == 12 and set(Counter(laid.order).values()) == {6}
    assert len(laid.dataset(1)) == 8


def test_the_rest_of_a_stage_is_what_it_would_have_been(task: TaskSpec, tiny: Found) -> None:
    laid = data(task, tiny, stage(epochs=2.0))
    assert laid.dataset(0)[8:] == laid.dataset(2)[:]


def test_no_rows_are_the_datas_fault(task: TaskSpec, tiny: Found) -> None:
    with pytest.raises(FaultError, match="no training rows"):
        data(task, tiny, stage(steps=1), count=0)


def make(task: TaskSpec, tiny: Found, tmp_path: Path, kind: str = "lora") -> Any:
    from tunewright.tools.training.trainer import make_optimiser, make_trainer

    model, tokenizer = load_model(tiny.path, device="cpu")
    wanted = stage(steps=2)
    laid = stage_data(rows(10), task, wanted, 0, 0, tokenizer)
    model = adapter(kind).build(model, Adapter(kind=kind), Start())
    optimisers = make_optimiser(model, wanted.optimisation, laid.steps)
    learning = objective("sft").learning(model, wanted.objective, Begin(data=laid, steps=laid.steps))
    return make_trainer(
        model,
        tokenizer,
        learning,
        wanted,
        optimisers,
        seed=0,
        device="cpu",
        precision="fp32",
        scratch=tmp_path,
    )


def test_the_loss_at_labelled_positions_is_trls(task: TaskSpec, tiny: Found, tmp_path: Path) -> None:
    import torch
    from trl import SFTTrainer

    trainer = make(task, tiny, tmp_path, "full")
    batch = next(iter(trainer.get_train_dataloader()))

    def gradient() -> Any:
        found = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])
        trainer.model.zero_grad()
        return found

    ours = float(trainer.training_step(trainer.model, dict(batch)))
    our_gradient = gradient()
    items = (batch["labels"] != -100).sum()
    loss = SFTTrainer.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=items)
    loss.backward()
    theirs, their_gradient = float(loss.detach()), gradient()
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert torch.allclose(our_gradient, their_gradient, rtol=1e-4, atol=1e-7)
    assert not trainer.model.get_output_embeddings()._forward_hooks, "the head is as it was"


@pytest.mark.parametrize(("kind", "where"), [(k, w) for k in adapters() for w in adapter(k).placements])
def test_an_adapter_starts_as_the_base_model_and_counts_as_declared(kind: str, where: str, tiny: Found) -> None:
    import torch

    method = adapter(kind)
    model, tokenizer = load_model(tiny.path, device="cpu")
    ids = torch.tensor([tokenizer("what is it?").input_ids])
    with torch.no_grad():
        before = model(ids).logits
    chosen = Adapter(kind=kind, placement=where)
    built = method.build(model, chosen, Start(seed=3, rows=probe_rows)).eval()
    with torch.no_grad():
        if method.identity:
            assert torch.allclose(built(ids).logits, before, atol=1e-5)
    trained = sum(weight.numel() for weight in built.parameters() if weight.requires_grad)
    assert trained == method.trainable_parameters(facts(tiny.path), chosen)


def test_weight_decay_spares_vectors(tiny: Found) -> None:
    from tunewright.tools.training.trainer import make_optimiser

    model, _ = load_model(tiny.path, device="cpu")
    optimiser, _ = make_optimiser(model, stage(steps=1, weight_decay=0.1).optimisation, 1)
    for group in optimiser.param_groups:
        assert all((weight.dim() > 1) == (group["weight_decay"] > 0) for weight in group["params"])


def test_the_learning_rate_follows_warmup_and_schedule(tiny: Found) -> None:
    from tunewright.tools.training.trainer import make_optimiser

    model, _ = load_model(tiny.path, device="cpu")

    def rates(schedule: str) -> list[float]:
        wanted = stage(steps=10, schedule=schedule, warmup_ratio=0.2).optimisation
        optimiser, scheduler = make_optimiser(model, wanted, 10)
        found = []
        for _ in range(10):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return found

    for schedule in ("constant", "linear", "cosine"):
        seen = rates(schedule)
        assert seen[0] == 0 and seen[2] == pytest.approx(1e-3)
        assert (seen[-1] == pytest.approx(1e-3)) == (schedule == "constant")
