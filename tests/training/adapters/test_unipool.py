"""UniPool: one pool for many layers, the NormRouter, the balance loss one step behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conformance.adapter import Run, llama, logits, loss_of, rows

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import save_adapter
from tunewright.tools.models.facts import facts
from tunewright.tools.models.tuners.unipool import grouped, masked, monte_carlo_scale
from tunewright.tools.training.adapters.unipool import METHOD
from tunewright.tools.training.method import Start

START = Start(seed=3, rows=rows)
# Shapes of the tiny Llama: q, o 32x32; k, v 32x16; gate, up 32x64; down 64x32. Two layers.
POOLS = {"global": 4, "groups of 2": 4, "groups of 4": 4, "per layer": 8}


def chosen(placement: str = "all-linear", **settings: Any) -> Adapter:
    return Adapter(kind="unipool", placement=placement, **settings)


def built(**settings: Any) -> Any:
    return METHOD.build(llama(), chosen(**settings), START)


def trained(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def woken(**settings: Any) -> Any:
    """With experts that do something."""
    model = built(**settings)
    torch.manual_seed(4)
    with torch.no_grad():
        for layer in model.base_model.layers:
            for weight in layer.unipool_B.values():
                weight.normal_(std=0.1)
    return model


@pytest.mark.parametrize("share", POOLS)
def test_layers_of_one_shape_have_one_pool(share: str) -> None:
    layers = built(share=share).base_model.layers
    pools = {id(layer.pool("default")[0]): layer.pool("default")[0].shape for layer in layers}
    assert len(layers) == 14 and len(pools) == POOLS[share]
    first, other = (layer for layer in layers if layer.key.endswith("q_proj"))
    assert (first.pool("default")[0] is other.pool("default")[0]) == (share != "per layer")
    assert first.pool("default")[1] is layers[3].pool("default")[1], "o_proj has q_proj's shape"


def test_an_expert_is_saved_once(tmp_path: Path) -> None:
    model = built()
    save_adapter(model, tmp_path, base="tiny")
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum("unipool_A" in name for name in saved) == 4
    assert sum("unipool_router" in name for name in saved) == 14
    assert sum(weight.numel() for weight in saved.values()) == trained(model)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["start_scale"] == monte_carlo_scale(8, 2)


@pytest.mark.parametrize("share", POOLS)
@pytest.mark.parametrize(("experts", "rank", "k"), [(4, 2, 1), (8, 4, 2)])
def test_experts_do_not_grow_with_depth(experts: int, rank: int, k: int, share: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    given = chosen(experts=experts, rank=rank, k=k, share=share)
    pools = experts * rank * (64 + 48 + 96 + 96) * (2 if share == "per layer" else 1)
    routers = 2 * (6 * (experts * 32 + 1) + experts * 64 + 1)
    assert METHOD.trainable_parameters(facts(tmp_path), given) == pools + routers
    assert trained(METHOD.build(llama(), given, START)) == pools + routers


def test_a_probe_never_trains_more_than_declared(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    for place in ("page-1", "page-4"):
        model = METHOD.build(llama(), chosen(place), START)
        assert 0 < trained(model) <= METHOD.trainable_parameters(facts(tmp_path), chosen(place))


@pytest.mark.parametrize("k", [1, 2])
def test_weights_are_the_routers_formula(k: int) -> None:
    layer = built(k=k).base_model.layers[0].eval()
    x = torch.randn(3, 5, 32)
    scores = x @ layer.unipool_router["default"].T
    scores = torch.relu(scores / scores.norm(dim=-1, keepdim=True)) * monte_carlo_scale(8, k)
    weights = layer.weights(x, "default")
    assert ((weights > 0).sum(-1) <= k).all()
    assert torch.allclose(weights.max(-1).values, scores.max(-1).values, atol=1e-5)
    assert torch.allclose(weights[weights > 0], scores[weights > 0], atol=1e-5), "no softmax, nothing renormalised"
    with torch.no_grad():
        layer.unipool_router["default"].mul_(7)
    assert torch.allclose(layer.weights(x, "default"), weights, atol=1e-5), "the router's size says nothing"
    assert torch.allclose(layer.weights(3 * x, "default"), weights, atol=1e-5)


def test_chosen_weights_have_a_norm_of_about_one_at_the_start() -> None:
    layer = built(experts=32).base_model.layers[0].eval()
    norms = layer.weights(torch.randn(4000, 32), "default").norm(dim=-1)
    assert float(norms.detach().mean()) == pytest.approx(1, abs=0.1)
    assert built(start_scale="one").base_model.layers[0].settings["default"].start_scale == 1


@pytest.mark.parametrize(("experts", "k", "expected"), [(16, 1, 2.40), (96, 1, 4.01), (32, 2, 2.18), (64, 2, 2.65)])
def test_the_drawn_scale(experts: int, k: int, expected: float) -> None:
    assert monte_carlo_scale(experts, k) == pytest.approx(expected, abs=0.01)


def test_the_drawn_scale_of_a_small_pool_is_finite() -> None:
    assert 1 < monte_carlo_scale(4, 1) < 10
    assert monte_carlo_scale(1, 1) == pytest.approx(1)


@pytest.mark.parametrize("apply", [masked, grouped])
@pytest.mark.parametrize("k", [1, 3])
def test_both_ways_compute_the_sum_over_chosen_experts(apply: Any, k: int) -> None:
    torch.manual_seed(0)
    x, down, up = torch.randn(9, 8), torch.randn(5, 4, 8), torch.randn(5, 4, 12)
    scores = torch.rand(9, 5)
    scores[0] = 0  # a token that no expert wants
    scores[:, 2] = 0  # an expert that nobody wants
    best, at = scores.topk(k)
    weights = torch.zeros(9, 5).scatter(-1, at, best)
    given = [tensor.clone().requires_grad_() for tensor in (x, weights, down, up)]
    ours = apply(*given, k)
    wanted = [tensor.clone().requires_grad_() for tensor in (x, weights, down, up)]
    each = torch.einsum("ti,mri,mro->tmo", wanted[0], wanted[2], wanted[3])
    theirs = (wanted[1].unsqueeze(-1) * each).sum(1)
    assert torch.allclose(ours, theirs, atol=1e-4)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for number, (one, other) in enumerate(zip(given, wanted, strict=True)):
        assert one.grad is not None and other.grad is not None
        # A weight of zero has a gradient where it is masked and none where it is left out; both reach no router.
        seen = weights > 0 if number == 1 else torch.ones_like(one, dtype=torch.bool)
        assert torch.allclose(one.grad[seen], other.grad[seen], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rank", [7, 8])  # rows of 7 numbers cannot be sorted
def test_a_large_pool_learns(rank: int) -> None:
    run = Run(METHOD, chosen(experts=16, rank=rank), llama(), lr=5e-3).steps(0, 12)
    assert min(run.losses[-3:]) < run.losses[0] * 0.995
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run.steps(12, 14)
    assert run.losses[-1] < run.losses[0]


def test_an_experts_gradient_is_the_sum_over_layers() -> None:
    torch.manual_seed(0)
    batch = rows(4)[0]
    together, apart = woken(placement="mlp"), woken(placement="mlp", share="per layer")
    for model in (together, apart):
        model.train()
    names = ("gate_proj", "up_proj", "down_proj")
    find = {name: [la for la in apart.base_model.layers if la.key.endswith(name)] for name in names}
    for layer in together.base_model.layers:
        twins = [twin for twin in apart.base_model.layers if twin.key == layer.key]
        with torch.no_grad():
            twins[0].unipool_router["default"].copy_(layer.unipool_router["default"])
            for mine, other in zip(layer.pool("default"), twins[0].pool("default"), strict=True):
                other.copy_(mine)
    assert torch.allclose(logits(together), logits(apart), atol=1e-5)
    for model in (together, apart):
        loss_of(model, batch).backward()
    whole = next(la for la in together.base_model.layers if la.key.endswith("down_proj")).pool("default")[0].grad
    parts = [layer.pool("default")[0].grad for layer in find["down_proj"]]
    assert whole is not None and len(parts) == 2
    assert torch.allclose(whole, parts[0] + parts[1], rtol=1e-3, atol=1e-6)


def test_the_balance_loss_is_one_step_behind() -> None:
    model = woken(placement="attention", balance=0.5).train()
    loop: Any = METHOD.loop(model, chosen(placement="attention", balance=0.5), START)
    batch = dict(rows(4)[0])
    loop.reads(batch)
    loss_of(model, batch)
    assert loop.penalty() is None, "nothing is known at the first batch"
    first = {name: load.clone() for name, load in loop.loads.items()}
    assert set(first) == {"32x32/all", "32x16/all"}
    assert all(0 < float(load.sum()) <= 1 for load in first.values())
    loop.reads(batch)
    loss_of(model, batch)
    seen = {layer.key: layer.routed["default"][0].flatten(0, 1).mean(0) for layer in model.base_model.layers}
    expected = 0.0
    for name, layers in loop.pools.items():
        # Per-layer losses f . P_l / L add up to the pool's.
        expected += 0.5 * 8 * sum(float(first[name] @ seen[layer.key].detach()) for layer in layers) / len(layers) / 2
    assert float(loop.penalty().detach()) == pytest.approx(expected, rel=1e-5)
    assert not any(layer.routed for layer in model.base_model.layers), "a graph was kept"


def test_even_loads_cost_the_coefficient_whatever_the_scale() -> None:
    model = built(placement="attention", balance=0.1).train()
    loop: Any = METHOD.loop(model, chosen(placement="attention", balance=0.1), START)
    even = torch.full((2, 3, 8), 1 / 8, requires_grad=True)
    picked = torch.zeros(2, 3, 8, dtype=torch.bool)
    for _ in range(2):
        for layer in model.base_model.layers:
            layer.routed["default"] = (even, picked)
        loop.loads = {name: torch.full((8,), 1 / 8) for name in loop.pools}
        assert float(loop.penalty().detach()) == pytest.approx(0.1)


def test_the_balance_loss_leaves_the_scale_alone_and_moves_routers() -> None:
    model = woken(placement="attention").train()
    loop = METHOD.loop(model, chosen(placement="attention"), START)
    batch = dict(rows(4)[0])
    for _ in range(2):
        loop.reads(batch)
        loss_of(model, batch)
        penalty = loop.penalty()
    penalty.backward()
    last = model.base_model.layers[-1]  # an earlier scale changes what later routers see
    assert last.unipool_scale["default"].grad.abs() < 1e-6
    assert any(layer.unipool_router["default"].grad.abs().max() > 1e-6 for layer in model.base_model.layers)


def test_padding_is_no_choice() -> None:
    model = woken(placement="attention").train()
    loop: Any = METHOD.loop(model, chosen(placement="attention"), START)
    batch = dict(rows(4)[0])
    loop.reads(batch)
    loss_of(model, batch)
    loop.penalty()
    whole = {name: load.clone() for name, load in loop.loads.items()}
    ids = torch.cat([batch["input_ids"], torch.zeros(4, 6, dtype=torch.long)], dim=1)
    mask = torch.cat([batch["attention_mask"], torch.zeros(4, 6, dtype=torch.long)], dim=1)
    labels = torch.cat([batch["labels"], torch.full((4, 6), -100)], dim=1)
    padded = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    loop.reads(padded)
    loss_of(model, padded)
    loop.penalty()
    assert all(torch.allclose(loop.loads[name], load, atol=1e-5) for name, load in whole.items())


def test_every_part_learns_within_two_steps() -> None:
    run = Run(METHOD, chosen(), llama(), lr=1e-2)
    before = {name: weight.detach().clone() for name, weight in run.model.named_parameters() if weight.requires_grad}
    run.steps(0, 2)
    for name, weight in run.model.named_parameters():
        if weight.requires_grad:
            assert not torch.equal(weight, before[name]), name


def test_evaluation_keeps_no_routes() -> None:
    model = woken().eval()
    logits(model)
    assert not any(layer.routed for layer in model.base_model.layers)


@pytest.mark.parametrize(("settings", "match"), [({"k": 3, "experts": 2}, "3 of 2"), ({"rank": 17}, "rank 17")])
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], match: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=match):
        METHOD.trainable_parameters(facts(tmp_path), chosen(**settings))
    with pytest.raises(UsageError, match=match):
        built(**settings)


def test_it_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="unipool depends on its input"):
        built().merge_and_unload()
