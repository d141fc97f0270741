"""Teacher forcing: what is summed, how rows share a sequence, and that neither packing nor chunks change a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from tests.training.objectives.conftest import FAMILIES, close, gradients, mean
from torch.nn.functional import cross_entropy

from tunewright.tools.training import scoring
from tunewright.tools.training.packing import packed, rows_stay_apart
from tunewright.tools.training.scoring import token_scores

PLACES = [0, 1, 2, 5, 9]


def padded_loss(model: Any, learning: Any, places: list[int], **more: Any) -> torch.Tensor:
    """What transformers and torch make of the same batch: the whole logits, and torch's own loss."""
    batch = learning.collate(places)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits = logits[:, -batch["input_ids"].shape[1] :][:, :-1]
    return cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten(), **more)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("loss_on", ["completion", "all"])
def test_the_loss_is_torchs(model: Any, make_learning: Callable[..., Any], loss_on: str, smoothing: float) -> None:
    learning = make_learning(model, settings={"loss_on": loss_on, "label_smoothing": smoothing})
    expected = padded_loss(model, learning, PLACES, label_smoothing=smoothing)
    found = mean(learning, PLACES)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert close(gradients(model, found), gradients(model, expected))


def test_labels_are_the_answers_or_all(model: Any, make_learning: Callable[..., Any]) -> None:
    answer, whole = make_learning(model), make_learning(model, settings={"loss_on": "all"})
    row = answer.data.encoded[0]
    batch = answer.collate([0])
    assert batch["labels"][0].tolist() == [-100] * len(row.prompt) + row.completion
    assert answer.items(batch) == len(row.completion)
    assert whole.items(whole.collate([0])) == len(row.input_ids) - 1, "the first token has nothing to be told from"
    assert whole.collate([0])["labels"][0].tolist() == row.input_ids


@pytest.mark.parametrize("loss_on", ["completion", "all"])
def test_packed_rows_are_the_rows(model: Any, make_learning: Callable[..., Any], loss_on: str) -> None:
    alone, together = (make_learning(model, settings={"loss_on": loss_on, "packing": pack}) for pack in (False, True))
    batch = together.collate(PLACES)
    assert len(batch["input_ids"]) < len(PLACES) and int(batch["attention_mask"].sum()) > 160
    assert together.items(batch) == alone.items(alone.collate(PLACES))
    one, other = mean(alone, PLACES), mean(together, PLACES)
    assert one.item() == pytest.approx(other.item(), rel=1e-5)
    assert close(gradients(model, one), gradients(model, other))


def test_packed_rows_do_not_see_each_other(model: Any, make_learning: Callable[..., Any]) -> None:
    batch = make_learning(model, settings={"packing": True, "loss_on": "all"}).collate([0, 1])
    first = int((batch["row_positions"][0] == 0).nonzero()[1])
    wanted = torch.zeros(1, batch["input_ids"].shape[1] - 1, dtype=torch.bool)
    wanted[0, first:] = True
    other = {**batch, "input_ids": batch["input_ids"].clone()}
    other["input_ids"][0, :first] = other["input_ids"][0, :first].flip(0)
    assert torch.equal(token_scores(model, batch, wanted), token_scores(model, other, wanted))
    masked = {**batch, "position_ids": batch["row_positions"]}
    del masked["row_positions"]
    other = {**masked, "input_ids": other["input_ids"]}
    assert not torch.allclose(token_scores(model, masked, wanted), token_scores(model, other, wanted), atol=1e-3), (
        "given a mask transformers lets rows see each other: then this test shows nothing"
    )


def test_bins_are_filled_first_fit_decreasing_and_first_tokens_carry_no_label() -> None:
    rows = [([1] * size, [1] * size) for size in (2, 5, 4, 3)]
    batch = packed(rows, 7, filler=9)
    assert batch["input_ids"].tolist() == [[1] * 7, [1] * 7]  # 5 + 2 and 4 + 3
    assert batch["row_positions"].tolist() == [[0, 1, 2, 3, 4, 0, 1], [0, 1, 2, 3, 0, 1, 2]]
    assert batch["labels"].tolist() == [[-100, 1, 1, 1, 1, -100, 1], [-100, 1, 1, 1, -100, 1, 1]]
    ragged = packed(rows[:2], 6, filler=9)
    assert ragged["input_ids"].tolist() == [[1] * 5, [1, 1, 9, 9, 9]]
    assert ragged["row_positions"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 0, 1, 2]]
    assert ragged["attention_mask"].sum(1).tolist() == [5, 2]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
