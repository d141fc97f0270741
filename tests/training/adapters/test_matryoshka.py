"""MatryoshkaLoRA's own invariants: nested sums, every rank trained, DyLoRA's draws, and slices that are stock LoRA."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from tests.conformance.adapter import Run, gpt2, llama, logits, loss_of, rows, trainable

from tunewright.domain.errors import ModelError, UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.facts import Linear
from tunewright.tools.models.nested import Scale, scale_of, slice_adapter, trained_ranks, weights_of
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training.adapters.matryoshka import METHOD, MatryoshkaSettings
from tunewright.tools.training.checkpoint import Counters
from tunewright.tools.training.method import Start

LR, STEPS = 2e-3, 6
SERVINGS = pytest.mark.parametrize("serving", ["trained", "paper"])
SCALES = pytest.mark.parametrize("scale", get_args(Scale))


def chosen(**settings: Any) -> Adapter:
    return Adapter(kind="matryoshka", **{"rank": 8, **settings})


def run(base: Any = None, **settings: Any) -> Run:
    return Run(METHOD, chosen(**settings), llama() if base is None else base, lr=LR, steps=STEPS)


def test_ranks_scales_and_weights_by_hand() -> None:
    assert trained_ranks(16, None) == [1, 2, 4, 8, 16]
    assert trained_ranks(12, None) == [1, 2, 4, 8, 12]
    assert trained_ranks(4, (2, 8)) == [2, 4]
    assert [scale_of(4, rule) for rule in ("none", "rank", "sqrt")] == [1, 0.25, 0.5]
    assert weights_of(4, [1, 2, 4], "none") == [3, 2, 1, 1]
    assert weights_of(4, [1, 2, 4], "rank") == [1.75, 0.75, 0.25, 0.25]


@SCALES
def test_training_is_the_sum_of_all_trained_ranks(scale: Scale) -> None:
    layer = run(scale=scale).steps(0, 2).model.base_model.layers[0].train()
    down, up = layer.matryoshka_A["default"], layer.matryoshka_B["default"]
    x = torch.randn(5, layer.in_features)
    wanted = layer.base_layer(x)
    for rank in (1, 2, 4, 8):
        wanted = wanted + scale_of(rank, scale) * x @ down[:rank].T @ up[:, :rank].T
    assert torch.allclose(layer(x), wanted, atol=1e-5)


@SCALES
@SERVINGS
def test_evaluation_is_the_serving_rank_alone(scale: Scale, serving: str) -> None:
    model = run(scale=scale, serving=serving, serve_rank=4).steps(0, 2).model.eval()
    layer = model.base_model.layers[0]
    down, up = layer.matryoshka_A["default"], layer.matryoshka_B["default"]
    diagonal = torch.tensor(weights_of(8, [1, 2, 4, 8], scale))
    x = torch.randn(5, layer.in_features)
    for rank in (4, 1, 8):
        if rank != 4:
            model.base_model.serve(rank)
        weights = diagonal[:rank] if serving == "trained" else scale_of(rank, scale)
        delta = (up[:, :rank] * weights) @ down[:rank]
        assert torch.allclose(layer.get_delta_weight("default"), delta, atol=1e-6)
        assert torch.allclose(layer(x), layer.base_layer(x) + x @ delta.T, atol=1e-5)


def test_what_was_trained_is_what_is_served_at_the_largest_rank_unless_as_the_paper_does() -> None:
    for serving, same in (("trained", True), ("paper", False)):
        model = run(serving=serving).steps(0, STEPS).model
        assert torch.allclose(logits(model.train()), logits(model.eval()), atol=1e-5) is same


def test_every_rank_has_a_gradient_in_one_step() -> None:
    training = run().steps(0, 2)
    (batch,) = rows(4)
    loss_of(training.model, batch).backward()
    for layer in training.model.base_model.layers:
        assert bool((layer.matryoshka_A["default"].grad.norm(dim=1) > 0).all())
        assert bool((layer.matryoshka_B["default"].grad.norm(dim=0) > 0).all())


def test_with_one_rank_it_is_lora_step_for_step() -> None:
    ours = run(ranks=[8], a_init="peft")
    config = LoraConfig(
        r=8, lora_alpha=1, use_rslora=True, target_modules=ours.model.peft_config["default"].target_modules
    )
    theirs = get_peft_model(llama(), config).train()
    for layer in ours.model.base_model.layers:
        with torch.no_grad():
            theirs.base_model.model.get_submodule(layer.key).lora_A["default"].weight.copy_(
                layer.matryoshka_A["default"]
            )
    optimiser = torch.optim.AdamW([w for w in theirs.parameters() if w.requires_grad], lr=LR, weight_decay=0.0)
    losses = []
    for number in range(STEPS):
        ours.step(number)
        loss = loss_of(theirs, rows(4)[0])
        losses.append(float(loss.detach()))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert ours.losses == pytest.approx(losses, rel=1e-5)
    assert torch.allclose(logits(ours.model.eval()), logits(theirs.eval()), atol=1e-4)


@pytest.mark.parametrize(("a_init", "bound"), [("ref", 1 / math.sqrt(8)), ("peft", 1 / math.sqrt(32))])
def test_how_large_a_starts(a_init: str, bound: float) -> None:
    start = run(a_init=a_init).model.base_model.layers[0].matryoshka_A["default"]
    assert bound * 0.9 < float(start.detach().abs().max()) <= bound


def test_dylora_trains_the_drawn_rank_alone() -> None:
    training = run(mode="dylora").steps(0, 2)
    layer = training.model.base_model.layers[0]
    training.model.base_model.draw(2)
    (batch,) = rows(4)
    loss_of(training.model, batch).backward()
    assert (layer.matryoshka_A["default"].grad.norm(dim=1) > 0).tolist() == [True] * 2 + [False] * 6
    x = torch.randn(5, layer.in_features)
    inside = layer(x)
    training.model.eval()
    training.model.base_model.serve(2)
    assert torch.allclose(layer(x), inside, atol=1e-6)


def test_dylora_draws_every_trained_rank_as_often_and_for_all_modules() -> None:
    training = run(mode="dylora", ranks=(2, 4))
    seen: Counter[int] = Counter()
    for number in range(600):
        training.loop.before_step(number)
        (rank,) = {layer.drawn["default"] for layer in training.model.base_model.layers}
        seen[rank] += 1
    assert set(seen) == {2, 4, 8} and min(seen.values()) > 150


def test_a_resumed_dylora_draws_on(tmp_path: Path) -> None:
    whole, broken = run(mode="dylora").steps(0, STEPS), run(mode="dylora").steps(0, 3)
    checkpoints.save(tmp_path, 0, 3, Counters(step=3), broken.parts)
    resumed, found = run(mode="dylora"), checkpoints.latest(tmp_path)
    assert found is not None
    found.restore(*resumed.parts)
    found.restore_random()
    resumed.steps(3, STEPS)
    assert broken.losses + resumed.losses == whole.losses
    assert all(torch.equal(weight, trainable(resumed.model)[name]) for name, weight in trainable(whole.model).items())


@pytest.mark.parametrize("base", [llama, gpt2])
@pytest.mark.parametrize(
    "settings",
    [*({"scale": scale, "serving": "paper"} for scale in get_args(Scale)), {"serving": "trained"}, {"mode": "dylora"}],
    ids=lambda settings: "-".join(settings.values()),
)
def test_a_slice_of_a_checkpoint_is_stock_lora_with_the_same_logits(
    base: Any, settings: dict[str, str], tmp_path: Path
) -> None:
    model = run(base(), **settings).steps(0, STEPS).model.eval()
    save_adapter(model, tmp_path / "tuner", base="tiny")
    wanted = {}
    for rank in (1, 2, 4, 8):
        model.base_model.serve(rank)
        wanted[rank] = logits(model)
    save_adapter(METHOD.finish(model, chosen(**settings)), tmp_path / "exported", base="tiny")
    for source in ("tuner", "exported"):
        for rank, before in wanted.items():
            out = tmp_path / f"{source}-{rank}"
            slice_adapter(tmp_path / source, rank, out)
            config = PeftConfig.from_pretrained(str(out))
            assert type(config) is LoraConfig and config.r == rank and config.base_model_name_or_path == "tiny"
            assert torch.allclose(logits(PeftModel.from_pretrained(base(), str(out)).eval()), before, atol=1e-5)
    assert not torch.allclose(wanted[1], wanted[8], atol=1e-3)


def test_a_rank_that_was_not_trained_is_not_sliced(tmp_path: Path) -> None:
    model = run().model
    save_adapter(model, tmp_path / "tuner", base="tiny")
    save_adapter(METHOD.finish(model, chosen()), tmp_path / "exported", base="tiny")
    with pytest.raises(UsageError, match=r"no rank 3\n.*1, 2, 4, 8"):
        slice_adapter(tmp_path / "tuner", 3, tmp_path / "out")
    with pytest.raises(UsageError, match=r"no rank 9\n.*1 to 8"):
        slice_adapter(tmp_path / "exported", 9, tmp_path / "out")
    with pytest.raises(ModelError, match="read the adapter"):
        slice_adapter(tmp_path / "nowhere", 1, tmp_path / "out")


@pytest.mark.parametrize("settings", [{"serving": "trained"}, {"serving": "paper"}, {"mode": "dylora"}])
def test_finishing_keeps_the_evaluated_function_at_the_serving_rank(settings: dict[str, str]) -> None:
    model = run(serve_rank=2, **settings).steps(0, STEPS).model.eval()
    before = logits(model)
    finished = METHOD.finish(model, chosen(serve_rank=2, **settings)).eval()
    assert finished.peft_config["default"].r == 2
    assert torch.allclose(logits(finished), before, atol=1e-5)


@pytest.mark.parametrize("base", [llama, gpt2])
def test_the_tuner_itself_saves_loads_merges_and_switches_off(base: Any, tmp_path: Path) -> None:
    plain = logits(base())
    model = run(base(), serve_rank=4).steps(0, STEPS).model.eval()
    before = logits(model)
    save_adapter(model, tmp_path / "adapter", base="tiny")
    loaded = attach(base(), tmp_path / "adapter")
    assert torch.equal(logits(loaded), before)
    model.merge_adapter()
    assert torch.allclose(logits(model), before, atol=1e-4)
    model.unmerge_adapter()
    with model.disable_adapter():
        assert torch.allclose(logits(model), plain, atol=1e-4)


def test_settings_that_do_not_fit_are_refused_before_and_at_building() -> None:
    narrow = [Linear(name="k_proj", inputs=32, outputs=16)]
    for settings, reason in (({"rank": 17}, "at most 16"), ({"rank": 8, "serve_rank": 3}, "trained rank, got 3")):
        with pytest.raises(UsageError, match=reason):
            METHOD.size(narrow, MatryoshkaSettings(**settings))
        with pytest.raises(UsageError, match=reason):
            METHOD.build(llama(), chosen(**settings), Start())
    with pytest.raises(ValueError, match="from 1 to 8"):
        run().model.base_model.serve(9)
