"""Continued pre-training: which tokens carry loss, of which rows it learns, and at what rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import close, gradients, mean
from torch.nn.functional import cross_entropy

from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import objective

PLACES = [0, 1, 13]


@pytest.mark.parametrize("form", ["text", "completion"])
def test_labels_are_the_inputs_but_for_padding(model: Any, make_learning: Callable[..., Any], form: str) -> None:
    learning = make_learning(model, "cpt", form=form, settings={"packing": False})
    batch = learning.collate(PLACES)
    padding = batch["attention_mask"] == 0
    assert bool(padding.any()) and bool((batch["labels"][padding] == -100).all())
    assert bool((batch["labels"] == batch["input_ids"])[~padding].all())


def test_a_text_is_learned_from_its_first_token_on(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "cpt", form="text")
    row = ROWS["text"][0]
    batch = learning.collate([0])
    labels = [label for label in batch["labels"][0].tolist() if label != -100]
    assert learning.data.form.tokenizer.decode(labels[:-1]).strip() == row["target"]
    assert labels[-1] == learning.data.form.end


def test_it_packs_by_default_and_the_loss_is_of_rows_apart(model: Any, make_learning: Callable[..., Any]) -> None:
    learning = make_learning(model, "cpt", form="text")
    batch = learning.collate(PLACES)
    assert batch["input_ids"].shape == (1, int(batch["attention_mask"].sum()))
    alone = make_learning(model, "cpt", form="text", settings={"packing": False}).collate(PLACES)
    logits = model(input_ids=alone["input_ids"], attention_mask=alone["attention_mask"]).logits[:, :-1]
    expected = cross_entropy(logits.flatten(0, 1), alone["labels"][:, 1:].flatten())
    found = mean(learning, PLACES)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert close(gradients(model, found), gradients(model, expected))


def test_raw_text_comes_before_labelled_rows() -> None:
    assert objective("cpt").formats[0] == "text" and "text" not in objective("sft").formats


def test_a_text_that_is_longer_than_an_example_is_trained_without_its_end(make_job: Callable[..., Any]) -> None:
    rows = [{**row, "target": row["target"] * 4} for row in ROWS["text"]]
    stage = {"objective": {"kind": "cpt"}, "optimisation": {"lr": 1e-3, "steps": 2, "precision": "fp32"}}
    task = {"sources": [{"path": "a.txt", "name": "a", "format": "text"}], "max_length": 16}
    job = make_job("job", stage, own=rows, task=task)
    assert main(job.argv) == 0, job.result().fault
    warnings = [event.message for event in job.events("noted") if event.level == "warning"]
    assert warnings == ["24 of 24 training rows are longer than 16 tokens and lose their end"]
