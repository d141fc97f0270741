"""The live screen: what runs now, the best so far, the budget, the last decisions. It scrolls away with the study."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.cli.narration import lines_for, name_of
from tunewright.domain import event as ev
from tunewright.domain.budget import CURRENCIES
from tunewright.domain.live import Live, Said
from tunewright.domain.outcome import Completed, Measurement
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Measured, Progressed, Started

if TYPE_CHECKING:
    from rich.console import RenderableType

DECISIONS = 3


@dataclass
class Running:
    """What is known of a job that runs now."""

    job: str
    since: float
    step: int = 0
    of: int = 0
    from_step: int = 0
    """Where this attempt began: the step of its checkpoint, or 0."""
    loss: float | None = None
    memory_gib: float = 0.0
    last: Measurement | None = None

    def eta_s(self, now: float) -> float | None:
        """Seconds left at the speed so far; None before there is a speed."""
        done = self.step - self.from_step
        return (now - self.since) / done * (self.of - self.step) if done > 0 and self.of else None


@dataclass
class Screen:
    """The state behind the live screen; takes what an observer is called with."""

    study: Study
    running: dict[str, Running] = field(default_factory=dict)
    decisions: deque[str] = field(default_factory=lambda: deque(maxlen=DECISIONS))
    doing: str = ""
    """The set-up step that takes long, until an event says that it is over."""

    def take(self, one: ev.Event | Live | Said) -> list[Line]:
        """Takes it in, and gives the lines that stay; decisions among them stay in sight here too."""
        if not isinstance(one, Live | Said):
            self.study.fold(one)
        lines = lines_for(one, self.study)
        self._note(one)
        if isinstance(one, ev.Judged | ev.Decided | ev.JobPromoted | ev.SearchEnded) or self._ended_trial(one):
            self.decisions.extend(" ".join(line.text.split()) for line in lines)
        elif isinstance(one, ev.JobSteered):
            self.decisions.append(f"{words.label(one.job)} {one.action}: {one.reason}")
        return lines

    def _ended_trial(self, one: ev.Event | Live | Said) -> bool:
        return isinstance(one, ev.JobEnded) and self.study.jobs[one.job].role == "trial"

    def _note(self, one: ev.Event | Live | Said) -> None:
        match one:
            case Said(message=message):
                self.doing = message
            case ev.StudyCreated() | ev.SessionOpened() | ev.Tracked(job="study"):
                self.doing = "getting ready"
            case ev.JobLaunched(job=job):
                self.running[job] = Running(job, one.at)
                self.doing = ""
            case ev.JobEnded(job=job):
                self.running.pop(job, None)
            case Live(job=job, event=event):
                self._take_live(self.running.setdefault(job, Running(job, event.at)), event)
            case _:
                self.doing = ""

    def _take_live(self, running: Running, event: object) -> None:
        match event:
            case Started(resumed_from=step, at=at):
                running.since, running.from_step, running.step = at, step, step
            case Progressed(step=step, of=of):
                running.step, running.of, running.memory_gib = step, of, event.memory_gib
                running.loss = event.loss if event.loss is not None else running.loss
            case Measured(measurement=measurement):
                running.last = measurement

    def render(self) -> RenderableType:
        """The screen as it is now."""
        from rich.console import Group
        from rich.text import Text

        now = time.time()
        parts: list[RenderableType] = [Text("")]
        if self.running:
            parts.append(_jobs(self, now))
        if self.doing:
            parts.append(Text(self.doing, style="dim"))
        best = best_line(self.study)
        parts += [Text(best)] if best else []
        parts.append(_budget(self.study, now))
        parts += [Text(decision, style="dim", no_wrap=True, overflow="ellipsis") for decision in self.decisions]
        return Group(*parts)


def best_line(study: Study) -> str:
    """``best so far   #2 0.796 [0.750, 0.840]; base model 0.112``."""
    best = study.best()
    base = study.base.score if study.base else None
    if best is None or not isinstance(best.outcome, Completed) or best.outcome.result.measurement is None:
        return f"base model   {base:.3f}" if base is not None else ""
    said = f"best so far  {words.label(best.id)} {words.measured(best.outcome.result.measurement)}"
    return said + (f"; base model {base:.3f}" if base is not None else "")


def _jobs(screen: Screen, now: float) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for one in screen.running.values():
        eta = one.eta_s(now)
        grid.add_row(
            Text(name_of(one.job, screen.study).rstrip(), no_wrap=True, overflow="ellipsis"),
            ProgressBar(total=one.of or None, completed=one.step, width=20, pulse=not one.of),
            Text(f"{one.step}/{one.of}" if one.of else words.clock(now - one.since)),
            Text(f"loss {one.loss:.3f}" if one.loss is not None else ""),
            Text(f"{one.last.value:.3f} at {one.last.step}" if one.last else ""),
            Text(f"eta {words.clock(eta)}" if eta is not None else ""),
            Text(words.gib(one.memory_gib) if one.memory_gib else ""),
        )
    return grid


def _budget(study: Study, now: float) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    spent = study.spent(now)
    for name in CURRENCIES:
        cap = getattr(study.budget, name) if study.budget else None
        if cap is not None:
            used = getattr(spent, name)
            bar = ProgressBar(total=cap, completed=min(used, cap), width=20)
            grid.add_row(Text("budget", style="dim"), bar, Text(words.progress(name, used, cap)))
    return grid
