"""Which of two answers a model prefers: any language model by likelihood, a reward model by its head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.evaluation.conftest import LABELS, make_rows, make_task
from tests.evaluation.test_job import make_job, run

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.evaluation.measure import check, measure
from tunewright.tools.evaluation.preference import ranks
from tunewright.tools.evaluation.registry import canonical, scorer
from tunewright.tools.models.adapter import digest_adapter, save_adapter
from tunewright.tools.models.prompt import encode_example
from tunewright.tools.models.resolve import Found
from tunewright.tools.models.reward_head import carry_head, new_head, save_head

Loaded = tuple[Any, Any]
METRIC = "preference_accuracy"


def task(**changes: Any) -> TaskSpec:
    return make_task(METRIC, **{"format": "preference", **changes})


def pairs(count: int = 9) -> list[dict[str, Any]]:
    return [{**row, "rejected": f"{LABELS[i % 4]}, a longer one"} for i, row in enumerate(make_rows(count))]


def test_the_base_model_prefers_what_is_likelier_a_token(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows = pairs()
    told: list[tuple[int, int]] = []
    found, items = measure(
        model, tokenizer, rows, task(), step=3, batch_tokens=120, progress=lambda *pair: told.append(pair)
    )
    for row, item in zip(rows, items, strict=True):
        means = []
        for said in (row["target"], row["rejected"]):
            ids, labels = encode_example({**row, "target": said}, task(), tokenizer)
            with torch.no_grad():
                means.append(-float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss))
        assert float(item.prediction) == pytest.approx(means[0] - means[1], abs=1e-4)
        assert item.score == float(means[0] > means[1]) and item.target == row["target"]
    assert found.value == pytest.approx(sum(item.score for item in items) / 9) and 0 < found.value < 1
    assert found.low is not None and found.low <= found.value
    assert told[-1] == (18, 18)


def test_a_longer_answer_is_not_worse_for_its_length(loaded: Loaded) -> None:
    """A model that says every token is equally likely is at chance: every pair is a tie."""
    model, tokenizer = loaded
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found, items = measure(model, tokenizer, pairs(), task(), step=0)
    assert found.value == 0.5 and {item.score for item in items} == {0.5}


def test_a_reward_model_is_asked_by_its_head(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows = pairs()
    carry_head(model, head := new_head(model, 2))
    _, items = measure(model, tokenizer, rows, task(), step=0)
    for row, item in zip(rows, items, strict=True):
        rewards = []
        for said in (row["target"], row["rejected"]):
            ids, _ = encode_example({**row, "target": said}, task(), tokenizer)
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
            rewards.append(float((states @ head.weight[0]).detach()))
        assert float(item.prediction) == pytest.approx(rewards[0] - rewards[1], abs=1e-4)
    with torch.no_grad():
        head.weight.neg_()
    _, turned = measure(model, tokenizer, rows, task(), step=0)
    assert [item.score for item in turned] == [1 - item.score for item in items]


def test_judged_answers_are_ranked_against_those_of_the_other_kind(loaded: Loaded) -> None:
    model, tokenizer = loaded
    rows = [{**row, "good": i % 3 == 0} for i, row in enumerate(make_rows(12))]
    judged = task(format="judged")
    found, items = measure(model, tokenizer, rows, judged, step=0)
    scores = []
    for row in rows:
        ids, labels = encode_example(row, judged, tokenizer)
        with torch.no_grad():
            scores.append(-float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss))
    wins = [(good > bad) for i, good in enumerate(scores) for j, bad in enumerate(scores) if i % 3 == 0 and j % 3]
    assert found.value == pytest.approx(sum(wins) / len(wins))
    best = max(range(12), key=lambda i: scores[i])
    assert items[best].score == (1.0 if best % 3 == 0 else 0.0)
    check(scorer(METRIC), judged, rows)
    with pytest.raises(DataError, match="has no 'good'"):
        check(scorer(METRIC), judged, make_rows(2))


@pytest.mark.parametrize(
    ("scores", "good", "expected"),
    [
        ([3.0, 1.0, 2.0, 0.0], [True, False, True, False], [1.0, 1.0, 1.0, 1.0]),
        ([0.0, 1.0], [True, False], [0.0, 0.0]),
        ([1.0, 1.0, 0.0], [True, False, False], [0.75, 0.5, 1.0]),
        ([1.0, 2.0], [True, True], [0.5, 0.5]),
        ([1.0, 2.0], [False, False], [0.5, 0.5]),
    ],
)
def test_ranks(scores: list[float], good: list[bool], expected: list[float]) -> None:
    assert ranks(scores, good) == expected


def test_of_labels_another_one_is_the_worse_answer(loaded: Loaded) -> None:
    labels = task(format="label", labels=LABELS)
    _, first = measure(*loaded, make_rows(), labels, step=0)
    _, again = measure(*loaded, make_rows(), labels, step=0)
    assert first == again and all(float(item.prediction) != 0 for item in first)


def test_an_evaluation_job_finds_the_head_beside_the_adapter(tmp_path: Path, tiny: Found, loaded: Loaded) -> None:
    model, tokenizer = loaded
    torch.manual_seed(0)
    wrapped = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)).eval()
    save_adapter(wrapped, tmp_path / "adapter", base="tiny")
    save_head(new_head(wrapped, 2), tmp_path / "adapter")
    carry_head(wrapped, new_head(wrapped, 2))
    expected, _ = measure(wrapped, tokenizer, pairs(), task(), step=0)
    make_job(tmp_path / "job", tiny, task(), pairs(), adapter_digest=digest_adapter(tmp_path / "adapter"))
    (tmp_path / "adapter").rename(tmp_path / "job" / "in" / "adapter")
    code, result = run(tmp_path / "job", tiny)
    assert code == 0 and result.measurement is not None
    assert result.measurement.value == expected.value


def test_one_answer_a_row_is_not_enough() -> None:
    found = scorer(METRIC)
    with pytest.raises(UsageError, match="rows of format completion have one each") as caught:
        check(found, task(format="completion"))
    assert "chosen and rejected" in caught.value.hint
    with pytest.raises(DataError, match="has no 'rejected'"):
        check(found, task(), make_rows(2))
    check(found, task(), pairs())


def test_a_model_that_has_diverged_prefers_nothing(loaded: Loaded) -> None:
    model, tokenizer = loaded
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FaultError, match="not finite"):
        measure(model, tokenizer, pairs(), task(), step=5)


@pytest.mark.parametrize("said", ["Preference accuracy", "pairwise-accuracy", "reward_accuracy"])
def test_it_goes_by_several_names(said: str) -> None:
    assert canonical(said) == METRIC


@pytest.mark.parametrize(("prediction", "score"), [("0.1", 1.0), ("-0.1", 0.0), ("0.0", 0.5), ("", 0.0), ("nan", 0.0)])
def test_scores(prediction: str, score: float) -> None:
    assert scorer(METRIC).score(prediction, make_rows(1)[0]) == score
