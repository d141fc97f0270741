"""AlphaToken's terms against weight gradients written out, its invariants, and what it leaves as it found it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.training.objectives.conftest import FAMILIES, gradients, mean
from transformers.pytorch_utils import Conv1D

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.training.batch import stage_data
from tunewright.tools.training.fisher import fisher, sampled
from tunewright.tools.training.learning import Begin
from tunewright.tools.training.objectives.alphatoken import AlphaTokenConfig, AlphaTokenLearning, held_out
from tunewright.tools.training.trace import Trace, projections, traces
from tunewright.tools.training.valuation import best, values, with_later

PLACES = [0, 1, 2, 5]
QUICK = {"fisher_prompts": 4, "fisher_tokens": 4, "hold_out": 0.3, "val_rows": 4, "layers": 1}


def adapted(model: Any, *, moved: float = 0.0) -> Any:
    """With LoRA on every linear layer, its update at zero or away from it."""
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", lora_dropout=0.3, init_lora_weights=True)
    found = get_peft_model(model, config)
    move(found, moved)
    return found


def move(model: Any, by: float) -> None:
    """Takes LoRA's updates a random step away from where they are."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(torch.randn_like(weight), alpha=by)


@pytest.fixture
def make_alpha(make_learning: Callable[..., Any]) -> Callable[..., AlphaTokenLearning]:
    return lambda model, **settings: make_learning(model, "alphatoken", settings={**QUICK, **settings})


def test_projections_are_the_last_layers(make_model: Callable[..., Any]) -> None:
    llama, gpt2 = make_model("llama"), make_model("gpt2")
    names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
    names += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    assert [one.name for one in projections(llama, 1)] == [f"model.layers.1.{name}" for name in names]
    assert [one.name.rpartition(".")[2] for one in projections(adapted(llama), 1) if one.values] == ["v_proj"]
    assert len(projections(llama, 9)) == 14, "there are two layers"
    found = projections(gpt2, 1)
    assert [one.name.rpartition("h.1.")[2] for one in found] == ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
    assert found[0].values == slice(-32, None)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lora", [False, True])
def test_factors_make_the_weights_gradient(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], family: str, lora: bool
) -> None:
    model = make_model(family)
    batch = make_learning(model).collate(PLACES)
    model = adapted(model, moved=0.1) if lora else model
    wanted = batch["labels"][:, 1:] != -100
    at = projections(model, 2)
    found = traces(model, at, batch, wanted)
    bases = [one.module.get_base_layer() if lora else one.module for one in at]
    for base in bases:
        base.weight.requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(
        model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1][wanted],
        batch["labels"][:, 1:][wanted],
        reduction="sum",
    )
    loss.backward()
    for one, trace, base in zip(at, found, bases, strict=True):
        expected = base.weight.grad.T if isinstance(base, Conv1D) else base.weight.grad
        made = torch.einsum("bto,bti->oi", trace.errors, trace.inputs)
        assert torch.allclose(made, expected, atol=1e-3, rtol=1e-3), one.name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_four_terms_are_the_papers(
    make_model: Callable[..., Any], make_alpha: Callable[..., AlphaTokenLearning], family: str
) -> None:
    """Equations 8 to 12 with every pair of tokens multiplied out, at a model that has moved since the stage began."""
    model = adapted(make_model(family))
    learning = make_alpha(model, layers=2, window=3, stability=1.5, val_rows=100)
    move(model, 0.05)
    batch = learning.collate(PLACES[:2])
    wanted = batch["labels"][:, 1:] != -100
    val = learning.collate(learning.pool)
    val_wanted = val["labels"][:, 1:] != -100
    train, other = (traces(model, learning.at, one, mask) for one, mask in ((batch, wanted), (val, val_wanted)))
    expected = torch.zeros(wanted.shape)
    for number, one in enumerate(learning.at):
        pairs = _pairs(one, train[number], other[number], val_wanted, learning.fisher[number])
        for row, t in wanted.nonzero().tolist():
            expected[row, t] += pairs(row, t, t, slice(None))
            if one.values is not None:
                for k in range(t + 1, min(t + 4, batch["input_ids"].shape[1])):
                    expected[row, t] += train[number].attention[row, k, t] * pairs(row, k, t, one.values)
    found = learning.worth(batch, 0)
    assert torch.allclose(found, expected[wanted], rtol=2e-3, atol=2e-4 * float(found.abs().max()))
    learning.chosen = learning.chosen.model_copy(update={"window": 0})
    assert not torch.allclose(found, learning.worth(batch, 0), rtol=2e-2, atol=2e-3 * float(found.abs().max()))


def _pairs(one: Any, train: Trace, other: Trace, of_other: Any, fisher: Any) -> Callable[..., torch.Tensor]:
    """The target and stability of what a row's tokens ``k`` and ``t`` make together, at some of the outputs."""
    drift = fisher * (one.module.lora_B["default"].weight @ one.module.lora_A["default"].weight * 2.0).detach()
    errors, inputs = other.errors[:, :-1][of_other], other.inputs[:, :-1][of_other]

    def pair(row: int, k: int, t: int, outputs: slice) -> torch.Tensor:
        left, right = train.errors[row, k, outputs], train.inputs[row, t]
        target = ((errors[:, outputs] @ left) * (inputs @ right)).mean()
        return target + 1.5 * left @ drift[outputs] @ right

    return pair


