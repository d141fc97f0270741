"""SDS-LoRA's own invariants: what its gradients hold, that its phases come when they should, what is saved."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from tests.conformance.adapter import Run, gpt2, llama, logits, trainable

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.facts import Linear
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training.adapters.sdslora import METHOD, Phases, SdsLoraSettings
from tunewright.tools.training.checkpoint import Counters
from tunewright.tools.training.method import Start

LR, STEPS = 2e-3, 24
CHOSEN = Adapter(kind="sdslora", rank=4, warmup_steps=4, refresh_phases=3)


def run(base: Any = None, chosen: Adapter = CHOSEN) -> Run:
    return Run(METHOD, chosen, llama() if base is None else base, lr=LR, steps=STEPS)


@pytest.fixture
def active() -> Any:
    """One layer after warm-up, activation and some steps, before any refresh."""
    layer = run().steps(0, 8).model.base_model.layers[0]
    assert layer.activated["default"]
    return layer


def gradients(layer: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """dL/dA, dL/dB and G = dL/dW (outputs, inputs) of one random linear loss."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(20, layer.in_features, generator=random)
    wanted = torch.randn(20, layer.out_features, generator=random)
    layer.zero_grad()
    (layer(x) * wanted).sum().backward()
    return layer.sdslora_A["default"].grad, layer.sdslora_B["default"].grad, wanted.T @ x


def test_gradients_pass_through_the_bases_alone(active: Any) -> None:
    to_a, to_b, full = gradients(active)
    scale = active.scale["default"]
    assert torch.allclose(to_a, scale * active.sdslora_Q_B["default"].T @ full, rtol=1e-4, atol=1e-4)
    assert torch.allclose(to_b, scale * full @ active.sdslora_Q_A["default"].T, rtol=1e-4, atol=1e-4)


def test_no_singular_value_of_b_stretches_the_gradient_of_a() -> None:
    layer = run().steps(0, 2).model.base_model.layers[0]
    stretch = torch.tensor([10.0, 1.0, 1.0, 0.1])
    changes = []
    for activated in (False, True):
        if activated:
            assert layer.activate("default")
        before = gradients(layer)[0].clone()
        with torch.no_grad():
            layer.sdslora_B["default"].mul_(stretch)
        after = gradients(layer)[0]
        changes.append(float((after - before).norm() / before.norm()))
    assert changes[0] > 0.5, "plain LoRA's gradient should have changed"
    assert changes[1] < 1e-6


def test_the_gradients_map_has_condition_number_one(active: Any) -> None:
    for basis in (active.sdslora_Q_A["default"], active.sdslora_Q_B["default"]):
        values = torch.linalg.svdvals(basis)
        assert float(values.max() / values.min()) == pytest.approx(1, abs=1e-5)


def test_bases_are_orthonormal_from_the_activation_through_every_refresh() -> None:
    training = run()
    for number in range(STEPS):
        training.step(number)
        for layer in training.model.base_model.layers:
            if layer.activated["default"]:
                rows, columns = layer.sdslora_Q_A["default"], layer.sdslora_Q_B["default"]
                assert torch.allclose(rows @ rows.T, torch.eye(4), atol=1e-5)
                assert torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-5)
    assert len(training.loop.record) == 4  # type: ignore[attr-defined]  # Phases has it


def test_the_activation_changes_no_output() -> None:
    model = run().steps(0, 3).model
    before = logits(model)
    deltas = [layer.get_delta_weight("default") for layer in model.base_model.layers]
    assert all(layer.activate("default") for layer in model.base_model.layers)
    assert torch.allclose(logits(model), before, atol=1e-5)
    for layer, delta in zip(model.base_model.layers, deltas, strict=True):
        assert torch.allclose(layer.get_delta_weight("default"), delta, atol=1e-6)


def test_a_layer_that_is_not_of_full_rank_waits() -> None:
    layer = run().model.base_model.layers[0]
    assert not layer.activate("default"), "B is zero"
    with torch.no_grad():
        layer.sdslora_B["default"].normal_()
        layer.sdslora_B["default"][:, 3] = layer.sdslora_B["default"][:, 2]
    assert not layer.activate("default"), "two columns of B are one"
    with torch.no_grad():
        layer.sdslora_B["default"][:, 3].normal_()
    assert layer.activate("default")


def test_a_postponed_layer_is_activated_when_it_can_be() -> None:
    training = run(chosen=Adapter(kind="sdslora", rank=4, warmup_steps=0, refresh_phases=0))
    late = training.model.base_model.layers[2]
    late.sdslora_B["default"].requires_grad_(False)
    training.steps(0, 3)
    assert not late.activated["default"]
    late.sdslora_B["default"].requires_grad_(True)
    with torch.no_grad():
        late.sdslora_B["default"].normal_(std=0.01)
    training.steps(3, 4)
    assert [(change["step"], change["layers"]) for change in training.loop.record] == [(1, 13), (4, 1)]  # type: ignore[attr-defined]  # Phases has it


