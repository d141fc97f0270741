"""Compression: what stays is the strongest of the whole, whoever holds it, and never more than was asked."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, logits

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.compress import compress, compressed, lora_form, spectra, threshold, truncate
from tunewright.tools.models.factors import Factor, factors_of, read_factors, with_lora, write_factors
from tunewright.tools.training.registry import adapter as find_adapter

SHAPES = {"a.q_proj": (24, 16, 4), "a.k_proj": (8, 16, 8), "b.up": (40, 12, 6), "b.down": (12, 40, 3)}


@pytest.fixture
def factors() -> dict[str, Factor]:
    """Four modules of other shapes, ranks and strengths."""
    torch.manual_seed(2)
    found = {}
    for strength, (name, (outputs, inputs, rank)) in enumerate(SHAPES.items(), start=1):
        found[name] = Factor(torch.randn(rank, inputs), torch.randn(outputs, rank) * strength**2)
    return found


def energy_lost(before: dict[str, Factor], after: dict[str, Factor]) -> float:
    """Share of the squared change that is gone."""
    lost = total = 0.0
    for name, factor in before.items():
        whole = factor.delta().double()
        left = whole - (after[name].delta().double() if name in after else 0)
        lost, total = lost + float(left.square().sum()), total + float(whole.square().sum())
    return lost / total


def ranks(factors: dict[str, Factor]) -> dict[str, int]:
    return {name: factor.rank for name, factor in factors.items()}


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.95, 0.99])
def test_no_more_energy_goes_than_was_allowed(factors: dict[str, Factor], energy: float) -> None:
    kept = compress(factors, energy=energy)
    assert energy_lost(factors, kept) <= 1 - energy + 1e-9
    assert sum(ranks(kept).values()) < sum(ranks(factors).values())


def test_all_the_energy_is_the_same_update(factors: dict[str, Factor]) -> None:
    kept = compress(factors, energy=1.0)
    assert ranks(kept) == ranks(factors)
    assert energy_lost(factors, kept) < 1e-12


def test_a_rank_that_is_not_used_goes_even_at_full_energy(factors: dict[str, Factor]) -> None:
    one = factors["b.up"]
    doubled = factors | {"b.up": Factor(torch.cat([one.down, one.down]), torch.cat([one.up, one.up], dim=1) / 2)}
    assert ranks(compress(doubled, energy=1.0)) == ranks(factors)


def test_one_threshold_for_all_modules(factors: dict[str, Factor]) -> None:
    parts = spectra(factors)
    least = threshold(parts, energy=0.9)
    kept = truncate(parts, least)
    for name, part in parts.items():
        assert (kept[name].rank if name in kept else 0) == int((part.values >= least).sum())
    exact = torch.linalg.svdvals(factors["b.up"].delta().double())
    assert torch.allclose(parts["b.up"].values, exact[:6], rtol=1e-6)


def test_ranks_rise_with_the_energy(factors: dict[str, Factor]) -> None:
    before = dict.fromkeys(factors, 0)
    for energy in (0.3, 0.6, 0.8, 0.9, 0.99, 1.0):
        now = dict.fromkeys(factors, 0) | ranks(compress(factors, energy=energy))
        assert all(now[name] >= before[name] for name in factors)
        before = now


def test_the_order_of_modules_means_nothing(factors: dict[str, Factor]) -> None:
    names = list(factors)
    for seed in range(4):
        random.Random(seed).shuffle(names)
        shuffled = compress({name: factors[name] for name in names}, energy=0.9)
        straight = compress(factors, energy=0.9)
        assert shuffled.keys() == straight.keys()
        assert all(torch.equal(shuffled[name].up, straight[name].up) for name in straight)


def test_twice_at_one_threshold_is_once(factors: dict[str, Factor]) -> None:
    parts = spectra(factors)
    for least in (threshold(parts, energy=0.9), threshold(parts, values=7), threshold(parts, parameters=300)):
        once = truncate(parts, least)
        twice = truncate(spectra(once), least)
        assert ranks(once) == ranks(twice)
        assert energy_lost(once, twice) < 1e-12
    for budget in ({"values": 7}, {"parameters": 300}):
        assert ranks(compress(compress(factors, **budget), **budget)) == ranks(compress(factors, **budget))


@pytest.mark.parametrize("count", [1, 5, 12, 21])
def test_a_budget_is_kept_and_used(factors: dict[str, Factor], count: int) -> None:
    by_values = compress(factors, values=count)
    assert sum(ranks(by_values).values()) == count
    size = sum(factor.parameters for factor in by_values.values())
    by_parameters = compress(factors, parameters=size)
    assert ranks(by_parameters) == ranks(by_values)
    assert sum(factor.parameters for factor in by_parameters.values()) <= size


def test_equals_stay_or_go_together() -> None:
    eye = torch.eye(4)
    twins = {"a": Factor(eye[:2], eye[:, :2]), "b": Factor(eye[:1], 2 * eye[:, :1])}
    assert ranks(compress(twins, values=2)) == {"b": 1}
    assert ranks(compress(twins, values=3)) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "give one of"), ({"energy": 0.5, "values": 3}, "give one of"), ({"energy": 1.5}, "1.5 is no share"),
     ({"values": 0}, "leaves nothing"), ({"parameters": 3}, "leaves nothing")],
)  # fmt: skip
def test_what_cannot_be_is_said(factors: dict[str, Factor], given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compress(factors, **given)


def test_an_update_of_nothing_is_said() -> None:
    with pytest.raises(UsageError, match="changes nothing"):
        compress({"a": Factor(torch.randn(2, 4), torch.zeros(4, 2))}, energy=0.9)


def test_a_model_that_learned_nothing_stays_the_base_model() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(MODELS["llama"](), LoraConfig(r=4, target_modules=["q_proj"]))
    assert torch.equal(logits(compressed(model, 0.9).eval()), logits(MODELS["llama"]()))


def trained(kind: str, family: str, **settings: Any) -> Any:
    """A model adapted by a few steps."""
    method, chosen = find_adapter(kind), Adapter(kind=kind, **settings)
    run = Run(method, chosen, MODELS[family](), lr=10 * method.lr[2]).steps(0, 8)
    return method.finish(run.model, chosen).eval()


@pytest.mark.parametrize("family", sorted(MODELS))
def test_a_compressed_model_is_stock_lora_that_loads_anywhere(family: str, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftConfig, PeftModel

    model = trained("lora", family, rank=8)
    exact = logits(model)
    small = compressed(model, 0.9).eval()
    found = logits(small)
    assert (found - exact).norm() / exact.norm() < 0.2 and not torch.equal(found, exact)
    save_adapter(small, tmp_path / "adapter", base="tiny")
    config = PeftConfig.from_pretrained(str(tmp_path / "adapter"))
    assert type(config) is LoraConfig and config.rank_pattern
    assert torch.equal(logits(PeftModel.from_pretrained(MODELS[family](), str(tmp_path / "adapter")).eval()), found)
    assert sum(f.parameters for f in factors_of(small).values()) < sum(
        f.parameters for f in factors_of(trained("lora", family, rank=8)).values()
    )


@pytest.mark.parametrize("family", sorted(MODELS))
def test_at_full_energy_the_function_stays(family: str) -> None:
    model = trained("rslora", family, rank=4)
    before = logits(model)
    assert torch.allclose(logits(compressed(model, 1.0).eval()), before, atol=2e-5)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_what_is_written_is_what_is_read(family: str, tmp_path: Path) -> None:
    model = trained("lora", family, rank=4, alpha=12)
    factors = compress(factors_of(model), energy=0.97)
    write_factors(factors, tmp_path / "adapter", base="tiny", fan_in_fan_out=family == "gpt2")
    read, config = read_factors(tmp_path / "adapter")
    assert config.base_model_name_or_path == "tiny" and read.keys() == factors.keys()
    assert all(torch.equal(read[name].delta(), factors[name].delta()) for name in factors)
    loaded = attach(MODELS[family](), tmp_path / "adapter")
    assert torch.equal(logits(loaded), logits(with_lora(MODELS[family](), factors).eval()))


def test_the_files_of_a_scaled_adapter_give_its_factors(tmp_path: Path) -> None:
    for kind in ("lora", "rslora"):
        model = trained(kind, "llama", rank=4, alpha=24)
        save_adapter(model, tmp_path / kind, base="tiny")
        read, _ = read_factors(tmp_path / kind)
        held = factors_of(model)
        assert read.keys() == held.keys()
        assert all(torch.equal(read[name].delta(), held[name].delta()) for name in held)


def test_another_sum_of_matrices_is_converted() -> None:
    from peft import VeraConfig, get_peft_model

    model = get_peft_model(MODELS["llama"](), VeraConfig(r=4, target_modules=["q_proj", "o_proj"]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "vera_lambda" in name:
                weight.normal_()
    before, form = logits(model.eval()), lora_form(model)
    assert torch.allclose(logits(with_lora(MODELS["llama"](), form).eval()), before, atol=1e-4)
    assert energy_lost(form, factors_of(compressed(model, 0.9))) <= 0.1


@pytest.mark.parametrize("kind", ["dora", "ia3", "cera"])
def test_what_is_no_sum_of_matrices_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match=r"no plain LoRA|cannot be put in LoRA's form"):
        compressed(trained(kind, "llama"), 0.9)
