"""Weights of few bits: which of a model's are found; and, where bitsandbytes is, that training goes through them."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from tunewright.domain.recipe import Adapter
from tunewright.tools.contract import FaultError
from tunewright.tools.models.bits import frozen_linears, quantise
from tunewright.tools.models.facts import facts
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter

THERE = importlib.util.find_spec("bitsandbytes") is not None
KINDS = ("lora", "ia3", "moa", "vera", "bottleneck")


def adapted(tiny: Found, kind: str) -> Any:
    model, _ = load_model(tiny.path, device="cpu")
    return adapter(kind).build(model, Adapter(kind=kind), Start(seed=1))


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_the_models_own_are_found_and_none_of_the_adapters(tiny: Found, kind: str) -> None:
    model = adapted(tiny, kind)
    found = [module for _, _, module in frozen_linears(model)]
    wanted = sorted((one.outputs, one.inputs) for one in facts(tiny.path).linears)
    assert sorted(tuple(module.weight.shape) for module in found) == wanted
    assert model.get_output_embeddings() not in found
    assert not any(weight.requires_grad for module in found for weight in module.parameters())


def test_in_full_training_none_is_frozen(tiny: Found) -> None:
    assert not list(frozen_linears(adapted(tiny, "full")))


@pytest.mark.skipif(THERE, reason="bitsandbytes is installed")
def test_without_bitsandbytes_it_is_a_fault(tiny: Found) -> None:
    with pytest.raises(FaultError, match="4 bits needs bitsandbytes") as caught:
        quantise(adapted(tiny, "lora"), 4, "fp32")
    assert caught.value.fault.kind == "config"


@pytest.mark.skipif(not THERE, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_computed_stays_near_and_the_adapter_gets_gradients(tiny: Found, kind: str, bits: int) -> None:
    model = adapted(tiny, kind)
    ids = torch.arange(1, 21)[None]
    whole = model(ids).logits.detach()
    held = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    quantise(model, bits, "fp32")
    quantise(model, bits, "fp32")  # a stage that goes on finds them packed
    near = model(ids).logits
    off = float((near.detach() - whole).square().mean() / whole.square().mean())
    assert off < {8: 1e-3, 4: 0.1}[bits], off
    assert sum(weight.numel() * weight.element_size() for weight in model.parameters()) < held
    near.square().mean().backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert trained and all(weight.grad is not None for weight in trained)
