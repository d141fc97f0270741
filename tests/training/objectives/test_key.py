"""Key parts: where they begin, what they weigh, and that nothing before them is trained when they alone are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import close, gradients, mean

from tunewright.tools.contract import FaultError
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.key import key_start
from tunewright.tools.training.scoring import log_likelihood, token_scores

PLACES = [0, 1, 2, 5]
SIGNS = ("<Answer>", ("####", "answer:"))
LAST = 5
"""The last of the six steps: in the second phase."""


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("<Thinking>2+2</Thinking><Answer>4</Answer>", "4</Answer>"),
        ("<Answer>5</Answer>, no: <Answer>4</Answer>", "4</Answer>"),
        ("2 + 2 = 4 #### 4", " 4"),
        ("so the Answer: four", " four"),
        ("answer: 3? #### 4", " 4"),
        ("#### 3, but <Answer>4", "4"),
        ("four", None),
        ("#### ", None),
        ("<answer>4</answer>", None),
        ("", None),
    ],
)
def test_a_key_part_begins_after_the_last_sign(answer: str, key: str | None) -> None:
    start = key_start(answer, *SIGNS)
    assert (None if start is None else answer[start:]) == key


def test_signs_are_text_and_no_patterns() -> None:
    assert key_start("a.b 1", "<Answer>", ["a+b", "."]) == 2
    assert key_start("anything", "<Answer>", []) is None
    assert key_start("anything", "<Answer>", [""]) is None
    assert key_start("İ ANSWER: 4", *SIGNS) == len("İ ANSWER:"), "lower case of some letters is longer"


@pytest.mark.parametrize("packing", [False, True])
def test_labels_of_key_parts_are_those_of_their_tokens(
    model: Any, make_learning: Callable[..., Any], packing: bool
) -> None:
    learning = make_learning(model, "sftkey", settings={"packing": packing})
    batch = learning.collate(PLACES)
    form = learning.data.form
    second = learning.prepare(batch, LAST)["labels"]
    decoded = form.tokenizer.decode([label for label in second.flatten().tolist() if label != IGNORED])
    expected = [f"{ROWS['completion'][place]['target'].rpartition('<Answer>')[2]}" for place in PLACES]
    end = form.tokenizer.decode([form.end])
    assert sorted(part for part in decoded.split(end) if part) == sorted(expected)
    assert torch.equal(second[batch["key"]], batch["labels"][batch["key"]])


def test_label_rows_are_key_parts_as_a_whole(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "sftkey", form="label")
    batch = learning.collate(PLACES)
    assert torch.equal(batch["key"], batch["labels"] != IGNORED)


def test_the_second_phase_sends_no_gradient_to_reasons(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "sftkey")
    whole = learning.collate(PLACES)
    batch = learning.prepare(whole, LAST)
    logits = []

    def keep(module: Any, args: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        logits.append(output)

    handle = model.get_output_embeddings().register_forward_hook(keep)
    wanted = whole["labels"][:, 1:] != IGNORED
    scores = token_scores(model, batch, wanted, log_likelihood)
    key = (batch["labels"][:, 1:] != IGNORED)[wanted]
    handle.remove()
    (-(scores * key).sum() / learning.items(batch)).backward()
    assert bool((logits[0].grad[~key] == 0).all()) and bool((logits[0].grad[key] != 0).any())
    assert mean(learning, PLACES, LAST).item() == pytest.approx(-(scores * key).sum().item() / learning.items(batch))


def test_labels_of_reasons_do_not_matter_in_the_second_phase(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "sftkey")
    batch = learning.collate(PLACES)
    reasons = (batch["labels"] != IGNORED) & ~batch["key"]
    other = {**batch, "labels": batch["labels"].masked_fill(reasons, IGNORED)}
    first, second = (
        [learning.loss(learning.prepare(one, step)).item() for one in (batch, other)] for step in (0, LAST)
    )
    assert first[0] != first[1] and second[0] == second[1]


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 6), (0.5, 3), (1.0, 0), (0.25, 4)])
def test_both_phases_share_the_steps(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], ratio: float, expected: int
) -> None:
    learning = make_learning(make_model("llama"), "sftkey", settings={"stage2_ratio": ratio, "stage2_lr_scale": 0.2})
    assert learning.data.steps == 6
    batch = learning.collate([0])
    alone = [bool((learning.prepare(batch, step)["labels"] != batch["labels"]).any()) for step in range(6)]
    assert alone == [False] * expected + [True] * (6 - expected)
    assert [learning.rate(step) for step in range(6)] == [1.0] * expected + [0.2] * (6 - expected)


def test_without_a_second_phase_it_is_sft(model: Any, make_learning: Callable[..., Any]) -> None:
    key, plain = make_learning(model, "sftkey", settings={"stage2_ratio": 0}), make_learning(model, "sft")
    assert key.data.order == plain.data.order
    losses = [mean(learning, PLACES, LAST) for learning in (key, plain)]
    assert losses[0].item() == losses[1].item()
    one, other = (gradients(model, loss) for loss in losses)
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_key_tokens_count_several_times(model: Any, make_learning: Callable[..., Any], weight: float) -> None:
    learning = make_learning(model, "key_tokens", settings={"key_weight": weight})
    batch = learning.collate(PLACES)
    labels = batch["labels"][:, 1:]
    wanted = labels != IGNORED
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    likely = torch.log_softmax(logits, -1)[wanted].gather(1, labels[wanted][:, None])[:, 0]
    weights = torch.where(batch["key"][:, 1:][wanted], weight, 1.0)
    expected = -(weights * likely).sum() / weights.sum()
    found = mean(learning, PLACES)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert close(gradients(model, found), gradients(model, expected))


def test_the_weight_leads_from_sft_to_the_second_phase(model: Any, make_learning: Callable[..., Any]) -> None:
    one, many = (mean(make_learning(model, "key_tokens", settings={"key_weight": w}), PLACES).item() for w in (1, 1e6))
    assert one == mean(make_learning(model, "sft"), PLACES).item()
    assert many == pytest.approx(mean(make_learning(model, "sftkey"), PLACES, LAST).item(), rel=1e-3)
    assert not math.isclose(one, many, rel_tol=1e-3)


@pytest.mark.parametrize("kind", ["sftkey", "key_tokens"])
def test_rows_without_a_key_part_are_left_out_and_counted(make_data: Callable[..., Any], kind: str) -> None:
    rows = [dict(row) for row in ROWS["completion"][:8]]
    for number in (1, 4):
        rows[number]["target"] = "no sign of it"
    rows[6]["target"] = "x" * 200 + "<Answer>sky"  # beyond the limit of 160 tokens
    data = make_data(kind, rows)
    assert sum(data.left.values()) == 3 and not {1, 4, 6} & set(data.order)
    assert "has nothing after one of <Answer>, ####, answer:" in next(iter(data.left))
    with pytest.raises(FaultError, match="can learn from no training row: 1 has nothing after one of <A>"):
        make_data(kind, rows[:1], tag="<A>", markers=["so:"])
