"""The journal's events: a closed union, told apart by ``kind``. What is not in here did not happen.

Intent is written before an action and outcome after it: ``JobLaunched`` before the sandbox is asked,
``JobEnded`` when it has ended and its cost is known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tunewright.domain.advice import AdviceDropped as AdviceDropped  # noqa: PLC0414 - exported
from tunewright.domain.advice import Advised as Advised  # noqa: PLC0414 - exported
from tunewright.domain.budget import Cost, Prices
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import CodeIdentity, DataIdentity, ModelIdentity
from tunewright.domain.learning import Explained as Explained  # noqa: PLC0414 - exported
from tunewright.domain.learning import Learned as Learned  # noqa: PLC0414 - exported
from tunewright.domain.learning import Moment as _Event
from tunewright.domain.learning import Recalled as Recalled  # noqa: PLC0414 - exported
from tunewright.domain.learning import Reflected as Reflected  # noqa: PLC0414 - exported
from tunewright.domain.learning import Weighed as Weighed  # noqa: PLC0414 - exported
from tunewright.domain.outcome import Measurement, Noise, Outcome, PartialScore, Verdict
from tunewright.domain.profile import DataProfile
from tunewright.domain.proposal import Decision, Hope, Idea, Plan, Proposal, ReviewMode
from tunewright.domain.task import Brief
from tunewright.domain.understanding import Clarified as Clarified  # noqa: PLC0414 - exported
from tunewright.domain.understanding import Understood as Understood  # noqa: PLC0414 - exported
from tunewright.domain.understanding import Wondered as Wondered  # noqa: PLC0414 - exported

Role = Literal["base", "preflight", "trial", "confirm", "test"]
"""``base``: the untouched model on validation; ``preflight``: the first steps of a trial whose memory is near the
limit; ``trial``: a search trial; ``confirm``: a finalist's recipe on a fresh seed; ``test``: the winner on the sealed
test, once."""

Style = Literal["explore", "balanced", "exploit"]
"""How boldly a search is steered."""
NO_MODEL = "none"
"""In the place of a language model: the rules."""
AnswerForm = Literal["schema", "object", "plain"]
"""How a structured answer is asked for, the strongest first: a JSON schema that the server enforces, a JSON object with
the schema in the prompt, plain text with the schema in the prompt."""


class StudyOptions(Frozen):
    """What the user set besides the brief; the study keeps it over every resume."""

    review: ReviewMode = "batch"
    sandbox: str = "process"
    sandbox_options: dict[str, str] = {}
    """Options of that sandbox, such as ``image`` and ``host-env`` for docker."""
    llm: str | None = None
    """The language model of every role that ``llms`` does not name; None is the rules."""
    llms: dict[str, str] = {}
    """Role -> its own language model, or ``none`` for the rules."""
    cold: bool = False
    """Whether the search begins from nothing, whatever earlier studies have found."""
    early_end: bool = True
    """Whether the search may end before its budget, where the rest of it is expected to buy nothing."""
    sampler: str = "tree"
    pruner: str = "promising"
    style: Literal["auto", "explore", "balanced", "exploit"] = "auto"
    """``auto``: by what is left of the budget and by how long nothing was gained."""
    stop_loss: bool = False
    """Whether a trial that is far behind the incumbent at a rung is stopped there, whatever the pruner says, and one
    that is far ahead and no longer rises waits."""
    sizing: bool = False
    """Whether proposals train for fewer passes while nothing is gained."""
    seed: int = 0
    skip_bad_rows: bool = False
    gpus: int = 0
    memory_gib: float | None = None
    """Memory a trial may use; None means most of what the machine has, settled when the study is created."""
    threads: int | None = None
    """CPU threads of a trial, settled when the study is created: sums of floats depend on it."""
    slots: int = Field(1, ge=1, le=256)
    """Trials that run side by side."""
    prices: Prices = Prices()

    def model_of(self, role: str) -> str | None:
        """The language model that answers in ``role``, or None for the rules. What is said of a role such as
        ``critic`` is said of each ``critic.NAME`` that is not named itself.
        """
        named = self.llms.get(role, self.llms.get(role.partition(".")[0], self.llm))
        return None if named in (None, NO_MODEL) else named

    @property
    def asks_models(self) -> bool:
        """Whether any role may be a language model's."""
        return self.llm not in (None, NO_MODEL) or any(name != NO_MODEL for name in self.llms.values())

    def device_cost(self, seconds: float, *, trials: int = 0) -> Cost:
        """What ``seconds`` of a job cost in every currency. Without a GPU each running job counts as one device."""
        device_s = seconds * max(1, self.gpus)
        return Cost(wall_s=seconds, device_s=device_s, usd=self.prices.device(device_s) or 0.0, trials=trials)


class StudyCreated(_Event):
    kind: Literal["study-created"] = "study-created"
    study: str
    brief: Brief
    options: StudyOptions
    code: CodeIdentity


class SessionOpened(_Event):
    """A process took the study up; the clock of the wall budget runs."""

    kind: Literal["session-opened"] = "session-opened"
    pid: int
    host: str


class SessionClosed(_Event):
    """The process let the study go in good order; the clock stops."""

    kind: Literal["session-closed"] = "session-closed"
    reason: str


class DataFrozen(_Event):
    kind: Literal["data-frozen"] = "data-frozen"
    data: DataIdentity
    profile: DataProfile


class ModelFound(_Event):
    kind: Literal["model-found"] = "model-found"
    model: ModelIdentity


