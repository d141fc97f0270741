"""Adapters that put trained positions before the input: real jobs, and the ways of measuring that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, llama, logits, rows

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Adapter
from tunewright.tools.evaluation.generation import generate
from tunewright.tools.evaluation.inference import inference
from tunewright.tools.evaluation.labels import label_log_likelihoods
from tunewright.tools.models.adapter import digest_adapter
from tunewright.tools.training import tokens
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter

KINDS = ("prompt_tuning", "prefix_tuning")
CODES = {said: code for code, said in EXIT_CODES.items()}
PROMPTS = [[5, 9, 2], [1, 3, 5, 7], [7, 7, 1], [2, 4, 6, 8, 1, 3]]
LABELS = [[4], [4, 9, 2], [11, 3], [8]]
END = 59
Make = Callable[..., Any]


def stage(kind: str, **settings: Any) -> dict[str, Any]:
    return {
        "adapter": {"kind": kind, **settings},
        "optimisation": {"lr": 1e-2, "batch_size": 4, "steps": 4, "precision": "fp32"},
    }


class Tokenizer:
    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return " ".join(map(str, ids))


@pytest.fixture(params=[(kind, family) for kind in KINDS for family in sorted(MODELS)], ids="-".join)
def trained(request: pytest.FixtureRequest) -> Any:
    kind, family = request.param
    method = adapter(kind)
    run = Run(method, Adapter(kind=kind), MODELS[family](), lr=2 * method.lr[2]).steps(0, 6)
    return run.model.requires_grad_(False).eval()


def last(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits after one plain row, (vocabulary,)."""
    return logits(model, torch.tensor([ids]))[0, -1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["accuracy", "loss", "exact_match"])
def test_a_job_trains_measures_and_comes_to_the_same_again(make_job: Make, kind: str, metric: str) -> None:
    task = {"metric": {"name": metric, "direction": "min" if metric == "loss" else "max"}, "max_new_tokens": 4}
    jobs = [make_job(name, stage(kind), rungs=Rungs(steps=(2,), rows=5), task=task) for name in ("one", "two")]
    assert [main(job.argv) for job in jobs] == [0, 0]
    one, two = (job.result() for job in jobs)
    assert one.measurement is not None and one.measurement.rows == 9
    assert one.measurement.value == two.measurement.value and one.adapter_digest == two.adapter_digest
    assert one.adapter_digest == digest_adapter(jobs[0].out / "adapter")
    assert [event.measurement.step for event in jobs[0].events("measured")] == [2, 4]
    losses = [point["loss"] for point in jobs[0].curve()]
    assert len(losses) == 4 and losses == [point["loss"] for point in jobs[1].curve()]


def test_a_job_in_bf16_is_no_other_job(make_job: Make) -> None:
    for kind in KINDS:
        exact, coarse = make_job(f"{kind}-fp32", stage(kind)), make_job(f"{kind}-bf16", stage(kind))
        spec = coarse.folder / "spec.json"
        spec.write_text(spec.read_text().replace('"precision":"fp32"', '"precision":"bf16"'))
        assert main(exact.argv) == main(coarse.argv) == 0
        assert coarse.result().precision == "bf16"
        assert coarse.curve()[0]["loss"] == pytest.approx(exact.curve()[0]["loss"], rel=0.02)


def test_no_room_for_the_prompt_is_the_recipes_fault(make_job: Make) -> None:
    job = make_job("job", stage("prompt_tuning", tokens=1020))
    assert main(job.argv) == CODES["config"]
    fault = job.result().fault
    assert fault is not None and "more than the model's context of 1024" in fault.message


@pytest.mark.parametrize("kind", [*KINDS, "cera"])
def test_no_stage_follows_what_cannot_be_merged(make_job: Make, kind: str) -> None:
    job = make_job("job", stage(kind), stage("lora"))
    assert main(job.argv) == CODES["config"]
    fault = job.result().fault
    assert fault is not None and f"no stage can follow '{kind}'" in fault.message


def test_stages_around_a_partial_one_come_together(make_job: Make) -> None:
    job = make_job("job", stage("lora"), stage("last_k", blocks=1), stage("prefix_tuning"))
    assert main(job.argv) == 0
    result = job.result()
    (job.out / "result.json").unlink()
    assert main(job.argv) == 0, "the folders are put together again"
    assert job.result().measurement.value == result.measurement.value


def test_labels_are_scored_as_plain_rows_would_be(trained: Any) -> None:
    with inference(trained, "fp32"):
        found = label_log_likelihoods(trained, PROMPTS, LABELS, end=END, batch_tokens=64)
    # A label that begins another one is told apart by the end token.
    whole = [[*label, END] for label in LABELS]  # since one label begins another
    for row, prompt in enumerate(PROMPTS):
        for column, label in enumerate(whole):
            each = [
                last(trained, prompt + label[:place]).double().log_softmax(-1)[token]
                for place, token in enumerate(label)
            ]
            assert found[row, column].item() == pytest.approx(float(sum(each)), abs=1e-4)


def test_answers_do_not_depend_on_the_batch(trained: Any) -> None:
    with inference(trained, "fp32"):
        found = generate(trained, Tokenizer(), PROMPTS, end=END, max_new_tokens=5, batch_tokens=1000)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 5 and ids[-1] != END:
            ids.append(int(last(trained, ids).argmax()))
        assert answer == " ".join(str(token) for token in ids[len(prompt) :] if token != END)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_a_prefix_starts_as_the_rows_it_was_read_from(family: str) -> None:
    start = Start(rows=rows)
    built = adapter("prefix_tuning").build(MODELS[family](), Adapter(kind="prefix_tuning", tokens=12), start)
    text = tokens.running(start, 12)
    assert text == rows(4)[0]["input_ids"].flatten()[:12].tolist()
    ids = torch.tensor([[5, 9, 2, 40]])
    wanted = logits(MODELS[family](), torch.cat([torch.tensor([text]), ids], dim=1))[:, 12:]
    assert torch.allclose(logits(built.eval(), ids), wanted, atol=1e-5)


def test_a_prompt_starts_as_the_answers_tokens() -> None:
    start = Start(seed=4, rows=rows)
    built = adapter("prompt_tuning").build(llama(), Adapter(kind="prompt_tuning", tokens=3, init="labels"), start)
    chosen = tokens.frequent(start, labelled=True)[:3]
    ids = torch.tensor([[5, 9, 2, 40]])
    wanted = logits(llama(), torch.cat([torch.tensor([chosen]), ids], dim=1))[:, 3:]
    assert torch.allclose(logits(built.eval(), ids), wanted, atol=1e-5)
