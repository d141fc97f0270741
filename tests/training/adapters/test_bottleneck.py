"""Bottleneck adapters: where they sit, how many parameters they have, what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import IDS, MODELS, Run, llama, logits, rows

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter, Optimisation
from tunewright.tools.models.facts import facts
from tunewright.tools.training.adapters.bottleneck import METHOD
from tunewright.tools.training.method import Start
from tunewright.tools.training.trainer import make_optimiser

START = Start(seed=3, rows=rows)
PLACES = {"all-linear": 4, "attention": 2, "mlp": 2, "layers:1-1": 2, "page-3": 3}


def chosen(placement: str = "all-linear", **settings: Any) -> Adapter:
    return Adapter(kind="bottleneck", placement=placement, **settings)


def count(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize("family", sorted(MODELS))
@pytest.mark.parametrize("placement", sorted(PLACES))
def test_sits_where_the_placement_says(family: str, placement: str) -> None:
    model = METHOD.build(MODELS[family](), chosen(placement), START)
    names = [layer.key for layer in model.base_model.layers]
    assert len(names) == PLACES[placement]
    if not placement.startswith("page"):
        assert all(name.endswith(("o_proj", "down_proj", "c_proj")) for name in names)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("width", [4, 8])
def test_n_adapters_are_n_times_the_parameters(number: int, width: int, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    one = 2 * 32 * width + width + 32
    given = chosen(count=number, width=width)
    assert METHOD.trainable_parameters(facts(tmp_path), given) == number * one * 4
    model = METHOD.build(llama(), given, START)
    assert count(model) == number * one * 4
    assert torch.equal(logits(model.eval()), logits(llama()))


def test_a_probe_never_trains_more_than_declared(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    model = METHOD.build(llama(), chosen("page-2"), START)
    assert 0 < count(model) <= METHOD.trainable_parameters(facts(tmp_path), chosen("page-2"))


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
def test_adapters_follow_one_another(activation: str) -> None:
    model = METHOD.build(llama(), chosen(count=3, width=4, activation=activation), START)
    layer = model.base_model.layers[0]
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in layer.parameters():
            if weight.requires_grad:
                weight.normal_()
    x = torch.randn(2, 5, 32)
    expected = layer.base_layer(x)
    act = getattr(torch.nn.functional, activation)
    down, up = layer.bottleneck_down["default"], layer.bottleneck_up["default"]
    down_bias, up_bias = layer.bottleneck_down_bias["default"], layer.bottleneck_up_bias["default"]
    for i in range(3):
        latent = act(expected @ down[i].T + down_bias[4 * i : 4 * i + 4])
        expected = expected + latent @ up[i].T + up_bias[32 * i : 32 * i + 32]
    assert torch.allclose(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_every_parameter_learns_within_two_steps() -> None:
    run = Run(METHOD, chosen(), llama(), lr=1e-2)
    before = {n: w.detach().clone() for n, w in run.model.named_parameters() if w.requires_grad}
    run.steps(0, 2)
    assert all(not torch.equal(w, before[n]) for n, w in run.model.named_parameters() if w.requires_grad)


def test_biases_are_spared_weight_decay() -> None:
    model = METHOD.build(llama(), chosen(), START)
    optimiser, _ = make_optimiser(model, Optimisation(lr=1e-3, steps=1, weight_decay=0.1), 1)
    spared = [w for group in optimiser.param_groups if group["weight_decay"] == 0 for w in group["params"]]
    assert len(spared) == 8


def test_it_cannot_be_merged() -> None:
    model = METHOD.build(llama(), chosen(), START)
    with pytest.raises(ValueError, match="bottleneck depends on its input"):
        model.merge_and_unload()
    assert not METHOD.mergeable
    assert logits(model, IDS).isfinite().all()


def test_a_placement_without_an_end_of_a_block_is_refused(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="no output projection"):
        METHOD.trainable_parameters(facts(tmp_path), chosen("qv"))
    with pytest.raises(UsageError, match="no output projection"):
        METHOD.build(llama(), chosen("qv"), START)
