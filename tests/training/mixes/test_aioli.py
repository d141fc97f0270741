"""Aioli: un-smoothing, normalising and following by hand, its rounds, and batches that are what was found."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy
import pytest
from tests.training.planted import COMPLETION, mixed

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.mixes.aioli import AioliConfig, followed, interactions, leaning, normalised
from tunewright.tools.training.remixing import Remixing, segments
from tunewright.tools.training.stop import Stop

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
SOURCES = {"sources": [{"path": f"{name}.jsonl", "name": name} for name in ("one", "two", "noise")]}


def test_leaning_mixtures() -> None:
    for j, mixture in enumerate(leaning(3, 0.6)):
        assert mixture == pytest.approx([0.6 if m == j else 0.2 for m in range(3)])


def test_unsmoothing_returns_what_was_mixed() -> None:
    truth = numpy.random.default_rng(0).normal(size=(3, 3))
    drops = truth @ numpy.asarray(leaning(3, 0.625)).T
    assert numpy.allclose(interactions(drops.tolist(), 0.625), truth)
    assert interactions([[1.0, 2.0], [3.0, 4.0]], 1.0) == [[1.0, 2.0], [3.0, 4.0]], "one-hot needs no solving"
    with pytest.raises(UsageError, match="even share of 2 sources"):
        interactions([[1.0, 2.0], [3.0, 4.0]], 0.5)


def test_normalising_and_following_by_hand() -> None:
    assert normalised([[1.0, -1.0], [3.0, 1.0]]) == [[2 / 8, 0.0], [4 / 8, 2 / 8]]
    assert normalised([[1.0, 1.0], [1.0, 1.0]]) == [[0.25, 0.25], [0.25, 0.25]], "nothing below zero is left as it is"
    assert normalised([[0.0, 0.0], [0.0, 0.0]]) == [[0.0, 0.0], [0.0, 0.0]]
    top, rest = 0.5 * math.exp(2 * 0.75), 0.5 * math.exp(2 * 0.25)
    found = followed((0.5, 0.5), [[2 / 8, 0.0], [4 / 8, 2 / 8]], 2.0)
    assert found == pytest.approx((top / (top + rest), rest / (top + rest)))
    assert followed((0.2, 0.8), [[0.25, 0.25], [0.25, 0.25]], 5.0) == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("steps", [10, 41, 200])
@pytest.mark.parametrize("sweeps", [1, 2])
def test_rounds_fill_the_stage(steps: int, sweeps: int) -> None:
    settings = AioliConfig(rounds=2, sweeps=sweeps)
    if steps == 10 and sweeps == 2:
        with pytest.raises(UsageError, match="2 rounds of a stage of 10 steps") as caught:
            segments(steps, 3, settings, 0)
        assert "14 steps at least" in caught.value.hint
        return
    found = segments(steps, 3, settings, 0)
    assert found[0].start == 0 and sum(one.length for one in found) == steps
    assert all(one.start + one.length == after.start for one, after in pairwise(found))
    leans = [one.lean for one in found]
    assert Counter(leans) == {0: 2 * sweeps, 1: 2 * sweeps, 2: 2 * sweeps, None: 2}
    assert [one.first for one in found].count(True) == 2
    swept = sum(one.length for one in found if one.lean is not None)
    assert swept <= max(steps // 2, 6 * sweeps) and all(one.length <= 4 for one in found if one.lean is not None)
    assert found == segments(steps, 3, settings, 0)


def stage(steps: int = 60, **policy: Any) -> dict[str, Any]:
    return {
        "adapter": {"kind": "lora", "rank": 4, "dropout": 0.1},
        "data": {"policy": {"kind": "aioli", "eta": 2.0, **policy}},
        "optimisation": {
            "lr": 1e-2, "batch_size": 8, "steps": steps, "schedule": "constant", "warmup_ratio": 0, "precision": "fp32",
        },
    }  # fmt: skip


def test_batches_are_what_was_found(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never hold what is measured on."""
    seen: list[tuple[int, list[str]]] = []
    due = Remixing.due

    def watched(self: Remixing, batch: Any, step: int) -> Any:
        found = due(self, batch, step)
        at, order = self._order
        start = (step - self.segments[at].start) * 8
        seen.append((step, [self.data.rows[place]["id"] for place in order[start : start + 8]]))
        assert found["input_ids"].tolist() == self.collate(order[start : start + 8])["input_ids"].tolist()
        return found

    monkeypatch.setattr(Remixing, "due", watched)
    rows = mixed()
    job = make_job("job", stage(rounds=2), own=rows, task={**COMPLETION, **SOURCES})
    assert main(job.argv) == CODES["done"], job.result().fault
    said = json.loads((job.out / "mix-0.json").read_text())
    assert said["weights"] == dict.fromkeys(("one", "two", "noise"), 1 / 3) and len(said["held"]) == 6
    assert [step for step, _ in seen] == list(range(60))
    assert not {one for _, ids in seen for one in ids} & set(said["held"])
    where = {row["id"]: row["source"] for row in rows}
    for number, found in enumerate(said["rounds"]):
        assert found["step"] == 30 * number + 12
        drawn = Counter(where[one] for step, ids in seen if found["step"] <= step < 30 * (number + 1) for one in ids)
        for name, weight in found["weights"].items():
            assert abs(drawn[name] - weight * 18 * 8) < 1, "the rows of the rest of the round, to the whole row"
    last = job.events("progressed")[-1].facts
    assert {name: last[f"mix.{name}"] for name in where.values()} == said["rounds"][-1]["weights"]


@pytest.mark.parametrize("after", [7, 13, 31, 45])
def test_a_stop_anywhere_changes_nothing(make_job: Make, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """In a sweep, after one, at the first step of a round, in its rest."""
    jobs = [
        make_job(name, stage(rounds=2, ema=0.3), own=mixed(clean=12, noise=12), task={**COMPLETION, **SOURCES})
        for name in ("whole", "halves")
    ]
    assert main(jobs[0].argv) == CODES["done"]
    curve = jobs[1].out / "curve.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__bool__", lambda self: curve.exists() and len(curve.read_text().splitlines()) >= after)
        assert main(jobs[1].argv) == CODES["paused"]
    assert jobs[1].result().steps == after
    assert main(jobs[1].argv) == CODES["done"]
    assert jobs[0].curve() == jobs[1].curve()
    assert jobs[0].result().adapter_digest == jobs[1].result().adapter_digest
    rounds = [json.loads((job.out / "mix-0.json").read_text())["rounds"] for job in jobs]
    assert rounds[0] == rounds[1] and len(rounds[0]) == 2


@pytest.mark.parametrize("seed", [2, 3])
def test_noise_gets_a_low_weight(make_job: Make, seed: int) -> None:
    policy = {"rounds": 4, "hold_out": 0.3, "lean": 0.9}
    job = make_job("job", stage(120, **policy), own=mixed(), task={**COMPLETION, **SOURCES}, seed=seed)
    assert main(job.argv) == CODES["done"]
    assert json.loads((job.out / "mix-0.json").read_text())["rounds"][-1]["weights"]["noise"] < 1 / 3 * 0.75


def test_a_stage_too_short_for_its_rounds_is_the_recipes_fault(make_job: Make) -> None:
    job = make_job("job", stage(10, rounds=4), own=mixed(clean=6, noise=6), task={**COMPLETION, **SOURCES})
    assert main(job.argv) == CODES["config"]
    assert "4 rounds of a stage of 10 steps" in job.result().fault.message
