"""DoRA's norms from the update's factors are PEFT's, in output and gradients, and kept only while it is measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners.lora.dora import DoraLinearLayer
from tests.conformance.adapter import MODELS, Run, logits, loss_of, rows

from tunewright.domain.recipe import Adapter
from tunewright.tools.evaluation.inference import inference
from tunewright.tools.models.dora import FactoredDora
from tunewright.tools.training.registry import adapter

METHOD = adapter("dora")


def begun(family: str, **settings: Any) -> Run:
    """A few steps in, so that the update is no longer zero."""
    chosen = Adapter(kind="dora", placement="all-linear", **settings)
    return Run(METHOD, chosen, MODELS[family](), lr=4 * METHOD.lr[2]).steps(0, 4)


def layers(model: Any) -> list[FactoredDora]:
    return [module for module in model.modules() if isinstance(module, FactoredDora)]


def as_peft_does(model: Any) -> Any:
    for layer in layers(model):
        layer.__class__ = DoraLinearLayer
    return model


def passed(run: Run) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of one batch, the same dropout whenever it is called."""
    torch.manual_seed(8)
    run.model.zero_grad()
    loss = loss_of(run.model, dict(rows(4)[0]))
    loss.backward()
    found = {name: weight.grad for name, weight in run.model.named_parameters() if weight.grad is not None}
    return loss.detach(), {name: gradient.clone() for name, gradient in found.items()}


@pytest.mark.parametrize("family", sorted(MODELS))
@pytest.mark.parametrize("settings", [{"rank": 4}, {"rank": 16, "alpha": 64}, {"rank": 8, "dropout": 0.3}])
def test_output_and_gradients_are_pefts(family: str, settings: dict[str, Any]) -> None:
    run = begun(family, **settings)
    assert layers(run.model)
    loss, gradients = passed(run)
    as_peft_does(run.model)
    theirs, their_gradients = passed(run)
    assert torch.allclose(loss, theirs, rtol=1e-5)
    assert gradients.keys() == their_gradients.keys() and any("magnitude" in name for name in gradients)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, their_gradients[name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("family", sorted(MODELS))
def test_norms_are_those_of_the_adapted_weight_whatever_the_pass_computes_in(family: str) -> None:
    model = begun(family, rank=8, alpha=32).model
    for module in model.modules():
        if not hasattr(module, "lora_magnitude_vector") or "default" not in module.lora_magnitude_vector:
            continue
        weight = module.get_base_layer().weight.detach()
        weight = (weight.T if module.fan_in_fan_out else weight).double()
        a, b = (one["default"].weight.detach().double() for one in (module.lora_A, module.lora_B))
        wanted = (weight + module.scaling["default"] * b @ a).norm(dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module.lora_magnitude_vector["default"].norms(
                base_layer=module.get_base_layer(), lora_A=module.lora_A["default"], lora_B=module.lora_B["default"],
                scaling=module.scaling["default"], adapter_name="default",
            )  # fmt: skip
        assert found.dtype == torch.float32 and not found.requires_grad
        assert torch.allclose(found.double(), wanted, rtol=1e-5)


def test_the_first_pass_is_the_base_models_to_the_bit() -> None:
    chosen = Adapter(kind="dora", placement="all-linear")
    run = Run(METHOD, chosen, MODELS["llama"](), lr=1e-3)
    assert torch.equal(logits(run.model.eval()), logits(MODELS["llama"]()))


def test_norms_are_kept_while_a_model_is_measured_and_made_anew_afterwards() -> None:
    run = begun("llama", rank=4)
    with inference(run.model, "fp32"):
        first = logits(run.model)
        assert all(layer._dora_cache for layer in layers(run.model))
        assert torch.equal(logits(run.model), first)
    assert not any(layer._dora_cache for layer in layers(run.model))
    run.steps(4, 6)
    with inference(run.model, "fp32"):
        changed = logits(run.model)
    assert not torch.allclose(changed, first, atol=1e-4)
    run.model.eval()
    assert torch.equal(logits(run.model), changed), "nothing older was used"


def test_outside_a_measurement_nothing_is_kept() -> None:
    model = begun("llama", rank=4).model.eval()
    logits(model)
    assert not any(layer._dora_cache for layer in layers(model))
