"""GPart's own invariants: the isometry, the partition from the seed alone, gradients, and the one saved vector."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from tests.conformance.adapter import Run, llama, logits, loss_of, rows
from torch import nn

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import save_adapter
from tunewright.tools.models.facts import Linear
from tunewright.tools.models.registration import register
from tunewright.tools.models.tuners.gpart import Config, groups
from tunewright.tools.training.adapters.gpart import METHOD, GPartSettings
from tunewright.tools.training.method import Start

PARTITIONS = pytest.mark.parametrize("partition", ["iid", "balanced"])


class Two(nn.Module):  # type: ignore[misc]  # torch is not followed here
    """Two linear modules of other shapes, made in either order."""

    def __init__(self, names: str = "ab") -> None:
        super().__init__()
        for name in names:
            torch.manual_seed(ord(name))
            self.add_module(name, nn.Linear(8, 12) if name == "a" else nn.Linear(12, 6, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.a(x)))


def wrapped(base: nn.Module | None = None, fill: bool = True, **settings: Any) -> Any:
    register()
    config = Config(**{"d": 16, "seed": 5, "target_modules": ["a", "b"], **settings})
    model = get_peft_model(Two() if base is None else base, config)
    if fill:
        torch.manual_seed(1)
        with torch.no_grad():
            theta(model).normal_()
    return model


def theta(model: Any, name: str = "default") -> torch.Tensor:
    return model.base_model.gpart_theta[name]


def deltas(model: Any, name: str = "default") -> dict[str, torch.Tensor]:
    return {layer.key: layer.get_delta_weight(name).detach() for layer in model.base_model.layers}


def flat(model: Any) -> torch.Tensor:
    return torch.cat([delta.flatten() for _, delta in sorted(deltas(model).items())])


def projection(model: Any) -> torch.Tensor:
    """P (N, d), a column at a time."""
    columns = []
    for at in range(16):
        with torch.no_grad():
            theta(model).zero_()[at] = 1
        columns.append(flat(model))
    return torch.stack(columns, dim=1)


@PARTITIONS
def test_the_map_is_an_isometry(partition: str) -> None:
    matrix = projection(wrapped(partition=partition))
    assert matrix.shape == (8 * 12 + 12 * 6, 16)
    assert bool((matrix.count_nonzero(dim=1) == 1).all())
    assert torch.allclose(matrix.T @ matrix, torch.eye(16), atol=1e-6)
    one, other = torch.randn(2, 16, generator=torch.Generator().manual_seed(2))
    assert torch.dist(matrix @ one, matrix @ other) == pytest.approx(float(torch.dist(one, other)), rel=1e-5)


def test_without_the_isometry_every_weight_is_its_groups_number() -> None:
    model = wrapped(isometric=False)
    assert set(flat(model).tolist()) == set(theta(model).tolist())


def test_the_update_is_as_long_as_the_vector_and_of_full_rank() -> None:
    model = wrapped()
    assert float(flat(model).norm()) == pytest.approx(float(theta(model).detach().norm()), rel=1e-5)
    assert [int(torch.linalg.matrix_rank(delta)) for delta in deltas(model).values()] == [8, 6]


def test_balanced_groups_differ_by_one_weight_at_most() -> None:
    found = torch.cat(groups([1000, 77, 460], Config(d=100, partition="balanced")))
    assert set(torch.bincount(found, minlength=100).tolist()) == {15, 16}
    drawn = torch.cat(groups([1000, 77, 460], Config(d=100, partition="iid")))
    assert int(torch.bincount(drawn, minlength=100).max()) > 16
    assert found.dtype == drawn.dtype == torch.int32


@PARTITIONS
def test_the_order_of_modules_does_not_matter_and_the_seed_does(partition: str) -> None:
    one, other = wrapped(Two("ab"), partition=partition), wrapped(Two("ba"), partition=partition)
    assert all(torch.equal(delta, deltas(other)[key]) for key, delta in deltas(one).items())
    assert not torch.equal(flat(one), flat(wrapped(partition=partition, seed=6)))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_the_naive_formula(dropout: float) -> None:
    model = wrapped(dropout=dropout).train()
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(3), requires_grad=True)
    wanted = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(4))
    torch.manual_seed(7)
    result = model(x)
    (result * wanted).sum().backward()

    torch.manual_seed(7)
    values, again = theta(model).detach().clone().requires_grad_(), x.detach().clone().requires_grad_()
    hidden = again
    for layer in model.base_model.layers:
        index = layer.gpart_index["default"].long()
        delta = values[index] * model.base_model.gpart_scale["default"][index]
        if dropout:
            delta = delta * (torch.rand(delta.shape) >= dropout) / (1 - dropout)
        hidden = nn.functional.linear(hidden, layer.base_layer.weight + delta, layer.base_layer.bias)
        hidden = torch.tanh(hidden) if layer.key == "a" else hidden
    (hidden * wanted).sum().backward()
    assert values.grad is not None and again.grad is not None and x.grad is not None
    assert torch.allclose(result, hidden, atol=1e-5)
    assert torch.allclose(theta(model).grad, values.grad, atol=1e-5)
    assert torch.allclose(x.grad, again.grad, atol=1e-5)


def test_the_gradient_is_the_projections_transpose_of_the_weights_gradient() -> None:
    model = METHOD.build(llama(), Adapter(kind="gpart", d=500), Start(seed=3)).train()
    layers = sorted(model.base_model.layers, key=lambda layer: layer.key)
    for layer in layers:
        layer.base_layer.weight.requires_grad_()
    (batch,) = rows(4)
    loss_of(model, batch).backward()
    shifted = theta(model).grad
    model.base_model.set_adapter("default")
    with model.disable_adapter():  # theta is zero: the same point, with the base model's own gradients
        loss_of(model, batch).backward()
    wanted = torch.zeros(500)
    for layer in layers:
        index = layer.gpart_index["default"].flatten().long()
        wanted.index_add_(0, index, layer.base_layer.weight.grad.flatten())
    assert torch.allclose(shifted, wanted * model.base_model.gpart_scale["default"], rtol=1e-3, atol=1e-5)


def test_dropout_is_on_the_update_and_off_in_evaluation() -> None:
    model = wrapped(dropout=0.5)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(3))
    plain, noisy = model.eval()(x), model.train()(x)
    assert torch.equal(model.eval()(x), plain) and not torch.allclose(noisy, plain, atol=1e-3)
    with torch.no_grad():
        theta(model).zero_()
    assert torch.equal(model.train()(x), model.eval()(x)), "without an update there is nothing to drop"


def test_the_checkpoint_is_the_vector_and_loading_draws_the_partition_again(tmp_path: Path) -> None:
    trained = Run(METHOD, Adapter(kind="gpart", d=300, partition="balanced"), llama(), lr=2e-2).steps(0, 4).model.eval()
    save_adapter(trained, tmp_path / "adapter", base="tiny")
    (saved,) = load_file(tmp_path / "adapter" / "adapter_model.safetensors").values()
    assert torch.equal(saved, theta(trained)) and saved.shape == (300,)
    for lean in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # missing keys, say
            loaded = PeftModel.from_pretrained(llama(), tmp_path / "adapter", low_cpu_mem_usage=lean).eval()
        assert torch.equal(logits(loaded), logits(trained))


def test_two_adapters_keep_their_own_vectors_and_partitions(tmp_path: Path) -> None:
    model = wrapped()
    model.add_adapter("other", Config(d=40, seed=9, target_modules=["b"]))
    assert not theta(model, "other").requires_grad and theta(model).requires_grad
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(3))
    first = model(x)
    model.set_adapter("other")
    assert theta(model, "other").requires_grad and not theta(model).requires_grad
    with torch.no_grad():
        theta(model, "other").normal_()
    second = model(x)
    model.base_model.set_adapter(["default", "other"])
    both = model(x)
    model.merge_adapter()
    assert torch.allclose(model(x), both, atol=1e-5)
    model.unmerge_adapter()
    model.save_pretrained(tmp_path)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.allclose(model(x), first, atol=1e-5) and "other" not in dict(model.base_model.gpart_theta)
    again = PeftModel.from_pretrained(Two(), tmp_path)
    again.load_adapter(str(tmp_path / "other"), "other")
    assert torch.allclose(again(x), first, atol=1e-6)
    again.set_adapter("other")
    assert torch.allclose(again(x), second, atol=1e-6)
    again.base_model.set_adapter(["default", "other"])
    assert torch.allclose(again(x), both, atol=1e-5)


def test_only_the_vector_is_trained_and_the_layers_list_nothing() -> None:
    model = wrapped()
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == [
        "base_model.gpart_theta.default"
    ]
    assert not [name for name in model.state_dict() if "index" in name or "scale" in name]


def test_under_bf16_autocast_it_is_the_merged_model() -> None:
    model = wrapped()
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shifted = model(x)
        merged = model.merge_and_unload()(x)
    assert shifted.dtype == torch.bfloat16 and torch.allclose(shifted, merged, atol=1e-2)


def test_more_groups_than_weights_are_refused_before_and_at_building() -> None:
    with pytest.raises(UsageError, match="at most 512"):
        METHOD.size([Linear(name="k_proj", inputs=32, outputs=16)], GPartSettings(d=513))
    with pytest.raises(UsageError, match="at most 18,432"):
        METHOD.build(llama(), Adapter(kind="gpart", d=18433), Start())
    with pytest.raises(ValueError, match="168, got d = 169"):
        wrapped(d=169, fill=False)
