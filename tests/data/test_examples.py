"""The examples' data: there after a clone, and made again byte for byte."""

from __future__ import annotations

import importlib.util
import json
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.data.freeze import freeze
from tunewright.tools.data.layout import inspect

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = {"routing": ("messages.jsonl",), "arithmetic": ("sums.jsonl", "divisors.jsonl")}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"prepare_{name}", EXAMPLES / name / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DATA)
def test_the_script_makes_the_data_that_is_in_the_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = script(name)
    try:
        version = metadata.version(prepare.PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{prepare.PACKAGE} is not installed")
    if version != prepare.VERSION:
        pytest.skip(f"{prepare.PACKAGE} {version} is installed, the data is of {prepare.VERSION}")
    monkeypatch.setattr(prepare, "DATA", tmp_path)
    prepare.main()
    for file in DATA[name]:
        assert (tmp_path / file).read_bytes() == (EXAMPLES / name / "data" / file).read_bytes()


@pytest.mark.parametrize("name", DATA)
def test_the_brief_names_its_data_from_the_root_of_the_repository(name: str) -> None:
    said = (EXAMPLES / name / "brief.md").read_text()
    for file in DATA[name]:
        path = f"examples/{name}/data/{file}"
        assert path in said
        layout = inspect(EXAMPLES.parent / path).layout
        assert layout is not None
        assert f"`{layout.input_field}`" in said
        assert f"`{layout.target_field}`" in said


def test_the_routing_data_is_20_topics_of_different_messages(tmp_path: Path) -> None:
    path = EXAMPLES / "routing" / "data" / "messages.jsonl"
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path=str(path), name="messages"),),
        format="label",
        input_field="text",
        target_field="label",
        metric=Metric(name="accuracy"),
    )
    frozen = freeze(task, tmp_path, seed=0)
    assert len(frozen.task.labels) == 20
    assert frozen.profile.duplicates == frozen.profile.empty == 0
    assert frozen.data.val.rows >= 100
    # Every conversation of the corpus is accounted for, but for the one of the topic left out.
    assert sum(json.loads(line)["pairs"] for line in path.read_text().splitlines()) == 2024


@pytest.mark.parametrize("file", DATA["arithmetic"])
def test_every_answer_of_the_arithmetic_data_passes_its_own_verifier(file: str) -> None:
    reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
    path = EXAMPLES / "arithmetic" / "data" / file
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    verify = reasoning_gym.get_score_answer_fn(rows[0]["dataset"])
    for row in rows:
        entry = {"question": row["question"], "answer": row["answer"], "metadata": row["entry_metadata"]}
        assert verify(row["answer"], entry) == 1.0
        assert verify(row["answer"] + "1", entry) < 1.0
    assert len({row["question"] for row in rows}) == len(rows) == 600
