"""Methods that rotate: what a rotation leaves as it is, and what BOFT's butterflies mix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.conformance.adapter import Run, llama

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import merged
from tunewright.tools.models.butterfly import BlockDiagonal
from tunewright.tools.training.registry import adapter

LAYER = "model.layers.0.self_attn.q_proj"


def trained(kind: str, **settings: Any) -> Run:
    method = adapter(kind)
    return Run(method, Adapter(kind=kind, **settings), llama(), lr=4 * method.lr[2]).steps(0, 10)


def gram(weight: torch.Tensor) -> torch.Tensor:
    """Inner products of all pairs of neurons."""
    return weight @ weight.T


@pytest.mark.parametrize(("kind", "settings"), [("oft", {"exact": True}), ("hra", {"reflections": 4})])
def test_angles_and_lengths_of_neurons_stay(kind: str, settings: dict[str, Any]) -> None:
    before = llama().get_submodule(LAYER).weight.detach()
    after = merged(trained(kind, **settings).model).get_submodule(LAYER).weight.detach()
    assert not torch.allclose(after, before, atol=1e-3)
    assert torch.allclose(gram(after), gram(before), atol=1e-4)


def test_the_series_is_nearly_a_rotation_at_the_default_rate() -> None:
    method = adapter("oft")
    run = Run(method, Adapter(kind="oft"), llama(), lr=method.lr[2]).steps(0, 50)
    before = llama().get_submodule(LAYER).weight.detach()
    after = merged(run.model).get_submodule(LAYER).weight.detach()
    assert torch.allclose(gram(after), gram(before), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("factors", "mixed"), [(1, 4), (2, 8), (3, 16)])
def test_butterflies_mix_ever_more_inputs(factors: int, mixed: int) -> None:
    model = trained("boft", block_size=4, factors=factors).model
    layer = model.base_model.model.get_submodule(LAYER)
    rotation, scale = layer.get_delta_weight("default")
    rotation = rotation.detach()
    assert torch.allclose(rotation @ rotation.T, torch.eye(32), atol=1e-5)
    assert ((rotation.abs() > 1e-9).sum(0) == mixed).all()
    weight = merged(model).get_submodule(LAYER).weight.detach()
    assert torch.allclose(gram(weight / scale.detach()), gram(llama().get_submodule(LAYER).weight.detach()), atol=1e-4)


def test_block_diagonals_are_torchs_own_and_so_is_their_gradient() -> None:
    torch.manual_seed(0)
    blocks = torch.randn(2, 3, 4, 4, requires_grad=True)
    wanted = torch.stack([torch.block_diag(*one) for one in blocks])
    (given,) = BlockDiagonal().forward(blocks.detach())
    assert torch.equal(given, wanted)
    downstream = torch.randn(2, 12, 12)
    (gradient,) = torch.autograd.grad(wanted, blocks, downstream)
    assert torch.equal(BlockDiagonal().backward(downstream, blocks)[0], gradient)


def test_road_turns_pairs_and_scales_them_alike() -> None:
    model = trained("road", group_size=16).model
    layer = model.base_model.model.get_submodule(LAYER)
    before = llama().get_submodule(LAYER).weight.detach()
    after = merged(model).get_submodule(LAYER).weight.detach()
    # Pairs are i and i + 8 within groups of 16: both lengths together grow by alpha.
    pairs = [weight.view(2, 2, 8, 32).square().sum((1, 3)).sqrt() for weight in (before, after)]
    assert torch.allclose(pairs[1], pairs[0] * layer.road_alpha["default"].detach().view(2, 8), atol=1e-5)