def test_attention_reaches_back_within_the_window_by_hand(make_model: Callable[..., Any]) -> None:
    one = next(one for one in projections(make_model("llama"), 1) if one.values)
    errors = torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]])
    looks = torch.tensor([[[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0.1, 0.2, 0.3, 0.4]]])
    trace = Trace(torch.ones(1, 4, 1), errors, looks)
    near, far = (
        [[1 + 0.5 * 10, 10 + 0.25 * 100, 100 + 0.3 * 1000, 1000]],
        [[1 + 5 + 25 + 100, 10 + 25 + 200, 400, 1000]],
    )
    assert with_later(one, trace, 1).squeeze(-1).tolist() == near
    assert with_later(one, trace, 32).squeeze(-1).tolist() == far
    assert with_later(one, trace, 0).squeeze(-1).tolist() == errors.squeeze(-1).tolist()
    wanted = torch.tensor([[False, True, True]])
    worth = values([one], [trace], [torch.tensor([[2.0]])], wanted, 1)
    assert worth.tolist() == [2 * 35, 2 * 400]


def test_a_model_that_has_not_moved_has_no_stability_term(
    make_model: Callable[..., Any], make_alpha: Callable[..., AlphaTokenLearning]
) -> None:
    model = adapted(make_model("llama"), moved=0.1)
    with_term, without = (make_alpha(model, stability=stability) for stability in (1.5, 0.0))
    assert all(float(one.sum()) > 0 for one in with_term.fisher) and not without.fisher
    batch = with_term.collate(PLACES)
    assert torch.equal(with_term.worth(batch, 0), without.worth(batch, 0))
    with torch.no_grad():
        next(weight for name, weight in model.named_parameters() if "1.self_attn.v_proj.lora_B" in name).add_(0.1)
    assert not torch.equal(with_term.worth(batch, 0), without.worth(batch, 0))


@pytest.mark.parametrize(("share", "kept"), [(1.0, 10), (0.5, 5), (0.3, 3), (0.05, 1), (0.9, 9), (0.99, 9)])
def test_the_best_share_is_kept(share: float, kept: int) -> None:
    torch.manual_seed(0)
    worth = torch.randn(10)
    mask = best(worth, share)
    assert int(mask.sum()) == kept
    assert torch.equal(mask, worth >= torch.quantile(worth, 1 - share))
    assert best(worth[:0], share).tolist() == [] and best(torch.ones(3), 0.1).tolist() == [True] * 3


def test_the_loss_is_the_mean_over_the_tokens_worth_most(
    model: Any, make_alpha: Callable[..., AlphaTokenLearning]
) -> None:
    learning = make_alpha(model, keep=0.4)
    batch = learning.collate(PLACES)
    wanted = batch["labels"][:, 1:] != -100
    worth, masked = learning.worth(batch, 3), learning.prepare(batch, 3)
    kept = (masked["labels"][:, 1:] != -100)[wanted]
    assert not bool((masked["labels"][:, 1:] != -100)[~wanted].any()), "a prompt's token is never chosen"
    assert int(kept.sum()) == math.floor(0.4 * (len(worth) - 1)) + 1 == learning.items(masked)
    assert float(worth[kept].min()) >= float(worth[~kept].max())
    assert learning.facts()["kept"] == pytest.approx(0.4, abs=1 / len(worth))
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    each = torch.nn.functional.cross_entropy(logits[wanted], batch["labels"][:, 1:][wanted], reduction="none")
    assert mean(learning, PLACES, 3).item() == pytest.approx(each[kept].mean().item(), rel=1e-5)


