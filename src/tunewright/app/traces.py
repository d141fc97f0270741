"""Puts together what writes a study's traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.domain import event as ev

if TYPE_CHECKING:
    from tunewright.agents.notebook import Notebook
    from tunewright.agents.traces.scribe import Scribe
    from tunewright.tracking.mlflow import MlflowTracker


@contextmanager
def traces(notebook: Notebook, folder: Path, tracker: MlflowTracker) -> Iterator[Scribe]:
    """Writes the study's traces beside it, until it is left."""
    from tunewright.agents import prompt
    from tunewright.agents.traces.scribe import Scribe
    from tunewright.tracking.mlflow_traces import MlflowTraces
    from tunewright.tracking.traces import TraceLog

    prompts = {f"{name}@{prompt.versions()[name]}": text for name, text in prompt.templates().items()}

    def warn(message: str) -> None:
        if message not in notebook.study.warnings:
            notebook.record(ev.Warned(message=message))

    scribe = Scribe(folder, lambda: notebook.study, TraceLog(MlflowTraces(tracker.mlflow), prompts), warn)
    scribe.begin()
    try:
        yield scribe
    finally:
        scribe.close()
