"""Tell it a task and a budget in plain words; it plans, reviews, runs and reproduces a fine-tuning study.

import tunewright as tw

options = tw.StudyOptions(review="never")
summary = tw.run("Teach tiny to label rows.jsonl. At most 5 minutes and 4 trials.", options=options)
tw.load(summary.study).trials
tw.reproduce(summary.best_run_id)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tunewright.peft_import import register_when_imported

if TYPE_CHECKING:
    from tunewright.app import (
        Answer,
        LabelOptions,
        StudyOptions,
        doctor,
        export,
        label,
        load,
        merge,
        methods,
        report,
        reproduce,
        resume,
        review,
        run,
        status,
        studies,
    )

__version__ = "0.1.0"
__all__ = [
    "Answer", "LabelOptions", "StudyOptions", "doctor", "export", "label", "load", "merge", "methods", "report",
    "reproduce", "resume", "review", "run", "status", "studies",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The library: imported when first used, so that ``import tunewright`` stays light."""
    if name in __all__:
        return getattr(import_module("tunewright.app"), name)
    raise AttributeError(f"module 'tunewright' has no attribute '{name}'")


register_when_imported()  # so that PEFT loads every adapter that tunewright exported
