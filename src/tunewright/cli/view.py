"""The observer that shows a study: lines that stay, and in a terminal a live screen under them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tunewright.cli.line import Line, Tone
from tunewright.cli.narration import progress_for
from tunewright.cli.plan import plan_lines
from tunewright.cli.questions import question_lines
from tunewright.cli.screen import Screen
from tunewright.cli.table import batch_lines, batch_table
from tunewright.domain import event as ev
from tunewright.domain.live import Live, Said
from tunewright.domain.study import Study

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live as LiveScreen

_STYLES: dict[Tone, str] = {"plain": "", "good": "green", "bad": "red", "warn": "yellow", "faint": "dim"}


class View:
    """Shows what an observer is told, on ``console``. A context manager: inside it the screen is live.

    Args:
        study: what is known already, for a study that is resumed.
    """

    def __init__(self, console: Console, study: Study | None = None) -> None:
        self.console = console
        self._screen = Screen(study or Study())
        self._shown: set[str] = set()
        """Bindings of the plan and of the runs that are on the screen already."""
        self._live: LiveScreen | None = None
        # The screen is drawn by rich's own thread while events are folded in here.
        self._lock = threading.RLock()

    @property
    def study(self) -> Study:
        """The study as far as it has been told."""
        return self._screen.study

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.live import Live as LiveScreen

            self._live = LiveScreen(
                console=self.console, get_renderable=self._render, refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, one: ev.Event | Live | Said) -> None:
        """The observer."""
        # Printed outside the lock: rich's thread holds the console while it waits to draw the screen.
        with self._lock:
            study = self._screen.study
            lines = self._screen.take(one)
        match one:
            case ev.PlanProposed():
                self.show(study, ["plan"])
            case ev.ReviewAsked():
                self.show(study, one.targets)
            case _:
                self.say(*lines)
        if self._live is None:
            self.say(*progress_for(one, study))

    def say(self, *lines: Line) -> None:
        """Prints lines above the screen."""
        from rich.text import Text

        width = self.console.width if self.console.is_terminal else None
        for line in lines:
            for row in line.rows(width):
                self.console.print(Text(row, style=_STYLES[line.tone]), soft_wrap=True)

    def show(self, study: Study, targets: Sequence[str]) -> None:
        """The plan, the questions, or the table of runs, unless the same is on the screen already."""
        if not targets:
            return
        bindings = {target: _binding(study, target) for target in targets}
        if self._shown.issuperset(bindings.values()):
            return
        self._shown.update(bindings.values())
        self.console.print()
        if "plan" in bindings:
            self.say(*plan_lines(study))
        elif study.doubts.open:
            self.say(*question_lines(study, targets))
        else:
            self.say(*batch_lines(study))
            self.console.print(batch_table(study, targets))

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """No live screen while somebody types."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _render(self) -> RenderableType:
        with self._lock:
            return self._screen.render()


def _binding(study: Study, target: str) -> str:
    if target == "plan":
        return study.plan.binding if study.plan else ""
    if study.doubts.open:
        return target
    return study.recipe_of(target).binding
