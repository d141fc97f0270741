"""Pairs: how they are made of rows, laid out in batches and cut, and what the reference is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import mean

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Objective
from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.models.pair import pair, worse_answer
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import adapter, check_recipe, objective, objectives
from tunewright.tools.training.stop import Interrupted

PLACES = [0, 1, 13]
PAIRED = [kind for kind in objectives() if "preference" in objective(kind).formats[:1]]


def row(target: str, **own: Any) -> Row:
    return Row(id="1", source="a", input="wave", target=target, meta={}, **own)  # type: ignore[typeddict-item]


def labels_task(make_data: Callable[..., Any], labels: tuple[str, ...]) -> Any:
    return make_data("sft").form.task.model_copy(update={"format": "label", "labels": labels})


def test_another_label_is_drawn_by_seed_and_row(make_data: Callable[..., Any]) -> None:
    task = labels_task(make_data, ("a", "b", "c"))
    rows = [{**row("b"), "id": f"{number:016x}"} for number in range(300)]
    drawn = [worse_answer(one, task, 1) for one in rows]
    assert set(drawn) == {"a", "c"} and 110 < drawn.count("a") < 190
    assert drawn == [worse_answer(one, task, 1) for one in rows]
    assert drawn != [worse_answer(one, task, 2) for one in rows]
    assert worse_answer(row("b", rejected="x"), task, 1) == "x", "the row's own comes first"


def test_both_answers_follow_one_prompt_even_where_the_longer_one_shortens_it(make_data: Callable[..., Any]) -> None:
    form = make_data("sft").form
    long = {**row("short", rejected="a much longer answer " * 7), "input": "word " * 60}
    better, worse = form.encode(long), form.encode({**long, "target": long["rejected"]})
    assert len(worse.prompt) < len(better.prompt)
    found = pair(long, form, 0)
    assert found.prompt == worse.prompt
    assert (found.chosen, found.rejected) == (better.completion, worse.completion)
    assert len(found.prompt) + len(found.rejected) <= form.limit


def test_a_batch_is_chosen_answers_and_then_rejected_ones(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "dpo", form="preference")
    batch = learning.collate(PLACES)
    decode = learning.data.form.tokenizer.decode
    answers = [decode([one for one in line if one >= 0][:-1]).strip() for line in batch["labels"].tolist()]
    rows = [ROWS["preference"][place] for place in PLACES]
    assert answers == [*(one["target"] for one in rows), *(one["rejected"] for one in rows)]
    first = [line[: line.index(next(one for one in labels if one >= 0))] for line, labels in zip(
        batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True
    )]  # fmt: skip
    assert first[:3] == first[3:], "both answers have the same prompt"
    assert learning.items(batch) == 3
    assert learning.tokens(batch) == sum(len(one.prompt) + len(said) for place in PLACES for one in [
        learning.pairs[place]] for said in (one.chosen, one.rejected))  # fmt: skip


@pytest.mark.parametrize(("size", "counts"), [(None, [3]), (1, [1, 1, 1]), (2, [1, 1, 1]), (5, [2, 1]), (6, [3])])
def test_no_pair_is_cut_in_two(
    model: Any, make_learning: Callable[..., Any], size: int | None, counts: list[int]
) -> None:
    learning = make_learning(model, "dpo", form="preference")
    batch = learning.collate(PLACES)
    parts = list(learning.cut(batch, size))
    assert [learning.count(part) for part in parts] == counts
    for name in ("reference", "per_token"):
        halves = [half for part in parts for half in [part[name].chunk(2)]]
        joined = torch.cat([*(half[0] for half in halves), *(half[1] for half in halves)])
        assert torch.equal(joined, batch[name])
    width = max(int(part["attention_mask"].sum(1).max()) for part in parts)
    assert max(part["input_ids"].shape[1] for part in parts) == width, "without padding that no row needs"


@pytest.mark.parametrize("kind", PAIRED)
def test_rows_that_make_no_pair_are_left_out_by_reason(make_data: Callable[..., Any], kind: str) -> None:
    form, method = make_data("sft").form, objective(kind)

    def admitted(one: Row, of: Any = form) -> str | None:
        return method.admit(one, of.encode(one), of, Objective(kind=kind))

    assert admitted(row("yes", rejected="no")) is None
    same = "a long beginning " * 20
    assert "do not differ within 160 tokens" in str(admitted(row(same + "yes", rejected=same + "no")))
    assert "no second answer" in str(admitted(row("yes")))
    assert method.formats[-1] == "label" and method.formats.index("preference") < method.formats.index("label")


def test_rows_of_a_label_task_make_pairs(
    model: Any, make_data: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    learning = make_learning(model, "dpo", form="label")
    decode = learning.data.form.tokenizer.decode
    for place, found in learning.pairs.items():
        target = ROWS["label"][place]["target"]
        assert decode(found.chosen[:-1]).strip() == target
        assert decode(found.rejected[:-1]).strip() in {"sea", "sky", "sun"} - {target}


def test_the_reference_is_the_policy_as_it_begins_adapter_included(
    make_model: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    policy = get_peft_model(make_model("llama"), LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5))
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    policy.train()
    state = torch.get_rng_state()
    learning = make_learning(policy, "dpo", form="preference")
    assert torch.equal(torch.get_rng_state(), state), "looking changes no random state"
    assert policy.training and all(module.training for module in policy.modules())
    once = copy.deepcopy(policy).eval()
    for place in PLACES:
        one = learning.pairs[place]
        for said, expected in zip((one.chosen, one.rejected), learning.reference[place], strict=True):
            ids = torch.tensor([[*one.prompt, *said]])
            likely = once(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[-len(said) :].sum()
            assert likely.item() == pytest.approx(expected, abs=1e-3)
    with torch.no_grad():
        bare = policy.get_base_model()
        with policy.disable_adapter():
            ids = torch.tensor([[*learning.pairs[0].prompt, *learning.pairs[0].chosen]])
            without = bare(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
    assert abs(float(without[-len(learning.pairs[0].chosen) :].sum()) - learning.reference[0][0]) > 1e-2


@pytest.mark.parametrize("kept", [False, True])
def test_dropout_is_silent_unless_it_is_kept(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], kept: bool
) -> None:
    policy = get_peft_model(make_model("llama"), LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5))
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    learning = make_learning(policy.train(), "dpo", form="preference", settings={"keep_dropout": kept})
    losses = set()
    for step in range(3):
        policy.train()
        losses.add(mean(learning, PLACES, step).item())
    assert len(losses) == (3 if kept else 1)
    assert kept or next(iter(losses)) == pytest.approx(math.log(2), abs=1e-5)


def test_the_reference_of_a_stage_can_be_stopped(model: Any, make_learning: Callable[..., Any]) -> None:
    def stop(done: int, of: int) -> None:
        assert 0 < done <= of == 2 * 24
        raise Interrupted

    with pytest.raises(Interrupted):
        make_learning(model, "dpo", form="preference", begin={"check": stop})


def test_a_row_that_nobody_planned_has_no_reference(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "dpo", form="preference", steps=1)
    unknown = next(place for place in range(24) if place not in learning.data.order)
    with pytest.raises(FaultError, match="drawn while it was trained"):
        learning.collate([unknown])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "hinge", "label_smoothing": 0.1}, "the loss 'hinge' does not read label_smoothing"),
        ({"loss": "sigmoid", "tau": 0.2}, "the loss 'sigmoid' does not read tau"),
        ({"loss": "sft", "beta": 0.2}, "the loss 'sft' does not read beta"),
        ({"loss": "sft", "sft_weight": 1.0}, "the loss 'sft' does not read sft_weight"),
    ],
)
def test_settings_that_a_loss_does_not_read_are_refused(settings: dict[str, Any], words: str) -> None:
    from tunewright.domain.recipe import Recipe

    stage = {"objective": {"kind": "dpo", **settings}, "optimisation": {"lr": 1e-3, "steps": 1}}
    with pytest.raises(UsageError, match=words) as caught:
        check_recipe(Recipe.model_validate({"stages": [stage]}))
    assert "leave it out" in caught.value.hint


ADAPTERS = (
    "adalora",
    "cera",
    "full",
    "gpart",
    "last_k",
    "matryoshka",
    "moa",
    "prefix_tuning",
    "prompt_tuning",
    "unipool",
)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_adapter_begins_as_its_own_reference(make_job: Callable[..., Any], kind: str) -> None:
    """Prompts that change the model from the start, dropout that is no module, weights that are trained in place."""
    known = adapter(kind).Config.model_fields
    own = {name: value for name, value in (("rank", 4), ("dropout", 0.5)) if name in known}
    stage = {
        "objective": {"kind": "dpo"},
        "adapter": {"kind": kind, **own},
        "optimisation": {"lr": 1e-2, "batch_size": 8, "steps": 2, "precision": "fp32", "warmup_ratio": 0.0},
    }
    job = make_job(
        "job", stage, own=ROWS["preference"], task={"sources": [{"path": "a", "name": "a", "format": "preference"}]}
    )
    assert main(job.argv) == 0, job.result().fault
    first, second = (point["loss"] for point in job.curve())
    assert first == pytest.approx(math.log(2), abs=1e-5) and second != first
    assert "the reference: 32 answers are read once before the first step" in {
        event.message for event in job.events("noted")
    }
