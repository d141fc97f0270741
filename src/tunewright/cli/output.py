"""What goes where: results for programs on stdout as one JSON object, everything for people elsewhere."""

from __future__ import annotations

import contextlib
import json as json_module
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tunewright.domain.plain import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

WIDTH = 140
"""Columns where there is no terminal to ask: wide enough that a table row stays one line in a log."""


GO_ON = "the study is kept: "
"""Begins an exception's note that is for people."""


def print_json(value: Any) -> None:
    """Prints the command's one object. ``value`` is JSON, or a model that can become it."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    # What steers a terminal is written out, as JSON may have any character: programs read the same.
    print(visible(json_module.dumps(value, ensure_ascii=False, allow_nan=False)), flush=True)


def print_error(message: str, hint: str = "", *, json: bool) -> None:
    """``error: message`` and an indented hint on stderr; with ``json`` the same as an object on stdout."""
    hints = "".join(f"\n       {line}" for line in hint.splitlines())
    print(visible(f"error: {message}{hints}"), file=sys.stderr, flush=True)
    if json:
        print_json({"error": message, "hint": hint})


def console(*, stderr: bool) -> Console:
    """A console for people: plain text, no markup, so that brackets in intervals are only brackets. What others wrote,
    data, logs and language models among them, moves no cursor: control characters in it are shown."""
    from rich.console import Console

    class Steady(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for one in super().render(renderable, options):
                yield one if one.control else one._replace(text=visible(one.text))

    made = Steady(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and not os.environ.get("COLUMNS"):
        made.width = WIDTH
    return made


def quiet_libraries() -> None:
    """Keeps libraries from talking over us in this process; whoever sets these variables is left alone."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


@contextlib.contextmanager
def only_json(json: bool) -> Iterator[None]:
    """While the block runs, whatever libraries and child processes print to stdout goes to stderr."""
    if not json:
        yield
        return
    kept = _divert_descriptor()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _divert_descriptor() -> int | None:
    """Points file descriptor 1 at stderr and gives a copy of the old one; None where stdout is not 1."""
    try:
        if sys.stdout.fileno() != 1:
            return None
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(sys.stderr.fileno(), 1)
    except (OSError, ValueError):
        return None
    return kept
