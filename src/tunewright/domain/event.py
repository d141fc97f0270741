"""The journal's events: a closed union, told apart by ``kind``. What is not in here did not happen.

Intent is written before an action and outcome after it: ``JobLaunched`` before the sandbox is asked,
``JobEnded`` when it has ended and its cost is known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tunewright.domain.advice import AdviceDropped, Advised
from tunewright.domain.job import CodeIdentity, DataIdentity, ModelIdentity
from tunewright.domain.job_event import JobEnded, JobLaunched, JobMeasured, JobPromoted, JobRecovered, JobSteered
from tunewright.domain.learning import Explained, Learned, Recalled, Reflected, Weighed
from tunewright.domain.model_calls import ModelAsked, ModelAsking, ModelProbed, ModelsChosen
from tunewright.domain.moment import Moment
from tunewright.domain.options import StudyOptions
from tunewright.domain.outcome import Noise, Verdict
from tunewright.domain.profile import DataProfile
from tunewright.domain.proposal import Decision, Hope, Idea, Plan, Proposal
from tunewright.domain.task import Brief
from tunewright.domain.understanding import Clarified, Understood, Wondered

Style = Literal["explore", "balanced", "exploit"]
"""How boldly a search is steered."""


class StudyCreated(Moment):
    kind: Literal["study-created"] = "study-created"
    study: str
    brief: Brief
    options: StudyOptions
    code: CodeIdentity


class SessionOpened(Moment):
    """A process took the study up; the clock of the wall budget runs."""

    kind: Literal["session-opened"] = "session-opened"
    pid: int
    host: str


class SessionClosed(Moment):
    """The process let the study go in good order; the clock stops."""

    kind: Literal["session-closed"] = "session-closed"
    reason: str


class DataFrozen(Moment):
    kind: Literal["data-frozen"] = "data-frozen"
    data: DataIdentity
    profile: DataProfile


class ModelFound(Moment):
    kind: Literal["model-found"] = "model-found"
    model: ModelIdentity


class PlanProposed(Moment):
    kind: Literal["plan-proposed"] = "plan-proposed"
    plan: Plan


class Proposed(Moment):
    """A batch of priced ideas."""

    kind: Literal["proposed"] = "proposed"
    proposals: tuple[Proposal, ...]


class Forecasted(Moment):
    """What is expected of a proposal, before anybody has answered it."""

    kind: Literal["forecasted"] = "forecasted"
    trial: str
    against: str
    """The incumbent: a job's id."""
    hopes: tuple[Hope, ...] = Field(min_length=1)
    """One a forecaster."""
    counted: str
    """By whom is the one that counts."""
    instead: Idea | None = None
    """What the sampler would have proposed in the place of somebody else's idea."""
    instead_hope: Hope | None = None


class StyleChanged(Moment):
    """The search is steered in another way from here on."""

    kind: Literal["style-changed"] = "style-changed"
    style: Style
    reason: str = Field(min_length=1)


class ReviewAsked(Moment):
    """A person is asked; the clock of the wall budget stops until a ``Decided`` or a ``SessionOpened``."""

    kind: Literal["review-asked"] = "review-asked"
    targets: tuple[str, ...]


class Decided(Moment):
    kind: Literal["decided"] = "decided"
    decision: Decision


class Judged(Moment):
    kind: Literal["judged"] = "judged"
    verdict: Verdict
    incumbent: str
    """Who is the incumbent from here on: a job's id."""
    note: str = ""
    """Why the trial may take no place, however good: a limit of the brief, or a bill that its gain is not worth."""
    group_excess: float | None = None
    """By how much the worst group passes a limit on losses of groups, as a share of it; not above zero if none does by
    more than chance. None where the brief has no such limit."""


class SearchEnded(Moment):
    """No further trial is proposed; what is kept back is spent on the finish."""

    kind: Literal["search-ended"] = "search-ended"
    reason: str = Field(min_length=1)


class Tracked(Moment):
    """A job (or, with job ``study``, the study itself) has an MLflow run."""

    kind: Literal["tracked"] = "tracked"
    job: str
    run_id: str


class TestOpened(Moment):
    """The sealed test is about to be read. Written once; a second reading is refused."""

    __test__ = False
    kind: Literal["test-opened"] = "test-opened"
    winner: str


class Finished(Moment):
    """The study ended. ``winner`` is a job's id, or None if nothing beat the base model beyond noise."""

    kind: Literal["finished"] = "finished"
    winner: str | None
    reason: str = Field(min_length=1)
    verdicts: tuple[Verdict, ...] = ()
    """The claims: the winner, or where there is none the best that was looked at, against the base and the default."""
    noise: Noise | None = None


class Published(Moment):
    """Report written and MLflow told: the views of a finished study are complete."""

    kind: Literal["published"] = "published"


class Warned(Moment):
    kind: Literal["warned"] = "warned"
    message: str


Event = Annotated[
    StudyCreated
    | SessionOpened
    | SessionClosed
    | Understood
    | Wondered
    | Clarified
    | DataFrozen
    | ModelFound
    | PlanProposed
    | Advised
    | AdviceDropped
    | Proposed
    | Forecasted
    | StyleChanged
    | ReviewAsked
    | Decided
    | JobLaunched
    | JobMeasured
    | JobSteered
    | JobPromoted
    | JobEnded
    | JobRecovered
    | Judged
    | Explained
    | Recalled
    | Learned
    | Weighed
    | Reflected
    | SearchEnded
    | ModelsChosen
    | ModelProbed
    | ModelAsking
    | ModelAsked
    | Tracked
    | TestOpened
    | Finished
    | Published
    | Warned,
    Field(discriminator="kind"),
]
event: TypeAdapter[Event] = TypeAdapter(Event)
