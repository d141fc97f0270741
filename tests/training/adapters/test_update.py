"""Methods that add to the weights or train some of them: what their updates look like."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tests.conformance.adapter import Run, llama, rows

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, kind_of, merged, save_adapter
from tunewright.tools.training import tokens
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter

LAYER = "model.layers.0.self_attn.q_proj"


def trained(kind: str, **settings: Any) -> Run:
    method = adapter(kind)
    return Run(method, Adapter(kind=kind, **settings), llama(), lr=4 * method.lr[2]).steps(0, 10)


def update(kind: str, **settings: Any) -> torch.Tensor:
    """(outputs, inputs): what training added to one layer's weight."""
    weight = merged(trained(kind, **settings).model).get_submodule(LAYER).weight.detach()
    return weight - llama().get_submodule(LAYER).weight.detach()


def test_misss_update_repeats_along_the_input() -> None:
    found = update("miss", rank=8)
    first, *rest = found.split(8, dim=1)
    assert first.abs().max() > 1e-3
    assert all(torch.allclose(part, first, atol=1e-6) for part in rest)


def test_shira_changes_as_many_entries_as_lora_has_parameters() -> None:
    assert (update("shira", rank=4) != 0).sum() == 4 * (32 + 32)


def test_shiras_magnitude_mask_takes_the_largest() -> None:
    changed = update("shira", rank=4, mask="magnitude") != 0
    weight = llama().get_submodule(LAYER).weight.detach().abs()
    assert weight[changed].min() >= weight[~changed].max()


def test_deloras_update_is_no_longer_than_its_bound() -> None:
    layer = trained("delora", rank=4, bound=2.0).model.base_model.model.get_submodule(LAYER)
    relative = layer.get_delta_weight("default").detach() / layer.delora_w_norm["default"]
    assert 0.1 < relative.norm() <= layer.delora_lambda["default"].item() + 1e-5


def test_graloras_rank_is_above_loras_at_the_same_size() -> None:
    assert torch.linalg.matrix_rank(update("gralora", rank=4, blocks=1), rtol=1e-4) <= 4
    assert torch.linalg.matrix_rank(update("gralora", rank=4, blocks=4), rtol=1e-4) > 4


def test_ln_tuning_trains_every_norm_and_nothing_else() -> None:
    model = merged(trained("ln_tuning").model)
    before = llama().state_dict()
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if "norm" in name} and len(changed) == 5


def test_tokens_are_those_of_the_answers_first() -> None:
    start = Start(rows=rows)
    labelled, others = tokens.frequent(start, labelled=True), tokens.frequent(start, labelled=False)
    batch = rows(4)[0]
    assert set(labelled) == set(batch["input_ids"][:, 5:].flatten().tolist())
    built = adapter("trainable_tokens").build(llama(), Adapter(kind="trainable_tokens", count=3), start)
    assert built.peft_config["default"].token_indices == sorted(labelled[:3])
    more = len(set(labelled + others)) + 2
    built = adapter("trainable_tokens").build(llama(), Adapter(kind="trainable_tokens", count=more), start)
    assert {*labelled, *others} < set(built.peft_config["default"].token_indices)


def test_trainable_tokens_move_embedding_and_tied_head_alike() -> None:
    model = merged(trained("trainable_tokens", tokens=[3, 7]).model)
    before = llama().get_input_embeddings().weight.detach()
    after = model.get_input_embeddings().weight.detach()
    assert (after != before).any(1).nonzero().flatten().tolist() == [3, 7]
    assert torch.equal(model.get_output_embeddings().weight, after)


def test_last_k_trains_and_saves_the_end_of_the_model_alone(tmp_path: Path) -> None:
    run = trained("last_k", blocks=1)
    before = llama().state_dict()
    changed = {name for name, weight in run.model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if ".layers.1." in name or name == "model.norm.weight"}
    save_adapter(run.model, tmp_path, base="tiny")
    assert kind_of(tmp_path) == "part"
    assert load_file(tmp_path / "weights.safetensors").keys() == changed


def test_a_stage_after_last_k_saves_the_whole_model(tmp_path: Path) -> None:
    model = merged(trained("last_k", blocks=1).model)
    model = adapter("full").build(model, Adapter(kind="full"), Start())
    save_adapter(model, tmp_path / "full", base="tiny")
    assert kind_of(tmp_path / "full") == "full"
    loaded = attach(llama(), tmp_path / "full").state_dict()
    assert all(torch.equal(weight, loaded[name]) for name, weight in model.state_dict().items())


def test_a_second_adapter_of_trainable_tokens_does_not_wrap_the_head_twice() -> None:
    model = trained("trainable_tokens").model
    model.add_adapter("other", copy.deepcopy(model.peft_config["default"]))
    assert type(model.get_output_embeddings().base_layer) is torch.nn.Linear