def test_trained_prompts_are_not_packed_and_their_loss_is_right(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], family: str, config: Any
) -> None:
    model = get_peft_model(make_model(family), config(task_type="CAUSAL_LM", num_virtual_tokens=3))
    said: list[str] = []
    learning = make_learning(model, settings={"packing": True}, begin={"note": said.append})
    assert "row_positions" not in learning.collate(PLACES) and "not packed" in said[0]
    found, expected = mean(learning, PLACES), padded_loss(model, learning, PLACES)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert close(gradients(model, found), gradients(model, expected))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_knows_no_positions_is_found_out(make_model: Callable[..., Any], family: str) -> None:
    model = make_model(family).train()
    assert rows_stay_apart(model, "fp32") and rows_stay_apart(model, "bf16") and model.training
    forward = model.forward

    def without_positions(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    model.forward = without_positions
    assert not rows_stay_apart(model, "fp32")


def small_chunks(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    monkeypatch.setattr(scoring, "HEAD_ELEMENTS", 3 * model.config.vocab_size)


@pytest.mark.parametrize("packing", [False, True])
def test_chunks_change_no_number(
    model: Any, make_learning: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    learning = make_learning(model, settings={"label_smoothing": 0.1, "packing": packing})
    whole = mean(learning, PLACES)
    expected = gradients(model, whole)
    small_chunks(monkeypatch, model)
    parts = mean(learning, PLACES)
    assert parts.item() == pytest.approx(whole.item(), rel=1e-6)
    assert close(gradients(model, parts), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunked", [False, True])
def test_an_adapter_on_the_head_is_trained(
    make_model: Callable[..., Any],
    make_learning: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    chunked: bool,
) -> None:
    config = LoraConfig(r=2, target_modules=["lm_head"], lora_dropout=0.5, init_lora_weights=False)
    model = get_peft_model(make_model(family), config)
    learning = make_learning(model.train())
    if chunked:
        small_chunks(monkeypatch, model)
    torch.manual_seed(0)
    found = mean(learning, PLACES)
    got = gradients(model, found)
    assert sorted(got) == sorted(name for name, weight in model.named_parameters() if weight.requires_grad)
    if not chunked:
        return
    # Dropout has to be the same in the chunk's second pass: the gradient is that of the value.
    weight = next(weight for name, weight in model.named_parameters() if name.endswith("lora_B.default.weight"))
    direction = got[next(name for name in got if "lora_B" in name)]
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * 1e-2 * direction
        torch.manual_seed(0)
        moved.append(mean(learning, PLACES).item())
        with torch.no_grad():
            weight -= sign * 1e-2 * direction
    assert (moved[0] - moved[1]) / 2e-2 == pytest.approx(float((direction**2).sum()), rel=0.02)


def test_bf16_autocast_runs_the_head_in_its_own_precision(
    model: Any, make_learning: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = make_learning(model)
    exact = mean(learning, PLACES).item()
    for chunked in (False, True):
        if chunked:
            small_chunks(monkeypatch, model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = mean(learning, PLACES)
        assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact, rel=0.02)
        assert all(bool(one.isfinite().all()) for one in gradients(model, loss).values())


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite"])
def test_what_a_model_does_with_its_logits_is_done_in_chunks_too(
    tokenizer: Any, make_learning: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    own = {"gemma2": {"final_logit_softcapping": 2.0, "head_dim": 8}, "cohere": {"logit_scale": 0.3}}
    config = AutoConfig.for_model(
        name, vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2, pad_token_id=0, bos_token_id=0,
        eos_token_id=0, **own.get(name, {"logits_scaling": 3.0}),
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    learning = make_learning(model)
    whole = mean(learning, PLACES)
    expected = gradients(model, whole)
    assert whole.item() == pytest.approx(padded_loss(model, learning, PLACES).item(), rel=1e-5)
    small_chunks(monkeypatch, model)
    parts = mean(learning, PLACES)
    assert parts.item() == pytest.approx(whole.item(), rel=1e-5)
    assert close(gradients(model, parts), expected)


def test_logits_that_a_model_changes_in_its_own_way_are_taken_whole(
    model: Any, make_learning: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = model.forward

    def squared(**given: Any) -> Any:
        found = forward(**given)
        found.logits = found.logits**2
        return found

    model.forward = squared
    learning = make_learning(model)
    whole = mean(learning, PLACES).item()
    small_chunks(monkeypatch, model)
    assert mean(learning, PLACES).item() == pytest.approx(whole, rel=1e-6)
