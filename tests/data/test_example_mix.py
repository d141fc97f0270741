"""examples/mix: its data is made again byte for byte, its noise is noise, and its brief does not measure on it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from tests.agents.briefs import read

from tunewright.domain.space import Simplex
from tunewright.tools.data.freeze import freeze
from tunewright.tools.data.rows import load_rows
from tunewright.tools.training.space import Wanted, recipe_space

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "mix"
SOURCES = ("first", "second", "noise")


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / "data" / f"{name}.jsonl").read_text().splitlines()]


def test_the_script_makes_the_data_that_is_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("prepare_mix", FOLDER / "prepare.py")
    assert spec is not None and spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    monkeypatch.setattr(prepare, "TARGET", tmp_path)
    prepare.main()
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(SOURCES)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (FOLDER / "data" / path.name).read_bytes()


def test_two_sources_are_right_and_one_is_right_by_chance() -> None:
    right = {name: sum(row["city"] in row["order"] for row in rows(name)) / len(rows(name)) for name in SOURCES}
    cities = {row["city"] for row in rows("noise")}
    assert right["first"] == right["second"] == 1.0
    assert right["noise"] < 2 / len(cities), "a shuffled city is right once in so many orders as there are cities"
    orders = [row["order"] for name in SOURCES for row in rows(name)]
    assert len(set(orders)) == len(orders)


def test_the_brief_trains_on_three_sources_and_measures_on_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    reading = read((FOLDER / "brief.md").read_text(), FOLDER / "brief.md")
    task = reading.task
    assert [(one.name, one.measured) for one in task.sources] == [("first", True), ("second", True), ("noise", False)]
    assert (task.input_field, task.target_field, task.metric.name) == ("order", "city", "loss")
    assert not reading.unused
    freeze(task, tmp_path, seed=0)
    train, val = (load_rows(tmp_path / "data" / f"{name}.jsonl") for name in ("train", "val"))
    assert {row["source"] for row in val} == {"first", "second"}
    assert sum(row["source"] == "noise" for row in train) == len(rows("noise"))
    made = recipe_space(Wanted(adapters=["lora"], sources=[one.name for one in task.sources]))
    (mix,) = [one for one in made.dimensions if isinstance(one, Simplex)]
    assert mix.parts == SOURCES
