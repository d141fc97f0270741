"""A score is that of the model as it is, and measuring changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.evaluation.conftest import LABELS, make_rows, make_task

from tunewright.domain.errors import UsageError
from tunewright.tools.contract import FaultError
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.prompt import encode_example, encode_prompt, end_token_id

ALL = ["accuracy", "macro_f1", "exact_match", "token_f1", "loss", "perplexity"]
Loaded = tuple[Any, Any]


def test_the_most_likely_label_is_the_prediction(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows, task = make_rows(), make_task("accuracy")
    told: list[tuple[int, int]] = []
    measurement, items = measure(
        model, tokenizer, rows, task, step=7, batch_tokens=150, progress=lambda *pair: told.append(pair)
    )
    expected = []
    for row in rows:
        prompt = encode_prompt(row, task, tokenizer)
        sums = {}
        for label in LABELS:  # "bill" begins "billing", so the end token counts for all
            ids, _ = encode_example({**row, "target": label}, task, tokenizer)
            logits = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1).detach()
            sums[label] = sum(float(logits[i - 1, ids[i]]) for i in range(len(prompt), len(ids)))
        expected.append(max(sums, key=lambda label: sums[label]))
    assert [item.prediction for item in items] == expected
    assert [item.id for item in items] == [row["id"] for row in rows]
    assert [item.score for item in items] == [float(p == row["target"]) for p, row in zip(expected, rows, strict=True)]
    assert (measurement.step, measurement.rows) == (7, 12)
    assert measurement.value == pytest.approx(sum(item.score for item in items) / 12)
    assert measurement.low is not None and measurement.high is not None
    assert measurement.low <= measurement.value <= measurement.high
    assert told[-1] == (12, 12) and len(told) > 1


def test_equally_likely_labels_go_to_the_first(loaded: Loaded) -> None:
    model, tokenizer = loaded
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    task = make_task("accuracy", labels=("zz", "aa", "mm"))
    _, items = measure(model, tokenizer, make_rows(3), task, step=0)
    assert {item.prediction for item in items} == {"aa"}


def test_loss_is_that_of_training(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows, task = make_rows(), make_task("loss")
    measurement, items = measure(model, tokenizer, rows, task, step=0, batch_tokens=100)
    for row, item in zip(rows, items, strict=True):
        ids, labels = encode_example(row, task, tokenizer)
        with torch.no_grad():
            trained = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        assert item.score == pytest.approx(float(trained), abs=1e-4)
    perplexity, _ = measure(model, tokenizer, rows, make_task("perplexity"), step=0)
    assert perplexity.value == pytest.approx(math.exp(measurement.value), rel=1e-4)
    assert perplexity.low is not None and perplexity.high is not None
    assert perplexity.low < perplexity.value < perplexity.high


def test_answers_are_the_greedy_ones(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows, task = make_rows(6), make_task("exact_match")
    _, items = measure(model, tokenizer, rows, task, step=0, batch_tokens=120)
    end = end_token_id(task, tokenizer)
    for row, item in zip(rows, items, strict=True):
        ids = prompt = encode_prompt(row, task, tokenizer)
        while len(ids) < len(prompt) + task.max_new_tokens:
            with torch.no_grad():
                token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == end:
                break
            ids = [*ids, token]
        said = tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        assert item.prediction == said.strip()


def test_an_answer_stops_at_the_end_token(loaded: Loaded) -> None:
    model, tokenizer = loaded
    end = end_token_id(make_task("exact_match"), tokenizer)
    with torch.no_grad():  # the end token after anything
        model.get_output_embeddings().weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    model.lm_head.register_forward_hook(lambda module, args, out: out.index_fill(-1, torch.tensor([end]), 9.0))
    _, items = measure(model, tokenizer, make_rows(3), make_task("exact_match"), step=0)
    assert [item.prediction for item in items] == ["", "", ""]


def test_a_checkpoints_sampling_settings_are_not_used(loaded: Loaded) -> None:
    model, tokenizer = loaded
    plain = measure(model, tokenizer, make_rows(4), make_task("exact_match"), step=0)[1]
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=9.0, num_beams=3)
    assert measure(model, tokenizer, make_rows(4), make_task("exact_match"), step=0)[1] == plain


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measuring_leaves_no_trace(loaded: Loaded, metric: str, precision: str) -> None:
    model, tokenizer = loaded
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5))
    model.train()
    model.get_base_model().model.layers[0].eval()  # a part that is frozen on purpose stays so
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    generator = torch.get_rng_state()
    first, items = measure(model, tokenizer, make_rows(5), make_task(metric), step=0, precision=precision)
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(weights.grad is None for weights in model.parameters())
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    again, items_again = measure(model, tokenizer, make_rows(5), make_task(metric), step=0, precision=precision)
    assert items_again == items
    assert again.value == first.value


def test_training_goes_on_after_a_measurement(loaded: Loaded) -> None:
    """Gradients after a measurement under bf16 are those without one: no cached cast is left behind."""
    model, tokenizer = loaded
    ids = torch.tensor([[5, 6, 7, 8]])

    def gradient() -> torch.Tensor:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        return next(model.parameters()).grad.clone()

    before = gradient()
    measure(model, tokenizer, make_rows(3), make_task("accuracy"), step=0, precision="bf16")
    assert torch.equal(gradient(), before)


def test_modes_are_put_back_after_a_failure(loaded: Loaded) -> None:
    model, tokenizer = loaded
    model.train()
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(float("nan"))
    for metric in ("accuracy", "loss"):
        with pytest.raises(FaultError, match="not finite") as raised:
            measure(model, tokenizer, make_rows(3), make_task(metric), step=12)
        assert (raised.value.fault.kind, raised.value.fault.step) == ("config", 12)
    assert model.training
    assert torch.is_grad_enabled()


def test_no_rows_is_a_fault_of_the_data(loaded: Loaded) -> None:
    with pytest.raises(FaultError, match="empty") as raised:
        measure(*loaded, [], make_task("accuracy"), step=0)
    assert raised.value.fault.kind == "data"


def test_labels_cannot_be_scored_without_labels(loaded: Loaded) -> None:
    with pytest.raises(UsageError, match="closed set of labels"):
        measure(*loaded, make_rows(2), make_task("accuracy", labels=()), step=0)


@pytest.mark.parametrize("metric", ALL)
def test_a_row_longer_than_the_context_stays_within_it(loaded: Loaded, metric: str) -> None:
    model, tokenizer = loaded
    tokenizer.model_max_length = 48
    places: list[int] = []
    model.model.rotary_emb.register_forward_pre_hook(
        lambda module, args, given: places.append(int(given["position_ids"].max())), with_kwargs=True
    )
    long = [{**row, "input": row["input"] * 50} for row in make_rows(2)]
    measurement, _ = measure(model, tokenizer, long, make_task(metric, max_length=10_000, max_new_tokens=999), step=0)
    assert math.isfinite(measurement.value)
    assert 24 <= max(places) < 48
