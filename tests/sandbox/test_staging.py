"""Job folders: what is put in, what is kept of an earlier attempt, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from tests.conformance.sandbox import Workshop, workshop

from tunewright.domain.errors import SandboxError
from tunewright.sandbox.staging import begin, stage

__all__ = ["workshop"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text('{"id": "1"}\n')
    return path


def test_spec_and_inputs_are_read_only_and_inputs_cost_no_disk(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    adapter = tmp_path / "adapter"
    (adapter / "deep").mkdir(parents=True)
    (adapter / "deep" / "weights").write_bytes(b"w")
    (adapter / "link").symlink_to("deep/weights")
    spec = workshop.job("finish").spec
    folder = stage(tmp_path / "new", spec, {"train.jsonl": data, "adapter": adapter})
    assert stat.S_IMODE((folder / "spec.json").stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / "in" / "train.jsonl").stat().st_mode) == 0o444
    assert (folder / "in" / "train.jsonl").samefile(data)
    assert (folder / "in" / "adapter" / "deep" / "weights").read_bytes() == b"w"
    assert not (folder / "in" / "adapter" / "link").is_symlink(), "a link would lead nowhere in a container"
    assert (folder / "out").is_dir()
    assert stage(folder, spec, {"train.jsonl": data, "adapter": adapter}) == folder


def test_another_specification_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    spec = workshop.job("finish").spec
    stage(tmp_path / "new", spec, {})
    with pytest.raises(SandboxError, match="another specification"):
        stage(tmp_path / "new", spec.model_copy(update={"sandbox": "other"}), {})


def test_a_changed_input_is_refused(workshop: Workshop, tmp_path: Path, data: Path) -> None:
    spec = workshop.job("finish").spec
    stage(tmp_path / "new", spec, {"train.jsonl": data})
    data.unlink()
    data.write_text('{"id": "2"}\n')
    with pytest.raises(SandboxError, match=r"train\.jsonl.* is not what it was staged with"):
        stage(tmp_path / "new", spec, {"train.jsonl": data})


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".."])
def test_an_input_stays_in_its_folder(workshop: Workshop, tmp_path: Path, data: Path, name: str) -> None:
    with pytest.raises(SandboxError, match="no name for an input"):
        stage(tmp_path / "new", workshop.job("finish").spec, {name: data})


def test_a_missing_input_is_named(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="nowhere"):
        stage(tmp_path / "new", workshop.job("finish").spec, {"train.jsonl": tmp_path / "nowhere"})
    assert not (tmp_path / "new" / "spec.json").exists(), "a half-made folder must not look finished"


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ({"events.jsonl": "{}"}, False),
        ({"events.jsonl": "{}", "checkpoint/step.json": "{}"}, True),
        ({"result.json": '{"status": "done"}'}, True),
        ({"result.json": '{"status": "failed"}'}, False),
        ({"result.json": "{"}, False),
    ],
)
def test_out_is_kept_if_it_is_worth_something(
    workshop: Workshop, tmp_path: Path, left: dict[str, str], kept: bool
) -> None:
    spec = workshop.job("finish").spec
    folder = stage(tmp_path / "new", spec, {})
    for name, text in left.items():
        (folder / "out" / name).parent.mkdir(exist_ok=True)
        (folder / "out" / name).write_text(text)
    stage(folder, spec, {})
    assert any((folder / "out").iterdir()) == kept


def test_a_torn_event_is_closed_off_before_the_next_attempt(workshop: Workshop) -> None:
    job = workshop.job("finish")
    events = job.out / "events.jsonl"
    events.write_text('{"kind": "progressed", "st')
    tail = begin(job)
    with events.open("a") as file:
        file.write(json.dumps({"kind": "checkpointed", "step": 3}) + "\n")
    assert [event.kind for event in tail.read()] == ["checkpointed"]
