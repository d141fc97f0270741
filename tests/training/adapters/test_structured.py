"""Adapters whose matrices are drawn, shared or structured: their sizes, their refusals, what they save and reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conformance.adapter import MODELS, SETTINGS, Run, gpt2, llama, logits, rows

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.models.precision import narrow_frozen
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter as find_adapter

KINDS = ("c3a", "fourierft", "loha", "lokr", "randlora", "tinylora", "unilora", "vblora", "vera", "waveft")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chosen(kind: str, **settings: Any) -> Adapter:
    return Adapter(kind=kind, **{**SETTINGS.get(kind, {}), **settings})


def train(kind: str, *, seed: int = 3, steps: int = 4, **settings: Any) -> Any:
    method = find_adapter(kind)
    run = Run(method, chosen(kind, **settings), llama(), lr=10 * method.lr[2], steps=steps, seed=seed)
    return run.steps(0, steps).model.eval()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("c3a", {"division": 1}),
        ("c3a", {"block_size": 4}),
        ("fourierft", {"coefficients": 512}),
        ("loha", {"rank": 3}),
        ("lokr", {"rank": 1, "factor": -1}),
        ("lokr", {"rank": 2, "factor": 5}),
        ("lokr", {"rank": 1, "factor": 16, "decompose_both": True}),
        ("lokr", {"rank": 64, "factor": 4}),
        ("randlora", {"rank": 5}),
        ("randlora", {"rank": 16, "sparse": True}),
        ("tinylora", {"tying": 0.3}),
        ("tinylora", {"tying": 1.0, "length": 1, "rank": 1}),
        ("unilora", {"length": 401, "rank": 2}),
        ("unilora", {"sharing": 7}),
        ("vblora", {"vector_length": 8, "vectors": 5, "topk": 3}),
        ("vera", {"rank": 70}),
        ("waveft", {"coefficients": 77, "wavelet": "db4"}),
    ],
)
@pytest.mark.parametrize("placement", ["all-linear", "qv", "layers:1-1"])
@pytest.mark.parametrize("family", sorted(MODELS))
def test_the_size_is_exact(
    kind: str, settings: dict[str, Any], placement: str, family: str, family_facts: dict[str, ModelFacts]
) -> None:
    method, wish = find_adapter(kind), Adapter(kind=kind, placement=placement, **settings)
    if family == "gpt2" and not getattr(method, "fits_conv1d", True):
        pytest.skip("says that it does not take transposed layers")
    declared = method.trainable_parameters(family_facts[family], wish)
    model = method.build(MODELS[family](), wish, Start())
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == declared


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_cannot_pass_the_declared_size(kind: str, family_facts: dict[str, ModelFacts]) -> None:
    method, wish = find_adapter(kind), chosen(kind, placement="page-2")
    model = method.build(llama(), wish, Start(rows=rows))
    count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert count <= method.trainable_parameters(family_facts["llama"], wish)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("c3a", {"block_size": 12}, "does not divide"),
        ("c3a", {"division": 3}, "16"),
        ("fourierft", {"coefficients": 513}, "512 entries"),
        ("randlora", {"rank": 17}, "full rank 16"),
        ("tinylora", {"rank": 17}, "16 singular values"),
        ("unilora", {"rank": 1, "length": 1025}, "1024"),
        ("vblora", {"vector_length": 32}, "does not divide"),
        ("vblora", {"vectors": 2, "topk": 3}, "bank of 2"),
        ("waveft", {"coefficients": 513}, "512 entries"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_and_at_the_build(
    kind: str, settings: dict[str, Any], said: str, family_facts: dict[str, ModelFacts]
) -> None:
    method, wish = find_adapter(kind), Adapter(kind=kind, **settings)
    with pytest.raises(UsageError, match=said):
        method.trainable_parameters(family_facts["llama"], wish)
    with pytest.raises(UsageError, match=said) as refused:
        method.build(llama(), wish, Start())
    assert refused.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_of_two_seeds_are_loaded_side_by_side_and_switched(kind: str, tmp_path: Path) -> None:
    alone = {}
    for name, seed in (("first", 3), ("second", 4)):
        model = train(kind, seed=seed)
        alone[name] = logits(model)
        save_adapter(model, tmp_path / name, base="tiny")
    both = attach(llama(), tmp_path / "first")
    both.load_adapter(str(tmp_path / "second"), "second")
    for _ in range(2):
        both.set_adapter("second")
        assert torch.equal(logits(both.eval()), alone["second"])
        both.set_adapter("default")
        assert torch.equal(logits(both.eval()), alone["first"])


@pytest.mark.parametrize("kind", KINDS)
def test_merged_and_unmerged_it_is_as_before(kind: str) -> None:
    model = train(kind)
    before = logits(model)
    model.merge_adapter()
    assert torch.allclose(logits(model), before, atol=2e-4)
    model.unmerge_adapter()
    assert torch.allclose(logits(model), before, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights_in_bf16_change_no_bit_under_autocast(kind: str) -> None:
    model = train(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wide = logits(model)
        narrow_frozen(model)
        assert torch.equal(logits(model), wide)


def saved(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    save_adapter(model, folder, base="tiny")
    found: dict[str, torch.Tensor] = load_file(folder / "adapter_model.safetensors")
    return found


def test_unilora_saves_its_vector_and_nothing_else(tmp_path: Path) -> None:
    tensors = saved(train("unilora", length=300), tmp_path / "adapter")
    assert [tuple(tensor.shape) for tensor in tensors.values()] == [(300,)]


def test_randlora_saves_no_bases(tmp_path: Path) -> None:
    model = train("randlora")
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert sum(tensor.numel() for tensor in saved(model, tmp_path / "adapter").values()) == trained


def test_vera_saves_its_pair_once(tmp_path: Path) -> None:
    model = train("vera", rank=20)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    held = sum(tensor.numel() for tensor in saved(model, tmp_path / "adapter").values())
    assert held == trained + 20 * (64 + 64)


def test_tinylora_resumes_with_the_singular_vectors_it_began_with() -> None:
    method, wish = find_adapter("tinylora"), chosen("tinylora")
    run = Run(method, wish, llama(), lr=1e-2).steps(0, 3)
    before, state = logits(run.model.eval()), run.loop.state()
    with torch.no_grad():
        for name, buffer in run.model.named_buffers():
            if ".tinylora_A." in name:
                buffer.neg_()
    assert not torch.allclose(logits(run.model), before, atol=1e-4)
    run.loop.restore(state)
    assert torch.equal(logits(run.model), before)


def test_vblora_trains_its_logits_ten_times_as_fast() -> None:
    method, wish = find_adapter("vblora"), chosen("vblora")
    run = Run(method, wish, gpt2(), lr=1e-3)
    rates = {id(weight): group["lr"] for group in run.optimiser.param_groups for weight in group["params"]}
    named = {name: rates[id(weight)] for name, weight in run.model.named_parameters() if weight.requires_grad}
    assert {round(rate / 1e-3, 6) for name, rate in named.items() if "vector_bank" in name} == {1.0}
    assert {round(rate / 1e-3, 6) for name, rate in named.items() if "logits" in name} == {10.0}
