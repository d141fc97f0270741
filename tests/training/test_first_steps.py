"""The first steps of a training alone: each stage's, on the longest rows, with nothing kept but what they took."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.training.conftest import rows, stage

from tunewright.domain.outcome import EXIT_CODES
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.first_steps import limited, longest_first

DONE = next(code for code, said in EXIT_CODES.items() if said == "done")
Make = Callable[..., Any]


def tried(job: Any, steps: int = 2) -> Any:
    """The job as a preflight, done."""
    path = job.folder / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "preflight_steps": steps}))
    assert main(job.argv) == DONE
    return job.result()


def data(lengths: list[int], order: list[int], batch: int) -> StageData:
    encoded = [SimpleNamespace(input_ids=[0] * length) for length in lengths]
    return StageData(cast(Any, None), cast(Any, encoded), order, batch, [])


def test_the_longest_rows_come_first_and_the_stage_stays_as_long() -> None:
    found = longest_first(data([3, 9, 1, 7, 5], [0, 1, 2, 3, 4, 0, 1, 2], 2), 2)
    assert found.order == [1, 3, 4, 0, 4, 0, 1, 2] and found.steps == 4
    few = longest_first(data([3, 9], [0, 1, 0, 1, 0, 1], 3), 2)
    assert few.order == [1, 0, 1, 0, 1, 0], "rows come again where there are fewer than the steps take"
    seen = longest_first(data([3, 9, 1, 7], [0, 2, 0, 2], 1), 1)
    assert seen.order == [0, 2, 0, 2], "a row that the recipe never comes to is not tried"
    assert limited([6, 1], 2) == [2, 1] and limited([6, 1], None) == [6, 1]


def test_each_stage_is_begun_and_nothing_is_kept(make_job: Make) -> None:
    own = [{**row, "input": row["input"] * (9 if place == 20 else 1)} for place, row in enumerate(rows(30))]
    job = make_job("job", stage(steps=6), stage({"kind": "full"}, steps=9, batch_size=8), own=own)
    result = tried(job)
    assert (result.status, result.steps, result.total_steps, result.measurement) == ("done", 4, 4, None)
    assert result.peak_memory_gib > 0 and result.trainable_parameters > 0
    assert not job.events("measured") and [one["step"] for one in job.curve()] == [1, 2, 3, 4]
    left = {path.name for path in Path(job.out).iterdir()}
    assert not left & {"adapter", "checkpoint", "items.jsonl"}


@pytest.mark.parametrize("kind", ["sdslora", "adalora"])
def test_methods_that_plan_by_their_steps_are_begun_as_in_the_whole_training(make_job: Make, kind: str) -> None:
    result = tried(make_job("job", stage({"kind": kind}, steps=40)))
    assert result.steps == 2
