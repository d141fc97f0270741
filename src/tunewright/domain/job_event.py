"""What happens to a job, from its launch to its end: the events."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.budget import Cost
from tunewright.domain.moment import Moment
from tunewright.domain.outcome import Measurement, Outcome, PartialScore

Role = Literal["base", "preflight", "trial", "confirm", "test"]
"""``base``: the untouched model on validation; ``preflight``: the first steps of a trial whose memory is near the
limit; ``trial``: a search trial; ``confirm``: a finalist's recipe on a fresh seed; ``test``: the winner on the sealed
test, once."""


class JobLaunched(Moment):
    """About to start a job: the intent. ``reserved`` is held in the ledger until its ``JobEnded``."""

    kind: Literal["job-launched"] = "job-launched"
    job: str
    role: Role
    binding: str
    attempt: int = Field(1, gt=0)
    reserved: Cost
    proposal: str | None = None


class JobMeasured(Moment):
    """A rung was reached."""

    kind: Literal["job-measured"] = "job-measured"
    job: str
    measurement: Measurement


class JobSteered(Moment):
    """The scheduler decided on a running trial."""

    kind: Literal["job-steered"] = "job-steered"
    job: str
    action: Literal["continue", "pause", "stop"]
    reason: str = Field(min_length=1)
    partial: PartialScore | None = None
    """What it was stopped with, if that was while its end was scored."""


class JobPromoted(Moment):
    """The scheduler lets a trial that waits at a rung go on; another ``JobLaunched`` follows."""

    kind: Literal["job-promoted"] = "job-promoted"
    job: str
    reason: str = Field(min_length=1)
    closing: bool = False
    """Nothing new can be begun any more: it is not held up at the rungs that follow."""


class JobEnded(Moment):
    """A job ended and its cost is settled. A ``Paused`` outcome is followed by another ``JobLaunched``."""

    kind: Literal["job-ended"] = "job-ended"
    job: str
    outcome: Outcome


class JobRecovered(Moment):
    """Found at start: a job that was running when an earlier process died. It ran until ``ran_until``."""

    kind: Literal["job-recovered"] = "job-recovered"
    job: str
    ran_until: float
