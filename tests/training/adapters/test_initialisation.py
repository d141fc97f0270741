"""Where LoRA's initialisations start, what they look at, and that looking leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, llama, logits, rows

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.facts import facts
from tunewright.tools.models.lowrank import top_singular
from tunewright.tools.models.offset import base_weight, frozen_halves, lora_layers
from tunewright.tools.training.adapters.eva import redistributed
from tunewright.tools.training.method import Start
from tunewright.tools.training.probe import second_moments, weight_gradients
from tunewright.tools.training.registry import adapter as find_adapter

RESIDUAL = ("pissa", "olora", "corda", "lora_ga")


def built(kind: str, model: Any = None, **settings: Any) -> Any:
    chosen = Adapter(kind=kind, **settings)
    return find_adapter(kind).build(model or llama(), chosen, Start(seed=3, steps=12, rows=rows))


def halves(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """``A`` and ``B`` as they are trained."""
    down = layer.lora_A["default"].parametrizations.weight.original.detach()
    up = layer.lora_B["default"].parametrizations.weight.original.detach()
    return down, up


def linears(model: Any) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if name.endswith("_proj")}


class TestLowRank:
    def test_a_sketch_finds_what_the_whole_decomposition_finds(self) -> None:
        torch.manual_seed(0)
        left, right = torch.linalg.qr(torch.randn(200, 200)).Q, torch.linalg.qr(torch.randn(300, 200)).Q
        matrix = left @ torch.diag(0.9 ** torch.arange(200.0)) @ right.T
        up, values, down = top_singular(matrix, 8, seed=1)
        assert torch.allclose(values, 0.9 ** torch.arange(8.0), atol=1e-4)
        assert torch.allclose((up * values) @ down, left[:, :8] @ torch.diag(values) @ right[:, :8].T, atol=1e-3)

    def test_it_leaves_chance_alone(self) -> None:
        before = torch.get_rng_state()
        first, second = (top_singular(torch.ones(200, 200), 4, seed=1)[2] for _ in range(2))
        assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_pissa_leaves_the_weight_without_its_principal_part(family: str) -> None:
    for layer in lora_layers(built("pissa", MODELS[family](), rank=4)).values():
        down, up = halves(layer)
        values = torch.linalg.svdvals(base_weight(layer))
        assert torch.allclose(torch.linalg.svdvals(up @ down)[:4], values[:4], rtol=1e-4)
        assert torch.allclose(torch.linalg.svdvals(base_weight(layer) - up @ down)[0], values[4], rtol=1e-3)
        assert torch.allclose(down.norm(dim=1), up.norm(dim=0), rtol=1e-4)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_olora_starts_at_the_first_rows_of_the_qr_decomposition(family: str) -> None:
    for layer in lora_layers(built("olora", MODELS[family](), rank=4)).values():
        down, up = halves(layer)
        basis, triangle = torch.linalg.qr(base_weight(layer))
        assert torch.allclose(up.T @ up, torch.eye(4), atol=1e-5)
        assert torch.allclose(up @ down, basis[:, :4] @ triangle[:4], atol=1e-4)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_corda_keeps_more_of_the_outputs_on_the_rows_than_any_part_of_the_weight_alone(family: str) -> None:
    lost = {}
    for kind in ("corda", "pissa"):
        layers, plain = lora_layers(built(kind, MODELS[family](), rank=4)), MODELS[family]()
        modules = {name: plain.get_submodule(name) for name in layers}
        lost[kind] = 0.0
        for name, moment in second_moments(plain, modules, Start(rows=rows)):
            down, up = halves(layers[name])
            missing = base_weight(layers[name]) - up @ down
            lost[kind] += float((missing @ moment @ missing.T).trace())
    assert lost["corda"] < 0.8 * lost["pissa"]


def test_lora_ga_spans_the_gradients_first_directions() -> None:
    model = llama()
    gradients = dict(weight_gradients(model, linears(model), Start(rows=rows)))
    for name, layer in lora_layers(built("lora_ga", rank=4, gamma=16)).items():
        down, up = halves(layer)
        left, _, right = torch.linalg.svd(gradients[name], full_matrices=False)
        size = up.shape[0] ** 0.25 / 4
        assert torch.allclose(down @ down.T, size**2 * torch.eye(4), atol=1e-4)
        assert torch.allclose(down.T @ down, size**2 * right[:4].T @ right[:4], atol=1e-3)
        assert torch.allclose(up @ up.T, size**2 * left[:, 4:8] @ left[:, 4:8].T, atol=1e-3)


def test_lora_gas_first_step_of_gradient_descent_goes_further_along_the_gradient_than_loras() -> None:
    model = llama()
    gradients = dict(weight_gradients(model, linears(model), Start(rows=rows)))
    along = {}
    for kind in ("lora", "lora_ga"):
        cosines = []
        for name, layer in lora_layers(built(kind, rank=4)).items():
            down, up = halves(layer) if kind == "lora_ga" else (layer.lora_A["default"].weight, torch.zeros(1))
            gradient, down = gradients[name], down.detach()
            # The change of B A by a small step down both gradients.
            step = (gradient @ down.T) @ down + (up @ (up.T @ gradient) if kind == "lora_ga" else 0)
            cosines.append(float((step * gradient).sum() / step.norm() / gradient.norm()))
        along[kind] = sum(cosines) / len(cosines)
    assert along["lora_ga"] > along["lora"] + 0.2


class TestProbe:
    @pytest.mark.parametrize("probe", [second_moments, weight_gradients])
    def test_looking_leaves_no_trace(self, probe: Any) -> None:
        model, batches = llama(), rows(4)
        before = {name: weight.clone() for name, weight in model.named_parameters()}
        model.get_submodule("model.layers.0.mlp").train()
        modes = [module.training for module in model.modules()]
        chance = torch.get_rng_state()
        assert len(list(probe(model, linears(model), Start(rows=lambda _: batches)))) == 14
        assert torch.equal(torch.get_rng_state(), chance)
        assert [module.training for module in model.modules()] == modes
        for name, weight in model.named_parameters():
            assert torch.equal(weight, before[name]) and weight.grad is None and weight.requires_grad
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in linears(model).values())

    def test_padding_has_no_say(self) -> None:
        def padded(count: int) -> list[Mapping[str, Any]]:
            (batch,) = rows(4)
            ends = {"input_ids": 7, "attention_mask": 0, "labels": -100}
            return [{key: torch.cat([value, torch.full((4, 3), ends[key])], 1) for key, value in batch.items()}] * max(
                1, count // 4
            )

        model = llama()
        for probe in (second_moments, weight_gradients):
            plain = dict(probe(model, linears(model), Start(rows=rows)))
            for name, found in probe(model, linears(model), Start(rows=padded)):
                assert torch.allclose(found, plain[name], rtol=1e-3, atol=1e-5)

    def test_a_gradient_is_autograds(self) -> None:
        model = llama()
        found = dict(weight_gradients(model, linears(model), Start(rows=rows)))
        (batch,) = rows(4)
        scores = model(input_ids=batch["input_ids"]).logits[:, :-1]
        labels = batch["labels"][:, 1:]
        torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten()).backward()
        for name, module in linears(model).items():
            assert torch.allclose(found[name], module.weight.grad, rtol=1e-3, atol=1e-6)

    def test_few_modules_at_a_time_find_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = llama()
        whole = dict(second_moments(model, linears(model), Start(rows=rows)))
        monkeypatch.setattr("tunewright.tools.training.probe._NUMBERS", 2000)
        parts = dict(second_moments(model, linears(model), Start(rows=rows)))
        assert list(parts) == list(whole)
        assert all(torch.equal(parts[name], moment) for name, moment in whole.items())


class TestEva:
    def test_a_holds_the_inputs_strongest_directions(self) -> None:
        model = llama()
        moments = dict(second_moments(model, linears(model), Start(rows=rows)))
        for name, layer in lora_layers(built("eva", rank=4, rho=1)).items():
            down = layer.lora_A["default"].weight.detach()
            held = float((down @ moments[name] @ down.T).trace())
            best = torch.linalg.eigvalsh(moments[name])[-4:].sum()
            assert held == pytest.approx(float(best), rel=1e-3)
            assert not layer.lora_B["default"].weight.any()

    def test_ranks_go_where_they_explain_most(self) -> None:
        assert redistributed({"a": [0.9, 0.05, 0.01], "b": [0.4, 0.3, 0.2]}, 2) == {"a": 1, "b": 3}

    def test_moved_ranks_keep_the_budget_the_scale_and_the_count_below_the_bound(self, tmp_path: Any) -> None:
        method, chosen = find_adapter("eva"), Adapter(kind="eva", rank=4, rho=2)
        run = Run(method, chosen, llama(), lr=1e-2).steps(0, 3)
        layers = lora_layers(run.model)
        ranks = [layer.r["default"] for layer in layers.values()]
        assert sum(ranks) == 4 * len(ranks) and min(ranks) >= 1 and max(ranks) <= 8 and len(set(ranks)) > 1
        assert {layer.scaling["default"] for layer in layers.values()} == {4.0}
        llama().save_pretrained(tmp_path / "base")
        trained = sum(weight.numel() for weight in run.model.parameters() if weight.requires_grad)
        assert 0 < trained <= method.trainable_parameters(facts(tmp_path / "base"), chosen)
        from peft import PeftModel

        run.model.eval().save_pretrained(tmp_path / "adapter")
        loaded = PeftModel.from_pretrained(llama(), str(tmp_path / "adapter")).eval()
        assert torch.equal(logits(loaded), logits(run.model))


class TestResidual:
    @pytest.mark.parametrize("kind", RESIDUAL)
    def test_the_start_is_the_base_model_to_the_bit_even_in_bf16_on_narrow_weights(self, kind: str) -> None:
        from tunewright.tools.models.precision import narrow_frozen

        model, base = built(kind).eval(), llama()
        narrow_frozen(model)
        narrow_frozen(base.requires_grad_(False))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(logits(model), logits(base))

    @pytest.mark.parametrize("kind", RESIDUAL)
    def test_a_step_is_that_of_plain_lora_on_the_residual_weight(self, kind: str) -> None:
        method, chosen = find_adapter(kind), Adapter(kind=kind, rank=4)
        ours = Run(method, chosen, llama(), lr=1e-3)
        start = {name: halves(layer) for name, layer in lora_layers(ours.model).items()}
        scale = {name: layer.scaling["default"] for name, layer in lora_layers(ours.model).items()}
        residual = llama()
        with torch.no_grad():
            for name, (down, up) in start.items():
                residual.get_submodule(name).weight -= scale[name] * up @ down
        alpha = 4 * next(iter(scale.values()))
        plain = Run(find_adapter("lora"), Adapter(kind="lora", rank=4, alpha=alpha), residual, lr=1e-3)
        with torch.no_grad():
            for name, layer in lora_layers(plain.model).items():
                layer.lora_A["default"].weight.copy_(start[name][0])
                layer.lora_B["default"].weight.copy_(start[name][1])
        assert ours.steps(0, 4).losses == pytest.approx(plain.steps(0, 4).losses, rel=1e-4)

    @pytest.mark.parametrize("kind", RESIDUAL)
    def test_a_checkpoint_holds_what_is_taken_off(self, kind: str) -> None:
        method, chosen = find_adapter(kind), Adapter(kind=kind, rank=4)
        run = Run(method, chosen, llama(), lr=1e-3)
        state = {name: value.clone() for name, value in run.loop.state().items()}
        with torch.no_grad():
            for half in frozen_halves(run.model).values():
                half.mul_(1.5)
        run.loop.restore(state)
        assert torch.allclose(logits(run.model.eval()), logits(llama()), atol=2e-5)

    @pytest.mark.parametrize(("kind", "rank"), [("pissa", 17), ("olora", 17), ("corda", 17), ("lora_ga", 9)])
    def test_a_rank_that_a_module_does_not_have_is_refused_before_and_at_building(
        self, kind: str, rank: int, tmp_path: Any
    ) -> None:
        llama().save_pretrained(tmp_path)
        chosen = Adapter(kind=kind, rank=rank)
        with pytest.raises(UsageError, match=f"rank {rank}"):
            find_adapter(kind).trainable_parameters(facts(tmp_path), chosen)
        with pytest.raises(UsageError, match=f"rank {rank}"):
            built(kind, rank=rank)


class TestOrthogonal:
    def test_both_matrices_are_there_and_their_product_is_not(self) -> None:
        for layer in lora_layers(built("orthogonal", rank=4)).values():
            down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            assert down.norm() > 0.1 and up.norm() > 0.1
            assert float((up @ down).norm().detach()) < 1e-5

    def test_an_odd_rank_is_refused(self) -> None:
        with pytest.raises(UsageError, match="odd"):
            built("orthogonal", rank=5)


def test_loraplus_gives_b_its_own_rate() -> None:
    run = Run(find_adapter("loraplus"), Adapter(kind="loraplus", ratio=8), llama(), lr=1e-3)
    names = {id(weight): name for name, weight in run.model.named_parameters()}
    for group in run.optimiser.param_groups:
        kinds = {"B" if ".lora_B." in names[id(weight)] else "A" for weight in group["params"]}
        assert (kinds, group["lr"]) in [({"A"}, 1e-3), ({"B"}, 8e-3)]


@pytest.mark.parametrize("kind", RESIDUAL)
def test_frozen_weights_in_bf16_and_in_fp32_train_to_the_same_bits(kind: str) -> None:
    from tunewright.tools.models.precision import narrow_frozen

    losses = []
    for narrow in (False, True):
        run = Run(find_adapter(kind), Adapter(kind=kind, rank=4), llama(), lr=1e-3)
        if narrow:
            narrow_frozen(run.model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses.append(run.steps(0, 4).losses)
    assert losses[0] == losses[1]
