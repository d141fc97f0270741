"""``python -m tunewright.tools.training FOLDER --model DIR``: runs one training job and says how it ended."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tunewright.domain.job import TrialSpec
from tunewright.tools.contract import FaultError, Output, exit_code, failed, read_spec
from tunewright.tools.training.stop import Stop, stop_on_sigterm


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job in a folder by the trial contract. Gives the exit code (``domain.outcome.EXIT_CODES``)."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m tunewright.tools.training", description=__doc__)
    parser.add_argument("folder", type=Path, help="the job: spec.json and in/ are read, out/ is written")
    parser.add_argument("--model", type=Path, required=True, help="the base model's directory")
    given = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    output = Output(given.folder)
    try:
        with stop_on_sigterm() as stop:
            return _run(given.folder, given.model, output, stop, began)
    finally:
        output.close()


def _run(folder: Path, model: Path, output: Output, stop: Stop, began: float) -> int:
    progress = None
    try:
        spec = read_spec(folder)
        if not isinstance(spec, TrialSpec):
            raise FaultError("config", "spec.json is an evaluation, not a training", 0)
        stop.deadline = time.monotonic() + spec.limits.wall_s
        importlib.import_module("tunewright.tools.training.preload")  # sets the environment before the libraries
        from tunewright.tools.training.trial import open_progress, run_trial

        _quieten()
        progress = open_progress(spec, output, stop, began)
        result = run_trial(progress, folder, model)
    except Exception as error:  # the one place that records a failed trial
        step = progress.counters.step if progress else 0
        return failed(output, error, step=step, so_far=progress.result("failed") if progress else None)
    output.result(result)
    return exit_code("done" if result.status == "done" else "paused")


def _quieten() -> None:
    """Keeps progress bars and advice for programmers out of the job's log."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", UserWarning)


if __name__ == "__main__":
    sys.exit(main())