def test_all_tokens_kept_is_sft(
    model: Any, make_alpha: Callable[..., AlphaTokenLearning], make_learning: Callable[..., Any]
) -> None:
    ours, plain = mean(make_alpha(model, keep=1.0), PLACES), mean(make_learning(model), PLACES)
    assert ours.item() == plain.item()
    one, other = gradients(model, ours), gradients(model, plain)
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("family", FAMILIES)
def test_valuing_leaves_everything_as_it_was(
    make_model: Callable[..., Any], make_alpha: Callable[..., AlphaTokenLearning], family: str
) -> None:
    model = adapted(make_model(family), moved=0.1).train()
    before = [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")]
    assert before[-1] == "sdpa"
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    learning = make_alpha(model)
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 0.5) if weight.requires_grad else None
    learning.prepare(learning.collate(PLACES), 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(bool((weight.grad == 0.5).all()) for weight in model.parameters() if weight.requires_grad)
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == trained
    assert [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")] == before
    assert model.training and not any(module._forward_hooks for module in model.modules())


def test_eager_attention_comes_to_an_end_when_valuing_fails(
    make_model: Callable[..., Any], make_alpha: Callable[..., AlphaTokenLearning]
) -> None:
    learning = make_alpha(make_model("llama").train())
    batch = learning.collate(PLACES)
    with pytest.raises(IndexError):
        learning.worth({**batch, "input_ids": batch["input_ids"] + 10_000}, 0)
    assert learning.model.config._attn_implementation == "sdpa" and learning.model.training
    assert all(weight.requires_grad for weight in learning.model.parameters())


def test_pieces_change_no_value(
    model: Any, make_alpha: Callable[..., AlphaTokenLearning], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewright.tools.training.objectives import alphatoken

    learning = make_alpha(model)
    batch = learning.collate(PLACES)
    whole = learning.worth(batch, 0)
    monkeypatch.setattr(alphatoken, "_TOKENS_AT_ONCE", 100)
    assert torch.allclose(learning.worth(batch, 0), whole, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))


def test_fisher_is_the_mean_square_of_sampled_tokens_gradients(make_model: Callable[..., Any]) -> None:
    """One sampled token a prompt: then a token's gradient is the row's, and its square that of torch's gradient."""
    model = make_model("llama")
    at = projections(model, 1)
    prompts = [[5, 9, 2, 40], [1, 3, 5]]
    given = {"new_tokens": 1, "end": 1}
    found = fisher(model, at, prompts, **given, seed=4, check=lambda done, of: None)
    answers = sampled(model, prompts, **given, seed=4)
    expected = [torch.zeros_like(one) for one in found]
    for prompt, answer in zip(prompts, answers, strict=True):
        model.zero_grad()
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1:]
        torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).backward()
        for number, one in enumerate(at):
            # Only the last position's part of the gradient counts: for the layers after attention it is all of it.
            expected[number] += one.module.weight.grad**2 / 2
    for one, ours, theirs in zip(at, found, expected, strict=True):
        if one.name.rpartition(".")[2] not in ("k_proj", "v_proj"):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-7), one.name


def test_sampling_draws_from_the_model_and_touches_no_random_state(make_model: Callable[..., Any]) -> None:
    model = make_model("llama")
    state = torch.get_rng_state()
    first = sampled(model, [[5, 9, 2]] * 400, new_tokens=1, end=1, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == sampled(model, [[5, 9, 2]] * 400, new_tokens=1, end=1, seed=0)
    likely = torch.softmax(model(input_ids=torch.tensor([[5, 9, 2]])).logits[0, -1], -1).detach()
    counts = torch.bincount(torch.tensor(first).flatten(), minlength=len(likely))
    top = int(likely.argmax())
    assert counts[top] / 400 == pytest.approx(float(likely[top]), abs=0.08)
    long = sampled(model, [[5, 9, 2]] * 50, new_tokens=60, end=top, seed=0)
    assert any(answer[-1] == top and len(answer) < 60 for answer in long)
    assert all(top not in answer[:-1] for answer in long)


def test_rows_are_held_out_by_their_content_and_never_trained_on(make_data: Callable[..., Any]) -> None:
    from tests.conformance.objective_case import ROWS

    rows = [dict(row) for row in ROWS["completion"]]
    copies = [{**row, "id": f"{row['id']}-2"} for row in rows]
    data = make_data("alphatoken", [*rows, *copies], steps=40, hold_out=0.3)
    out = {place for place, row in enumerate(data.rows) if held_out(row, 0.3)}
    assert 3 < len(out) < 30 and not out & set(data.order)
    assert all((place in out) == (place + len(rows) in out) for place in range(len(rows))), "copies are parted"
    assert data.left == {"is held out to compare the others with": len(out)}
    share = sum(held_out({**rows[0], "target": str(number)}, 0.1) for number in range(5000)) / 5000
    assert share == pytest.approx(0.1, abs=0.02)


def test_general_data_is_trained_on_and_never_compared_with(model: Any, tokenizer: Any) -> None:
    from tests.conformance.objective_case import ROWS

    general = [{**row, "id": f"g{row['id']}", "source": "book", "target": f"{row['target']}!"} for row in ROWS["label"]]
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path="a", name="a"), DataSource(path="book", name="book", general=True)),
        format="completion",
        input_field="input",
        target_field="target",
        metric=Metric(name="exact_match"),
    )
    stage = Stage.model_validate(
        {
            "objective": {"kind": "alphatoken", **QUICK},
            "data": {"replay": 0.5},
            "optimisation": {"lr": 1e-3, "batch_size": 4, "steps": 12},
        }
    )
    rows: Any = ROWS["completion"]
    data = stage_data(rows, task, stage, 0, 1, tokenizer, general=general)  # type: ignore[arg-type]  # plain dicts
    learning = AlphaTokenLearning(model, AlphaTokenConfig(**QUICK), Begin(data, seed=1))
    assert any(held_out(row, 0.3) for row in data.rows[len(rows) :]), "there are some that could be"
    assert learning.pool == [place for place, row in enumerate(rows) if held_out(row, 0.3)]
    assert {data.rows[place]["source"] for place in data.order} == {"a", "book"}


def test_without_rows_to_compare_with_it_says_so(model: Any, make_alpha: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="none of 24 training rows is held out"):
        make_alpha(model, hold_out=1e-6)
