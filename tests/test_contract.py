"""What a job says of itself reaches the host whole, whatever happened to the job."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path
from typing import get_args

import pytest

from tunewright.domain.errors import DataError, ModelError, UnknownNameError
from tunewright.domain.outcome import EXIT_CODES, FaultKind, Item, JobResult
from tunewright.domain.trial_event import Noted, Progressed, trial_event
from tunewright.tools.contract import FaultError, Output, classify, exit_code, failed, peak_memory_gib


class OutOfMemoryError(RuntimeError):
    """Named as torch's, which is told by its name."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FaultError("budget", "over"), "budget"),
        (MemoryError(), "memory"),
        (OutOfMemoryError("CUDA"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "infra"),
        (PermissionError("out/"), "infra"),
        (ImportError("no module named trl"), "infra"),
        (RuntimeError("CUDA error: device-side assert triggered"), "infra"),
        (DataError("line 3"), "data"),
        (ModelError("no model"), "config"),
        (UnknownNameError("no metric"), "config"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "config"),
        (ValueError(), "config"),
    ],
)
def test_who_is_to_blame(error: Exception, kind: FaultKind) -> None:
    fault = classify(error, step=3)
    assert (fault.kind, fault.step) == (kind, 3)
    assert fault.message
    assert "\n" not in fault.message


def test_a_faults_own_step_is_kept() -> None:
    assert classify(FaultError("config", "NaN", 7), step=9).step == 7


def test_a_message_says_where_a_strangers_error_came_from() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / 0
    assert classify(raised.value).message.startswith("ZeroDivisionError: division by zero (test_contract.py:")


def test_a_message_with_bytes_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    output = Output(tmp_path)
    assert failed(output, OSError("cannot read '\udcff.json'")) == 23
    result = JobResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert result.fault is not None and "json" in result.fault.message


def test_a_fault_survives_a_process_border() -> None:
    again = pickle.loads(pickle.dumps(FaultError("memory", "8 of 6 GiB", 1)))
    assert (again.fault.kind, again.fault.message, again.fault.step) == ("memory", "8 of 6 GiB", 1)


def test_every_kind_of_end_has_its_exit_code() -> None:
    said = ["done", "paused", *get_args(FaultKind)]
    assert [EXIT_CODES[exit_code(one)] for one in said] == said


def test_what_was_known_stays_known_after_a_failure(tmp_path: Path) -> None:
    so_far = JobResult(status="paused", steps=40, tokens=9_000, train_s=12.5)
    code = failed(Output(tmp_path), FaultError("config", "the loss is NaN"), step=41, so_far=so_far)
    result = JobResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert code == 20
    assert (result.status, result.steps, result.tokens) == ("failed", 40, 9_000)
    assert result.fault is not None and result.fault.step == 41
    assert result.peak_memory_gib > 0


def test_events_are_there_at_once_and_appended_after_a_torn_line(tmp_path: Path) -> None:
    output = Output(tmp_path)
    output.event(Progressed(step=1, of=2, loss=float("nan")))
    path = tmp_path / "out" / "events.jsonl"
    assert isinstance(trial_event.validate_json(path.read_text()), Progressed)
    with path.open("a") as file:
        file.write('{"kind": "pro')
    Output(tmp_path).note("again: ü")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    last = trial_event.validate_json(lines[-1])
    assert isinstance(last, Noted) and last.message == "again: ü"


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    output = Output(tmp_path)
    items = [Item(id="1", score=1.0, prediction="a\nb\u2028c", target="\x00")]
    output.items(items)
    (line,) = (tmp_path / "out" / "items.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert Item.model_validate_json(line) == items[0]

    with pytest.raises(TypeError):
        output.write("items.jsonl", None)  # type: ignore[arg-type]  # a write that fails
    assert (tmp_path / "out" / "items.jsonl").read_text(encoding="utf-8").startswith(line)


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory_gib()
    block = bytearray(200 * 2**20)
    block[:: 2**12] = b"x" * len(block[:: 2**12])
    assert peak_memory_gib() >= before
    assert peak_memory_gib() > 0.2