class PlanProposed(_Event):
    kind: Literal["plan-proposed"] = "plan-proposed"
    plan: Plan


class Proposed(_Event):
    """A batch of priced ideas."""

    kind: Literal["proposed"] = "proposed"
    proposals: tuple[Proposal, ...]


class Forecasted(_Event):
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


class StyleChanged(_Event):
    """The search is steered in another way from here on."""

    kind: Literal["style-changed"] = "style-changed"
    style: Style
    reason: str = Field(min_length=1)


class ReviewAsked(_Event):
    """A person is asked; the clock of the wall budget stops until a ``Decided`` or a ``SessionOpened``."""

    kind: Literal["review-asked"] = "review-asked"
    targets: tuple[str, ...]


class Decided(_Event):
    kind: Literal["decided"] = "decided"
    decision: Decision


class JobLaunched(_Event):
    """About to start a job: the intent. ``reserved`` is held in the ledger until its ``JobEnded``."""

    kind: Literal["job-launched"] = "job-launched"
    job: str
    role: Role
    binding: str
    attempt: int = Field(1, gt=0)
    reserved: Cost
    proposal: str | None = None


class JobMeasured(_Event):
    """A rung was reached."""

    kind: Literal["job-measured"] = "job-measured"
    job: str
    measurement: Measurement


class JobSteered(_Event):
    """The scheduler decided on a running trial."""

    kind: Literal["job-steered"] = "job-steered"
    job: str
    action: Literal["continue", "pause", "stop"]
    reason: str = Field(min_length=1)
    partial: PartialScore | None = None
    """What it was stopped with, if that was while its end was scored."""


class JobPromoted(_Event):
    """The scheduler lets a trial that waits at a rung go on; another ``JobLaunched`` follows."""

    kind: Literal["job-promoted"] = "job-promoted"
    job: str
    reason: str = Field(min_length=1)
    closing: bool = False
    """Nothing new can be begun any more: it is not held up at the rungs that follow."""


class JobEnded(_Event):
    """A job ended and its cost is settled. A ``Paused`` outcome is followed by another ``JobLaunched``."""

    kind: Literal["job-ended"] = "job-ended"
    job: str
    outcome: Outcome


class JobRecovered(_Event):
    """Found at start: a job that was running when an earlier process died. It ran until ``ran_until``."""

    kind: Literal["job-recovered"] = "job-recovered"
    job: str
    ran_until: float


class Judged(_Event):
    kind: Literal["judged"] = "judged"
    verdict: Verdict
    incumbent: str
    """Who is the incumbent from here on: a job's id."""
    note: str = ""
    """Why the trial may take no place, however good: a limit of the brief, or a bill that its gain is not worth."""
    group_excess: float | None = None
    """By how much the worst group passes a limit on losses of groups, as a share of it; not above zero if none does by
    more than chance. None where the brief has no such limit."""


class SearchEnded(_Event):
    """No further trial is proposed; what is kept back is spent on the finish."""

    kind: Literal["search-ended"] = "search-ended"
    reason: str = Field(min_length=1)


class ModelsChosen(_Event):
    """A person has given the study other language models; see ``StudyOptions.llm`` and ``llms``."""

    kind: Literal["models-chosen"] = "models-chosen"
    llm: str | None
    llms: dict[str, str] = {}


class ModelProbed(_Event):
    """What a language model's server was found to be able to do, for the rest of the session."""

    kind: Literal["model-probed"] = "model-probed"
    model: str
    form: AnswerForm
    tools: bool
    """Whether functions can be called."""


class ModelAsking(_Event):
    """About to ask a language model: the intent. ``reserved`` is held in the ledger until a ``ModelAsked`` of the same
    call; a session that never wrote one may have been billed all of it."""

    kind: Literal["model-asking"] = "model-asking"
    call: str
    role: str
    model: str
    reserved: Cost


class ModelAsked(_Event):
    """A language model was asked and its cost is settled."""

    kind: Literal["model-asked"] = "model-asked"
    role: str
    model: str
    cost: Cost
    """What it was billed; where that is not known, because no answer arrived, the most that it can have been."""
    valid: bool
    answered: bool = True
    """Whether an answer arrived; where none did, another attempt may follow."""
    call: str = ""
    """Of its ``ModelAsking``; empty if nothing was held for it."""
    record: str = ""
    """Digest of the call in the study's ``calls.jsonl``."""
    prompt: str = ""
    """``NAME@VERSION`` of the prompt's file, where it was made of one."""


class Tracked(_Event):
    """A job (or, with job ``study``, the study itself) has an MLflow run."""

    kind: Literal["tracked"] = "tracked"
    job: str
    run_id: str


class TestOpened(_Event):
    """The sealed test is about to be read. Written once; a second reading is refused."""

    __test__ = False
    kind: Literal["test-opened"] = "test-opened"
    winner: str


class Finished(_Event):
    """The study ended. ``winner`` is a job's id, or None if nothing beat the base model beyond noise."""

    kind: Literal["finished"] = "finished"
    winner: str | None
    reason: str = Field(min_length=1)
    verdicts: tuple[Verdict, ...] = ()
    """The claims: the winner, or where there is none the best that was looked at, against the base and the default."""
    noise: Noise | None = None


class Published(_Event):
    """Report written and MLflow told: the views of a finished study are complete."""

    kind: Literal["published"] = "published"


class Warned(_Event):
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
