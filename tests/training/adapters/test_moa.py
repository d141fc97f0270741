"""MoA: its mixture against the plain formula, its variants, the networks it takes and those it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, gpt2, llama, logits, rows
from torch import nn
from torch.nn import functional
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, OPTConfig, OPTForCausalLM, PhiConfig, PhiForCausalLM

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.facts import facts
from tunewright.tools.models.feedforward import feedforwards
from tunewright.tools.models.tuners.moa import DICTIONARIES, mixture
from tunewright.tools.training.adapters.moa import METHOD
from tunewright.tools.training.method import Start

START = Start(seed=3, rows=rows)
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda y: y,
    "relu": functional.relu,
    "relu2": lambda y: functional.relu(y) ** 2,
    "leaky_relu": lambda y: functional.leaky_relu(y, 0.01),
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


def chosen(**settings: Any) -> Adapter:
    return Adapter(kind="moa", **settings)


def built(model: Any, **settings: Any) -> Any:
    return METHOD.build(model, chosen(**settings), START)


def plain(y: torch.Tensor, gates: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
    parts = [gates[..., at, None] * ACTIVATIONS[name](y) for at, name in enumerate(names)]
    return torch.stack(parts).sum(0)


def neox() -> Any:
    torch.manual_seed(2)
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            initializer_range=0.3, max_position_embeddings=64,
        )
    ).eval()  # fmt: skip


def phi() -> Any:
    torch.manual_seed(2)
    return PhiForCausalLM(
        PhiConfig(
            vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            initializer_range=0.3, max_position_embeddings=64,
        )
    ).eval()  # fmt: skip


def opt() -> Any:
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=60, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, word_embed_proj_dim=32,
        )
    ).eval()  # fmt: skip


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("names", DICTIONARIES.values(), ids=DICTIONARIES)
def test_the_mixture_and_its_gradients_are_the_formulas(names: tuple[str, ...], shared: bool) -> None:
    torch.manual_seed(0)
    y = torch.randn(2, 5, 11, requires_grad=True)
    gates = torch.randn((len(names),) if shared else (2, 5, len(names)), requires_grad=True)
    weighed = torch.randn(2, 5, 11)
    ours, theirs = mixture(y, gates, names), plain(y, gates, names)
    assert torch.allclose(ours, theirs, atol=1e-5)
    found = torch.autograd.grad((ours * weighed).sum(), (y, gates))
    expected = torch.autograd.grad((theirs * weighed).sum(), (y, gates))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_the_square_of_relu_stays_within_a_narrow_type(kind: torch.dtype) -> None:
    y = torch.tensor([[-3e4, 1.0, 3e4]], dtype=kind, requires_grad=True)
    gates = torch.ones(1, 3, requires_grad=True)
    mixed = mixture(y, gates, DICTIONARIES["small"])
    assert mixed.dtype == kind and mixed.isfinite().all()
    mixed.float().sum().backward()
    assert y.grad is not None and y.grad.isfinite().all()
    assert gates.grad is not None and gates.grad.isfinite().all()


@pytest.mark.parametrize("make", [llama, gpt2, neox, phi])
@pytest.mark.parametrize("variant", ["la", "moa", "bi_moa"])
def test_starts_as_the_base_model_whatever_its_network(make: Any, variant: str) -> None:
    if variant == "bi_moa" and make is not llama:
        with pytest.raises(UsageError, match="two branches"):
            built(make(), variant=variant)
        return
    model = built(make(), variant=variant).eval()
    assert len(model.base_model.layers) == 2
    assert torch.equal(logits(model), logits(make()))


def test_a_gated_layer_computes_the_formula() -> None:
    layer = built(llama(), variant="bi_moa").base_model.layers[1]
    torch.manual_seed(1)
    with torch.no_grad():
        layer.moa_gate["default"].normal_()
        layer.moa_up["default"].normal_()
    x, mlp, names = torch.randn(2, 3, 32), layer.base_layer, DICTIONARIES["full"]
    y, z = mlp.gate_proj(x), mlp.up_proj(x)
    c = torch.tanh(x @ layer.moa_gate["default"].T / 2)
    e = torch.tanh(x @ layer.moa_up["default"].T / 2)
    expected = mlp.down_proj((mlp.act_fn(y) + plain(y, c, names)) * (z + plain(z, e, names)))
    assert torch.allclose(layer(x), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_la_is_moa_with_gates_that_see_no_input(family: str) -> None:
    fixed, adaptive = (built(MODELS[family](), variant=variant).base_model.layers[0] for variant in ("la", "moa"))
    torch.manual_seed(1)
    coefficients = torch.randn(7)
    x = torch.randn(2, 3, 32)
    x[..., 0] = 1.0  # an input that says nothing, and the gates look at nothing else
    with torch.no_grad():
        fixed.moa_gate["default"].copy_(coefficients)
        adaptive.moa_gate["default"][:, 0] = coefficients
    assert torch.allclose(fixed(x), adaptive(x), atol=1e-4)
    assert not torch.allclose(fixed(x), fixed.base_layer(x), atol=1e-2)


@pytest.mark.parametrize("dictionary", ["small", "full"])
@pytest.mark.parametrize("variant", ["la", "moa", "bi_moa"])
def test_parameters_are_activations_times_inputs_for_each_branch(variant: str, dictionary: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    activations = len(DICTIONARIES[dictionary])
    each = {"la": activations, "moa": activations * 32, "bi_moa": 2 * activations * 32}[variant]
    given = chosen(variant=variant, dictionary=dictionary)
    assert METHOD.trainable_parameters(facts(tmp_path), given) == 2 * each
    model = METHOD.build(llama(), given, START)
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == 2 * each


@pytest.mark.parametrize("variant", ["la", "moa", "bi_moa"])
def test_every_gate_learns_at_once(variant: str) -> None:
    run = Run(METHOD, chosen(variant=variant), llama(), lr=1e-2).steps(0, 1)
    trained = [weight for weight in run.model.parameters() if weight.requires_grad]
    assert all((weight != 0).any() for weight in trained)


def test_it_works_on_a_model_whose_projections_lora_has_changed() -> None:
    from peft import LoraConfig, get_peft_model

    targets = ["gate_proj", "up_proj", "down_proj"]
    base = get_peft_model(llama(), LoraConfig(r=2, target_modules=targets, init_lora_weights=False)).merge_and_unload()
    before = logits(base.eval())
    assert not torch.allclose(before, logits(llama()), atol=1e-3)
    assert torch.equal(logits(built(base).eval()), before)


def test_a_network_of_no_known_form_is_refused(tmp_path: Path) -> None:
    opt().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="finds no MLP"):
        METHOD.trainable_parameters(facts(tmp_path), chosen())
    with pytest.raises(UsageError, match="finds no MLP"):
        built(opt())


def test_a_network_that_only_looks_familiar_is_refused() -> None:
    class Doubled(nn.Module):  # type: ignore[misc]  # torch is not followed
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.gate_proj, self.up_proj, self.down_proj = inner.gate_proj, inner.up_proj, inner.down_proj
            self.act_fn = inner.act_fn

        def forward(self, x: torch.Tensor) -> Any:
            return 2 * self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))

    model = llama()
    model.model.layers[1].mlp = Doubled(model.model.layers[1].mlp)
    with pytest.raises(UsageError, match="computes something else"):
        built(model)


def test_two_branches_are_asked_of_the_files_too(tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="two branches"):
        METHOD.trainable_parameters(facts(tmp_path), chosen(variant="bi_moa"))


def test_it_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="moa depends on its input"):
        built(llama()).merge_and_unload()


def test_experts_and_bare_layers_are_no_networks() -> None:
    parts = ("gate_proj", "up_proj", "down_proj")
    experts = [f"model.layers.0.mlp.experts.{n}.{part}" for n in range(2) for part in parts]
    shared = [f"model.layers.0.mlp.shared_expert.{part}" for part in parts]
    bare = ["model.decoder.layers.0.fc1", "model.decoder.layers.0.fc2"]
    assert list(feedforwards(experts + shared + bare)) == ["model.layers.0.mlp.shared_expert"]