def test_moments_of_other_factors_are_dropped() -> None:
    training = run()
    first = training.model.base_model.layers[0].sdslora_A["default"]
    training.steps(0, 3)
    assert first in training.optimiser.state
    training.step(3)
    assert first not in training.optimiser.state
    training.step(4)
    assert int(training.optimiser.state[first]["step"]) == 1


def test_refreshes_lie_evenly_between_the_warm_up_and_the_end() -> None:
    def points(steps: int, **settings: int) -> list[int]:
        return Phases([], SdsLoraSettings(**settings), steps).refreshes

    assert points(100) == [25, 40, 55, 70, 85]
    assert points(12, warmup_steps=10) == [11]
    assert points(8, warmup_steps=10) == points(100, refresh_phases=0) == []


def test_a_refresh_keeps_the_signs_and_tells_how_much_it_changed(active: Any) -> None:
    old = active.sdslora_Q_A["default"].clone(), active.sdslora_Q_B["default"].clone()
    before = active.get_delta_weight("default").detach()
    change, size = active.refresh("default")
    after = active.get_delta_weight("default").detach()
    assert change == pytest.approx(float((after - before).square().sum()), rel=1e-3)
    assert size == pytest.approx(float(before.square().sum()), rel=1e-3)
    assert change > 0
    assert bool(((old[0] * active.sdslora_Q_A["default"]).sum(1) > 0).all())
    assert bool(((old[1] * active.sdslora_Q_B["default"]).sum(0) > 0).all())


def test_the_record_says_what_every_phase_did() -> None:
    record = run().steps(0, STEPS).loop.record  # type: ignore[attr-defined]  # Phases has it
    assert [change["step"] for change in record] == [4, 9, 14, 19]
    assert "change" not in record[0] and all(0 < change["change"] < 1 for change in record[1:])


@pytest.mark.parametrize("stop", [3, 4, 6, 9, 15])
def test_a_run_resumed_in_any_phase_is_the_run_that_never_stopped(stop: int, tmp_path: Path) -> None:
    whole, broken = run().steps(0, STEPS), run().steps(0, stop)
    checkpoints.save(tmp_path, 0, stop, Counters(step=stop), broken.parts)
    resumed, found = run(), checkpoints.latest(tmp_path)
    assert found is not None
    found.restore(*resumed.parts)
    found.restore_random()
    resumed.steps(stop, STEPS)
    assert broken.losses + resumed.losses == whole.losses
    assert resumed.loop.record == whole.loop.record  # type: ignore[attr-defined]  # Phases has it
    assert all(torch.equal(weight, trainable(resumed.model)[name]) for name, weight in trainable(whole.model).items())
    for layer, same in zip(whole.model.base_model.layers, resumed.model.base_model.layers, strict=True):
        assert torch.equal(layer.sdslora_Q_A["default"], same.sdslora_Q_A["default"])


@pytest.mark.parametrize(("steps", "rank"), [(4, 8), (3, 4)])
def test_what_is_exported_has_twice_the_rank_once_activated(steps: int, rank: int) -> None:
    model = run().steps(0, steps).model.eval()
    before = logits(model)
    finished = METHOD.finish(model, CHOSEN)
    config = finished.peft_config["default"]
    assert (config.r, config.rank_pattern, config.peft_type) == (rank, {}, "LORA")
    assert torch.allclose(logits(finished), before, atol=1e-5)


@pytest.mark.parametrize("base", [llama, gpt2])
@pytest.mark.parametrize("steps", [3, STEPS])
def test_the_tuner_itself_saves_loads_merges_and_switches(base: Any, steps: int, tmp_path: Path) -> None:
    plain = logits(base())
    model = run(base()).steps(0, steps).model.eval()
    before = logits(model)
    assert not torch.allclose(before, plain, atol=1e-4)
    save_adapter(model, tmp_path / "adapter", base="tiny")
    loaded = attach(base(), tmp_path / "adapter")
    assert torch.equal(logits(loaded), before)
    assert torch.equal(logits(PeftModel.from_pretrained(base(), tmp_path / "adapter", low_cpu_mem_usage=True)), before)
    model.merge_adapter()
    assert torch.allclose(logits(model), before, atol=1e-4)
    model.unmerge_adapter()
    with model.disable_adapter():
        assert torch.allclose(logits(model), plain, atol=1e-4)
    loaded.add_adapter("other", copy.deepcopy(loaded.peft_config["default"]))
    loaded.set_adapter("other")
    assert torch.allclose(logits(loaded), plain, atol=1e-5)
    loaded.set_adapter("default")
    assert torch.equal(logits(loaded), before)


def test_a_rank_above_a_module_is_refused_before_and_at_building() -> None:
    chosen = Adapter(kind="sdslora", rank=17)  # keys and values are 16 wide
    with pytest.raises(UsageError, match="at most 16"):
        METHOD.size([Linear(name="k_proj", inputs=32, outputs=16)], SdsLoraSettings(rank=17))
    with pytest.raises(UsageError, match="at most 16"):
        METHOD.build(llama(), chosen, Start())
