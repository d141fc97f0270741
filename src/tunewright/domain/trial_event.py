"""What a job writes to ``out/events.jsonl`` while it runs: one JSON object a line, told apart by ``kind``.

This file is the only channel of numbers from a sandbox. The host tails it, checks every line against
these types, and drops what does not fit with a warning.
"""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, TypeAdapter

from tunewright.domain.frozen import Frozen
from tunewright.domain.outcome import Measurement


class _TrialEvent(Frozen):
    at: float = Field(default_factory=time.time)
    """Seconds since the epoch, by the clock of the machine that runs the job."""


class Started(_TrialEvent):
    """The job's process is up and has read its specification."""

    kind: Literal["started"] = "started"
    device: str
    threads: int
    precision: str = "fp32"
    resumed_from: int = 0
    """Optimiser step of the checkpoint it continues, 0 for a fresh start."""


class Progressed(_TrialEvent):
    """An optimiser step was taken (training) or a batch was scored (evaluation)."""

    kind: Literal["progressed"] = "progressed"
    step: int
    of: int
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tokens: int = 0
    """Since the start of the job, resumed steps included."""
    elapsed_s: float = 0.0
    memory_gib: float = 0.0
    facts: dict[str, float] = {}
    """What else the objective reports of the step, such as ``reward`` or ``kl``."""


class Measured(_TrialEvent):
    """Validation was scored at a rung or at the end."""

    kind: Literal["measured"] = "measured"
    measurement: Measurement
    final: bool = False


class Scored(_TrialEvent):
    """Some rows more were scored, of a training's last measurement. Rows come in their frozen order, each once."""

    kind: Literal["scored"] = "scored"
    step: int
    first: int = Field(ge=0)
    """Rows that were scored before these."""
    of: int = Field(gt=0)
    """Rows in all."""
    scores: tuple[FiniteFloat, ...] = Field(min_length=1)
    seconds: float = Field(0.0, ge=0)
    """Since the first row."""


class Checkpointed(_TrialEvent):
    """A resumable checkpoint is on disk."""

    kind: Literal["checkpointed"] = "checkpointed"
    step: int


class Noted(_TrialEvent):
    """Something a person should know: an alarm, a fallback, what preflight decoded."""

    kind: Literal["noted"] = "noted"
    level: Literal["info", "warning"] = "info"
    message: str


TrialEvent = Annotated[Started | Progressed | Measured | Scored | Checkpointed | Noted, Field(discriminator="kind")]
trial_event: TypeAdapter[Started | Progressed | Measured | Scored | Checkpointed | Noted] = TypeAdapter(TrialEvent)
