"""The search benchmark's tables hold what they claim, and its base is as small as it says."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SEARCH = Path(__file__).parents[2] / "benchmarks" / "search"


def _reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("search_benchmark_table", SEARCH / "table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


READER = _reader()


@pytest.fixture(params=[name for name in READER.TASKS if (SEARCH / "tables" / f"{name}.npz").exists()])
def table(request: pytest.FixtureRequest) -> Any:
    return READER.load(request.param)


def test_as_many_trainings_are_there_as_are_claimed(table: Any) -> None:
    done, same = table.arrays["done"], table.arrays["same_done"]
    assert done.sum() + same.sum() == table.trainings > 0
    trained = np.prod([len(values) for name, values in table.axes.items() if name != "epochs"])
    assert done.shape == (len(table.seeds), trained) and trained * len(table.axes["epochs"]) >= 1200
    assert same.shape == (40,)
    if table.whole:
        assert done.all() and same.all() and len(table.same()) == 40


def test_items_are_what_scores_are_means_of(table: Any) -> None:
    arrays, rows = table.arrays, table.rows["val"]
    for prefix in ("", "same_"):
        done, scores = arrays[prefix + "done"], arrays[prefix + "score"]
        right = np.unpackbits(arrays[prefix + "bits"], axis=-1, count=rows).mean(-1)
        there = ~np.isnan(scores)
        np.testing.assert_allclose(scores[there], right[there], atol=1e-12)
        fault = arrays[prefix + "fault_kind"] > 0
        assert there[done & ~fault].all() and not there[..., -1][fault].any() and not there[~done].any()
    assert table.base.score == pytest.approx(table.base.items.mean())


def test_a_record_is_whole(table: Any) -> None:
    """Whatever point of the space is asked for, short recipes are the beginning of long ones."""
    chance, longest, read = random.Random(0), max(table.axes["epochs"]), 0
    for point in chance.sample(list(itertools.product(*table.axes.values())), 200):
        settings, seed = dict(zip(table.axes, point, strict=True)), chance.choice(table.seeds)
        try:
            record = table.lookup(settings, seed)
        except KeyError:
            assert not table.whole
            continue
        read += 1
        whole = table.lookup({**settings, "epochs": longest}, seed)
        assert [rung.score for rung in record.rungs] == [rung.score for rung in whole.rungs[: len(record.rungs)]]
        assert record.seconds > 0 and record.memory_gib > 0 and record.trainable > 0
        if record.fault is None:
            assert record.rungs[-1].epochs == settings["epochs"] and record.rungs[-1].step == record.steps
            assert record.adapter_bytes > 0 and record.score == pytest.approx(record.rungs[-1].items.mean())
        else:
            assert record.score is None and record.fault.kind and record.fault.message
            assert all(rung.step <= record.fault.step for rung in record.rungs)
        times = [rung.train_s for rung in record.rungs]
        assert times == sorted(times)
    assert read > 0


def test_what_is_not_there_is_said(table: Any) -> None:
    with pytest.raises(KeyError, match="adapter is 'gold'"):
        table.lookup({**table.default, "adapter": "gold"}, 1)
    with pytest.raises(KeyError, match="no training with seed 7"):
        table.lookup(table.default, 7)
    other = {**table.default, "adapter": "ia3"}
    with pytest.raises(KeyError, match="no training with seed 101"):
        table.lookup(other, 101)


def test_the_space_is_worth_searching(table: Any) -> None:
    """Neither flat nor hopeless, with a limit of memory that some recipes exceed, and with few other faults."""
    done = table.arrays["done"]
    scores = table.arrays["score"][..., -1]
    assert np.nanmax(scores) > table.base.score + 0.1
    assert np.nanquantile(scores, 0.9) - np.nanquantile(scores, 0.1) > 0.05
    assert (table.arrays["fault_kind"] > 0)[done].mean() < 0.3
    assert 0.05 < (table.arrays["memory_gib"] > table.memory_limit_gib)[done].mean() < 0.2
    for adapter in table.axes["adapter"]:
        for number, lr in enumerate(table.lrs(adapter)):
            assert table.nearest_lr(adapter, lr * 1.5) == table.nearest_lr(adapter, lr / 1.5) == number


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in (SEARCH / "tables").iterdir()) < 10e6
    assert sum(path.stat().st_size for path in (SEARCH / "base").iterdir()) < 12e6
    with (SEARCH / "base" / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
    assert sum(int(np.prod(shape)) for shape in shapes) < 5e6
