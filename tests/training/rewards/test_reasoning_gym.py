"""The verifiers of reasoning-gym as a reward."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from tests.training.rewards.courts import scores

from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.registry import scorer
from tunewright.tools.training.reward import Answers

reasoning_gym = pytest.importorskip("reasoning_gym")


def asked(texts: list[str], dataset: str = "basic_arithmetic", meta: Mapping[str, Any] = {}) -> Answers:
    entry = reasoning_gym.create_dataset(dataset, size=1, seed=1)[0]
    known = {"dataset": dataset, "entry_metadata": entry["metadata"], **meta}
    row = Row(id="r0", source="d", input=entry["question"], target=entry["answer"], meta=known)
    return Answers([entry["question"]] * len(texts), texts, [row] * len(texts))


def test_it_is_the_scorer() -> None:
    target = asked([""]).rows[0]["target"]
    given = asked([target, f" {target}\n", "no idea", "", f"<answer>{target}</answer>"])
    own = scorer("reasoning_gym")
    expected = [own.score(text, row) for text, row in zip(given.texts, given.rows, strict=True)]
    assert scores("reasoning_gym", given) == expected and expected[:2] == [1.0, 1.0] and max(expected[2:4]) < 0.5
    assert scores("reasoning_gym", asked([f"<answer>{target}</answer>", target]), within="answer") == [1.0, 0.0]


def test_an_answer_that_keeps_a_verifier_busy_is_worth_nothing() -> None:
    began = time.monotonic()
    given = asked(["9**9**9", "factorial(10**7)", "x"], "countdown")
    assert max(scores("reasoning_gym", given, timeout_s=0.5)) < 0.5
    assert time.monotonic() - began < 25, "without a limit this takes minutes"


def test_a_row_that_names_no_task_is_the_datas_fault() -> None:
    with pytest.raises(FaultError, match="r0 names no task") as raised:
        scores("reasoning_gym", asked(["1"], meta={"dataset": "nothing"}))
    assert raised.value.fault.kind == "data"
