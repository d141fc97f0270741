"""Every scorer that ships, against the contract and against answers worked out by hand."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.scorer import ScorerConformance

from tunewright.domain.errors import DataError, UnknownNameError, UsageError
from tunewright.domain.outcome import Item
from tunewright.domain.protocols import Scorer
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.evaluation.measure import check
from tunewright.tools.evaluation.registry import ALIASES, canonical, scorer, scorers
from tunewright.tools.evaluation.scorers.rouge_l import common_subsequence


class TestShipped(ScorerConformance):
    @pytest.fixture(params=scorers())
    def scorer(self, request: pytest.FixtureRequest) -> Scorer:
        return scorer(request.param)

    @pytest.fixture
    def row(self, scorer: Scorer) -> Mapping[str, Any]:
        row = {"id": "0", "source": "s", "input": "What is 6 * 7?", "target": "42", "meta": {}}
        return arithmetic() if scorer.name == "reasoning_gym" else row


def task(metric: str, **changes: Any) -> TaskSpec:
    return TaskSpec(
        model="m",
        sources=(DataSource(path="d.jsonl", name="d"),),
        format="completion",
        input_field="q",
        target_field="a",
        metric=Metric(name=metric),
    ).model_copy(update=changes)


def arithmetic(**meta: Any) -> dict[str, Any]:
    import reasoning_gym

    entry = reasoning_gym.create_dataset("basic_arithmetic", size=1, seed=1)[0]
    known = {"dataset": "basic_arithmetic", "entry_metadata": entry["metadata"]}
    return {
        "id": "0",
        "source": "s",
        "input": entry["question"],
        "target": entry["answer"],
        "meta": {key: value for key, value in {**known, **meta}.items() if value is not None},
    }


@pytest.mark.parametrize(
    ("name", "prediction", "target", "expected"),
    [
        ("accuracy", "refund", "refund", 1.0),
        ("accuracy", "Refund", "refund", 0.0),
        ("exact_match", "  a\n b ", "a b", 1.0),
        ("exact_match", "a b c", "a b", 0.0),
        ("contains", "The answer is  Forty\nTwo.", "forty two", 1.0),
        ("contains", "anything", "", 0.0),
        ("contains", "", "", 1.0),
        ("token_f1", "The cat sat.", "a cat sat down", 0.8),
        ("token_f1", "no no no", "no", 0.5),
        ("token_f1", "", "word", 0.0),
        ("token_f1", "the", "A", 1.0),
        ("rouge_l", "police killed the gunman", "police kill the gunman", 0.75),
        ("rouge_l", "the gunman kill police", "police kill the gunman", 0.5),
        ("rouge_l", "", "word", 0.0),
        ("json_valid", '{"a": [1, 2.5e3, null]}', "", 1.0),
        ("json_valid", "{'a': 1}", "", 0.0),
        ("json_valid", "NaN", "", 0.0),
        ("json_valid", '{"a": 1} and more', "", 0.0),
        ("loss", "0.25", "", 0.25),
        ("perplexity", "0.25", "", 0.25),
    ],
)
def test_scores(name: str, prediction: str, target: str, expected: float) -> None:
    row = {"id": "0", "source": "s", "input": "", "target": target, "meta": {}}
    assert scorer(name).score(prediction, row) == pytest.approx(expected)


def test_macro_f1_counts_a_rare_label_as_much_as_a_common_one() -> None:
    said, wanted = "aaaaaabb", "aaaaaaba"
    run = [
        Item(id=str(i), score=float(s == t), prediction=s, target=t)
        for i, (s, t) in enumerate(zip(said, wanted, strict=True))
    ]
    # a: precision 6/6, recall 6/7; b: precision 1/2, recall 1/1
    assert scorer("macro_f1").aggregate(run) == pytest.approx((2 * 6 / 13 + 2 * 1 / 3) / 2)


def test_perplexity_is_of_the_mean_loss() -> None:
    run = [Item(id=str(i), score=s, prediction="", target="") for i, s in enumerate([1.0, 3.0])]
    assert scorer("perplexity").aggregate(run) == pytest.approx(7.389056)
    overflow = [run[0].model_copy(update={"score": 1e6})]
    assert scorer("perplexity").aggregate(overflow) == float("inf")


def test_common_subsequence_by_hand_and_by_the_table() -> None:
    assert common_subsequence("ABCBDAB", "BDCABA") == 4  # Cormen et al., figure 15.8
    assert common_subsequence([], ["a"]) == common_subsequence(["a"], []) == 0
    long = ["x"] * 200
    assert common_subsequence(long, [*long, "y"]) == 200


def test_reasoning_gym_asks_the_tasks_own_verifier() -> None:
    row, own = arithmetic(), scorer("reasoning_gym")
    assert own.score(f" {row['target']}\n", row) == 1.0
    assert own.score("no idea", row) < 0.5
    as_text = arithmetic(entry_metadata='{"source_dataset": "basic_arithmetic"}', dataset=None)
    assert own.score(as_text["target"], as_text) == 1.0


@pytest.mark.parametrize("meta", [{"dataset": "no-such-task"}, {"dataset": None, "entry_metadata": None}])
def test_reasoning_gym_says_at_the_start_what_a_row_lacks(meta: dict[str, Any]) -> None:
    row = arithmetic(**meta)
    with pytest.raises(DataError, match=row["id"]) as raised:
        check(scorer("reasoning_gym"), task("reasoning_gym"), [row])
    assert "entry_metadata" in raised.value.hint
    assert scorer("reasoning_gym").score("1", row) == 0.0


def test_reasoning_gym_says_at_the_start_that_its_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)  # what Python itself puts there for "not to be had"
    with pytest.raises(UsageError, match="not installed") as raised:
        check(scorer("reasoning_gym"), task("reasoning_gym"), [])
    assert "pip install" in raised.value.hint


def test_accuracy_needs_labels() -> None:
    with pytest.raises(UsageError, match="labels") as raised:
        check(scorer("accuracy"), task("accuracy"))
    assert "exact_match" in raised.value.hint


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_lead_to_scorers(alias: str) -> None:
    assert scorer(alias).name == ALIASES[alias]


@pytest.mark.parametrize("spelled", ["macro F1", "Macro-F1", " macro_f1 ", "F1"])
def test_spelling_is_forgiven(spelled: str) -> None:
    assert canonical(spelled) == "macro_f1"


def test_unknown_metric_lists_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match="'acuracy'") as raised:
        scorer("acuracy")
    assert "did you mean 'accuracy'" in raised.value.hint
    assert "rouge_l" in raised.value.hint


def test_another_package_can_bring_a_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "length", "length_metric:Length")
    code = """
        class Length:
            name, direction, needs = "length", "min", "generation"
            def score(self, prediction, row): return float(len(prediction))
            def aggregate(self, items): return max(item.score for item in items)
    """
    (tmp_path / "length_metric.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    assert "length" in scorers()
    assert scorer("length").score("four", {}) == 4.0


def test_a_broken_package_harms_only_its_own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "gone", "no_such_module:Thing")
    package(tmp_path, "odd", "collections:OrderedDict")
    monkeypatch.syspath_prepend(tmp_path)
    assert scorer("accuracy").name == "accuracy"
    with pytest.raises(UsageError, match="gone"):
        scorer("gone")
    with pytest.raises(UsageError, match="lacks direction"):
        scorer("odd")


def package(folder: Path, name: str, target: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tunewright.scorers]\n{name} = {target}\n")
