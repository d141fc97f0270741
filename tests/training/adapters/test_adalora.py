"""AdaLoRA's budget: when ranks are dropped, which, and what is left."""

from __future__ import annotations

import itertools

import pytest
import torch
from tests.conformance.adapter import Run, llama, logits

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.offset import lora_layers
from tunewright.tools.training.adapters.adalora import AdaloraSettings, Allocation, budget, schedule
from tunewright.tools.training.registry import adapter as find_adapter

STEPS = 20


def trained(**settings: float) -> Run:
    chosen = Adapter(kind="adalora", rank=4, **settings)
    return Run(find_adapter("adalora"), chosen, llama(), lr=1e-2, steps=STEPS)


def ranks(run: Run) -> list[int]:
    return [int((layer.lora_E["default"] != 0).sum()) for layer in lora_layers(run.model).values()]


def test_the_budget_falls_as_a_cube_between_warm_up_and_the_fixed_part() -> None:
    settings = AdaloraSettings(rank=8, warmup=0.1, fixed=0.4)
    assert schedule(100, settings) == (10, 60)
    found = [budget(taken, 100, settings) for taken in range(101)]
    assert found[:11] == [12.0] * 11 and found[60:] == [8.0] * 41
    assert found[35] == pytest.approx(8 + 4 / 8)
    assert all(later <= before for before, later in itertools.pairwise(found))


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.1, 0.4), (0.6, 0.9), (0.99, 0.99)])
def test_the_shortest_stage_ends_within_its_budget(steps: int, shares: tuple[float, float]) -> None:
    warmup, fixed = shares
    chosen = Adapter(kind="adalora", rank=4, warmup=warmup, fixed=fixed)
    run = Run(find_adapter("adalora"), chosen, llama(), lr=1e-2, steps=steps).steps(0, steps)
    assert sum(ranks(run)) <= 4 * len(ranks(run))


def test_what_is_left_is_the_budget_unevenly_and_stays_the_same_to_the_end() -> None:
    run = trained().steps(0, 2)
    assert ranks(run) == [6] * len(ranks(run))
    run.steps(2, 12)
    middle = ranks(run)
    assert sum(middle) == 4 * len(middle) and len(set(middle)) > 1
    run.steps(12, STEPS)
    assert ranks(run) == middle


def test_the_least_important_ranks_go() -> None:
    run = trained()
    assert isinstance(run.loop, Allocation)
    run.steps(0, 5)
    scores = torch.cat([run.loop._importance(name) for name in lora_layers(run.model)])
    run.loop._choose(30)
    kept = torch.cat([part.flatten() for part in run.loop.state()["kept"].values()])
    assert int(kept.sum()) == 30 and scores[kept].min() >= scores[~kept].max()


def test_the_penalty_is_zero_for_orthonormal_matrices_and_draws_others_there() -> None:
    run = trained(penalty=0.5)
    before = run.loop.penalty()
    with torch.no_grad():
        for layer in lora_layers(run.model).values():
            layer.lora_A["default"].copy_(torch.linalg.qr(layer.lora_A["default"].T).Q.T)
            layer.lora_B["default"].copy_(torch.linalg.qr(layer.lora_B["default"]).Q)
    assert run.loop.penalty() < 1e-5 < before
    assert trained(penalty=0.0).loop.penalty() is None


def test_pefts_own_penalty_stays_out_of_the_loss() -> None:
    run = trained()
    ids = torch.tensor([[5, 9, 2, 40]])
    assert torch.equal(run.model(input_ids=ids, labels=ids).loss, llama()(input_ids=ids, labels=ids).loss)


def test_the_result_is_a_lora_of_the_ranks_that_are_left() -> None:
    run = trained().steps(0, STEPS)
    left, before = ranks(run), logits(run.model.eval())
    done = find_adapter("adalora").finish(run.model, Adapter(kind="adalora", rank=4))
    assert [layer.r["default"] for layer in lora_layers(done).values()] == [rank for rank in left if rank]
    assert torch.allclose(logits(done.eval()), before, atol=1e-4)


def test_an_adapter_that_learned_nothing_can_still_be_saved() -> None:
    done = find_adapter("adalora").finish(trained().model, Adapter(kind="adalora", rank=4))
    assert [layer.r["default"] for layer in lora_layers(done).values()] == [1]
    assert torch.allclose(logits(done.eval()), logits(llama()), atol=1e-6)
