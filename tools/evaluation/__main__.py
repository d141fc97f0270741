"""The evaluation job: ``python -m tunewright.tools.evaluation FOLDER --model DIR``.

Scores ``in/data.jsonl`` with the model, or with the adapter of ``in/adapter`` on it, by the same contract as a
training. It trains nothing, so the sealed test can be mounted here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tunewright.domain.job import EvaluationSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.trial_event import Measured, Progressed, Started
from tunewright.tools.contract import FaultError, Output, exit_code, failed, peak_memory_gib, read_spec
from tunewright.tools.data.rows import load_rows
from tunewright.tools.evaluation.inference import Progress, device_of
from tunewright.tools.evaluation.measure import check, measure
from tunewright.tools.evaluation.registry import scorer
from tunewright.tools.evaluation.speed import forward_tokens_per_s
from tunewright.tools.models.precision import resolve_precision


class _Stopped(BaseException):
    """SIGTERM. Not an ``Exception``, so that nothing on the way takes it for a failure of its own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job in a folder and returns its exit code (``domain.outcome.EXIT_CODES``). May be called again."""
    parser = argparse.ArgumentParser(prog="python -m tunewright.tools.evaluation", description=__doc__)
    parser.add_argument("folder", type=Path, help="the job's folder, with spec.json and in/")
    parser.add_argument("--model", type=Path, required=True, help="the model's directory")
    given = parser.parse_args(argv)
    began = time.perf_counter()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    output = Output(given.folder)
    before = _on_sigterm()
    try:
        output.result(_run(given.folder, given.model, output, began))
        return exit_code("done")
    except _Stopped:
        # There is nothing to keep: a second attempt scores every row again, and comes to the same.
        output.result(JobResult(status="paused", peak_memory_gib=peak_memory_gib()))
        return exit_code("paused")
    except Exception as error:  # the one place that records a failed evaluation
        return failed(output, error)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        output.close()


def _on_sigterm() -> Any:
    """Makes SIGTERM raise, and returns what it did before; None where signals cannot be set."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(number: int, frame: object) -> NoReturn:
        raise _Stopped

    return signal.signal(signal.SIGTERM, stop)


def _run(folder: Path, model_path: Path, output: Output, began: float) -> JobResult:
    import torch

    spec = read_spec(folder)
    if not isinstance(spec, EvaluationSpec):
        raise FaultError("config", f"expected the specification of an evaluation, got one of a {spec.job}", 0)
    torch.set_num_threads(spec.limits.threads)
    rows = _rows(folder / "in" / "data.jsonl", spec)
    # Before the model is loaded: what is wrong here needs no gigabyte to be found.
    check(scorer(spec.task.metric.name), spec.task, rows)
    model, tokenizer = _model(model_path, folder / "in" / "adapter", spec)
    precision = resolve_precision(spec.precision)
    device = str(device_of(model))
    output.event(Started(device=device, threads=torch.get_num_threads(), precision=precision))
    encoded = _encoded(rows, spec, tokenizer, output)
    setup_s = time.perf_counter() - began
    progress = _progress(output, began)
    measurement, items = measure(model, tokenizer, rows, spec.task, step=0, precision=precision, progress=progress)
    output.items(items)
    output.event(Measured(measurement=measurement, final=True))
    return JobResult(
        status="done",
        measurement=measurement,
        tokens=sum(len(ids) for ids in encoded),
        forward_tokens_per_s=forward_tokens_per_s(model, encoded, precision) if spec.split == "val" else None,
        eval_s=measurement.seconds,
        setup_s=setup_s,
        peak_memory_gib=peak_memory_gib(),
        adapter_digest=spec.adapter_digest,
        device=device,
        precision=precision,
    )


def _rows(path: Path, spec: EvaluationSpec) -> list[Any]:
    """The rows of the split, if they are the ones that were approved."""
    rows = load_rows(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != spec.data.digest:
        raise FaultError(
            "data", f"in/data.jsonl is not the {spec.split} split of the specification: digest {digest}", 0
        )
    return list(rows)


def _model(path: Path, adapter: Path, spec: EvaluationSpec) -> tuple[Any, Any]:
    """The base model and its tokenizer, with the adapter on it if the specification names one."""
    import transformers

    from tunewright.tools.models.load import load_model

    transformers.utils.logging.set_verbosity_error()  # advice for programmers has no place in a job's log
    transformers.utils.logging.disable_progress_bar()
    model, tokenizer = load_model(path)
    if spec.adapter_digest is None:
        return model, tokenizer
    from tunewright.tools.models.adapter import attach, digest_adapter

    if not adapter.is_dir():
        raise FaultError("infra", "the specification names an adapter and there is no in/adapter", 0)
    found = digest_adapter(adapter)
    if found != spec.adapter_digest:
        raise FaultError("config", f"in/adapter is not the adapter of the specification: digest {found}", 0)
    return attach(model, adapter), tokenizer


def _encoded(rows: Sequence[Any], spec: EvaluationSpec, tokenizer: Any, output: Output) -> list[list[int]]:
    """Token ids of all rows, target included. Says so if any had to be cut."""
    from tunewright.tools.models.prompt import template

    form = template(spec.task, tokenizer)
    encoded = [form.encode(row) for row in rows]
    cut = sum(one.cut for one in encoded)
    if cut:
        output.note(f"{cut} of {len(rows)} rows were too long for {form.limit} tokens and were cut", "warning")
    return [one.input_ids for one in encoded]


def _progress(output: Output, began: float) -> Progress:
    def tell(done: int, total: int) -> None:
        elapsed = time.perf_counter() - began
        output.event(Progressed(step=done, of=total, elapsed_s=elapsed, memory_gib=peak_memory_gib()))

    return tell


if __name__ == "__main__":
    sys.exit(main())
