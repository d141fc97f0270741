"""LESS: Adam's direction and the projection by hand, gradients against autograd, and the model left as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.training.chosen import choosing, select
from tests.training.planted import mixed

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.influence import Sketch, adam_direction, influence
from tunewright.tools.training.method import Start
from tunewright.tools.training.proxy import proxy
from tunewright.tools.training.registry import adapter

ROWS = mixed(clean=12, noise=12)
CPU = torch.device("cpu")


def test_adams_direction_by_hand() -> None:
    found = adam_direction(torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([4.0]))
    assert found.item() == pytest.approx((0.9 * 1 + 0.1 * 2) / math.sqrt(0.999 * 4 + 0.001 * 4 + 1e-8))
    still = adam_direction(torch.tensor([0.0]), torch.tensor([0.0]), torch.tensor([0.0]))
    assert still.item() == 0


def test_a_sketch_keeps_inner_products() -> None:
    """On average over sketches; its standard error falls with the square root of their number."""
    chance = torch.Generator().manual_seed(0)
    one, other = (torch.nn.functional.normalize(torch.randn(500, generator=chance), dim=0) for _ in range(2))
    other = torch.nn.functional.normalize(one + 0.5 * other, dim=0)
    found = [float(Sketch(500, 64, seed, CPU)(one) @ Sketch(500, 64, seed, CPU)(other)) for seed in range(200)]
    assert sum(found) / 200 == pytest.approx(float(one @ other), abs=0.02)


def test_a_sketch_is_blind_to_scale_and_saves_nothing_where_there_is_nothing() -> None:
    vector = torch.tensor([3.0, 4.0])
    assert Sketch(2, 8, 0, CPU)(vector).tolist() == pytest.approx([0.6, 0.8])
    long = torch.arange(1.0, 101.0)
    assert torch.allclose(Sketch(100, 10, 0, CPU)(long), Sketch(100, 10, 0, CPU)(7 * long))
    assert Sketch(100, 10, 0, CPU)(long).norm().item() == pytest.approx(1)


def test_influence_by_hand() -> None:
    """Two checkpoints of rates 3 and 1, three rows, two subtasks."""
    first, second = (
        torch.tensor([[1.0, 0.0], [0.2, 0.4], [0.0, 0.0]]),
        torch.tensor([[0.0, 0.0], [0.2, 0.8], [-1.0, -0.5]]),
    )
    assert influence([first, second], [3.0, 1.0]) == pytest.approx([0.75, 0.5, -0.125])


def test_a_copy_of_a_target_ranks_first(tiny: Found) -> None:
    """By the plain gradient's own cosine, which is 1 for no other row."""
    given = choosing(tiny, ROWS, "less")
    encoded = [given.form.encode(row) for row in ROWS]
    with proxy(given.model, rank=4, lr=1e-2, seed=1, filler=given.form.end, precision="fp32") as small:
        small.step(encoded[:8])
        sketch = Sketch(sum(weight.numel() for weight in small.trained), 8192, 0, CPU)
        towards = sketch(small.gradient(encoded[5]))
        alike = [float(sketch(small.gradient(row)) @ towards) for row in encoded]
    assert max(range(len(alike)), key=lambda place: alike[place]) == 5 and alike[5] == pytest.approx(1, abs=1e-5)


def test_a_rows_gradient_is_autograds(tiny: Found) -> None:
    given = choosing(tiny, ROWS, "less")
    encoded = given.form.encode(ROWS[0])
    with proxy(given.model, rank=2, lr=1e-2, seed=1, filler=given.form.end, precision="fp32") as small:
        small.step([encoded])
        found = small.gradient(encoded)
        ids, labels = torch.tensor([encoded.input_ids]), torch.tensor([encoded.labels])
        loss = small.model(input_ids=ids, labels=labels).loss
        expected = torch.cat([one.flatten() for one in torch.autograd.grad(loss, small.trained)])
        first, second = small.moments()
    assert torch.allclose(found, expected, atol=1e-6)
    assert first.shape == second.shape == found.shape and float(second.min()) >= 0


def test_a_proxy_begins_again_and_leaves_nothing(tiny: Found) -> None:
    given = choosing(tiny, ROWS, "less")
    encoded = [given.form.encode(row) for row in ROWS]
    before = {name: weight.clone() for name, weight in given.model.state_dict().items()}
    modules = [(name, id(module)) for name, module in given.model.named_modules()]
    with proxy(given.model, rank=2, lr=1e-2, seed=1, filler=given.form.end, precision="fp32") as small:
        untrained = small.losses(encoded)
        one = [small.step(encoded[:4]) for _ in range(3)]
        assert small.losses(encoded) != untrained
        small.reset()
        assert small.losses(encoded) == untrained
        assert [small.step(encoded[:4]) for _ in range(3)] == one, "Adam begins again too"
    after = given.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert modules == [(name, id(module)) for name, module in given.model.named_modules()]
    assert not hasattr(given.model, "peft_config")


def test_a_proxy_of_an_adapted_model_leaves_it_alone(tiny: Found) -> None:
    model, _ = load_model(tiny.path, device="cpu")
    adapted: Any = adapter("lora").build(model, Adapter(kind="lora"), Start())
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    given = choosing(tiny, ROWS, "less")
    encoded = [given.form.encode(row) for row in ROWS[:6]]
    from tunewright.tools.training.rowloss import row_losses

    before = {name: weight.clone() for name, weight in adapted.state_dict().items()}
    expected = row_losses(adapted, encoded, "fp32")
    with proxy(adapted, rank=2, lr=1e-2, seed=1, filler=given.form.end, precision="fp32") as small:
        assert small.losses(encoded) == pytest.approx(expected, rel=1e-4), "it begins as the adapted model"
        small.step(encoded)
    assert all(torch.equal(before[name], after) for name, after in adapted.state_dict().items())


def test_less_prefers_rows_of_the_targets_kind(tiny: Found) -> None:
    settings = {"target": ["one"], "warmup": 0.3, "epochs": 2, "lr": 1e-2, "hold_out": 0.2}
    kept = select(tiny, ROWS, "less", 1 / 3, **settings)
    assert len(kept) == 12
    sources = [ROWS[place]["source"] for place in kept]
    assert sources.count("noise") <= 1 and sources.count("one") >= 5, "a third would be four of each"
    assert kept == select(tiny, ROWS, "less", 1 / 3, **settings)
