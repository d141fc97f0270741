"""The doors' only door: what the command line and the library call. Everything here is a plain function.

    run, resume, review             drive a study until it ends, waits or is paused
    status, load, studies, report   read one
    export_decisions                its decisions as data to train on
    follow                          watch one that another process runs
    reproduce, export, merge        take MLflow run ids
    lessons                         what all studies have learned
    label                           asks which of two answers is better, and writes pairs
    methods, doctor                 say what there is

This package is the one place that knows every concrete class and wires them.
"""

from __future__ import annotations

from tunewright.app.again import export, reproduce
from tunewright.app.catalogue import methods
from tunewright.app.decisions import export_decisions
from tunewright.app.driving import resume, review, run
from tunewright.app.following import follow
from tunewright.app.health import Check, doctor
from tunewright.app.labelling import label
from tunewright.app.merging import merge
from tunewright.app.remembering import lessons
from tunewright.app.shelf import load, report, status, studies
from tunewright.domain.event import StudyOptions
from tunewright.domain.review import Answer
from tunewright.tools.preference.options import LabelOptions

__all__ = [
    "Answer", "Check", "LabelOptions", "StudyOptions", "doctor", "export", "export_decisions", "follow", "label",
    "lessons", "load", "merge", "methods", "report", "reproduce", "resume", "review", "run", "status", "studies",
]  # fmt: skip
