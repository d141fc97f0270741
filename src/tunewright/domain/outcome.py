"""How a job ended, whose fault it was if it failed, and what was measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tunewright.domain.budget import Cost
from tunewright.domain.frozen import Frozen

_95 = 1.96
"""Standard errors from the middle of an interval to its ends."""
Answer = Literal["better", "worse", "undecided"]
"""Of one trial against another."""
FaultKind = Literal["config", "data", "memory", "infra", "budget"]


class Fault(Frozen):
    """Who is to blame decides what happens next.

    ``config``  the recipe: loss NaN, a method that does not fit the model. Counts against the recipe.
    ``data``    the data: no labels left after truncation, an empty split. Stops the study.
    ``memory``  too large for the limit. Tells the search as a violated constraint.
    ``infra``   the machine, the engine, a kill from outside. Retried, never held against the recipe.
    ``budget``  a cap was reached.
    """

    kind: FaultKind
    message: str = Field(min_length=1)
    step: int | None = None
    """Optimiser step at which it showed; 0 is before the first."""


EXIT_CODES: dict[int, str] = {
    0: "done",
    10: "paused",
    20: "config",
    21: "data",
    22: "memory",
    23: "infra",
    24: "budget",
}
"""What a job's process says when it ends. Anything else is an infra fault, or memory if the kernel killed it."""


class Item(Frozen):
    """One scored row: what statistics and error slices are made of. One line of ``out/items.jsonl``."""

    id: str
    score: float
    prediction: str
    target: str


class Measurement(Frozen):
    """The metric on one split at one point of a training."""

    value: float
    rows: int = Field(gt=0)
    step: int = Field(ge=0)
    """Optimiser step; 0 for the untouched base model."""
    rung: int | None = Field(None, ge=0)
    """Which of the plan's rungs it is; None at the end and where none was asked for."""
    seconds: float = Field(ge=0)
    low: float | None = None
    """95 % interval over items; None where it was not computed."""
    high: float | None = None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the value, by its interval; None where that was not computed."""
        return (self.high - self.low) / (2 * _95) if self.high is not None and self.low is not None else None


class JobResult(Frozen):
    """``out/result.json``: what a job says of itself when it ends. Costs and verdicts are the host's."""

    status: Literal["done", "paused", "failed"]
    measurement: Measurement | None = None
    """The final measurement: on all rows of validation for a training. Set if ``done``."""
    fault: Fault | None = None
    """Set if ``failed``."""
    steps: int = Field(0, ge=0)
    total_steps: int = Field(0, ge=0)
    shared_steps: int = Field(0, ge=0)
    """Of ``steps``, those of stages that an earlier trial had taken and that were not taken again."""
    shared_s: float = Field(0.0, ge=0)
    """What those took there."""
    tokens: int = Field(0, ge=0)
    """Tokens trained on, padding not counted; for an evaluation the tokens scored."""
    forward_tokens_per_s: float | None = Field(None, gt=0)
    """Of an evaluation: how fast this machine runs the model; forecasts start from it."""
    train_s: float = Field(0.0, ge=0)
    eval_s: float = Field(0.0, ge=0)
    setup_s: float = Field(0.0, ge=0)
    """From the start of the job to its first step or first scored batch, and what later stages took to choose their
    data."""
    peak_memory_gib: float = Field(0.0, ge=0)
    trainable_parameters: int = Field(0, ge=0)
    adapter_bytes: int = Field(0, ge=0)
    adapter_digest: str | None = None
    """SHA-256 over the names, types, shapes and bytes of the saved tensors."""
    curve_digest: str | None = None
    """SHA-256 over the (step, loss) pairs of ``out/curve.jsonl``."""
    device: str = "cpu"
    precision: str = "fp32"


class Completed(Frozen):
    """Trained to the end and measured."""

    status: Literal["completed"] = "completed"
    result: JobResult
    cost: Cost

    @property
    def score(self) -> float:
        assert self.result.measurement is not None
        return self.result.measurement.value


class PartialScore(Frozen):
    """The metric of a trial that was stopped while its end was scored, and what all rows would have come to."""

    measurement: Measurement
    """On the rows that were scored."""
    of: int = Field(gt=0)
    """Rows in all."""
    against: str = Field(min_length=1)
    """The trial that it was compared with, row by row."""
    estimate: float
    """Of the metric on all rows: see ``Paired.estimate``."""


class Pruned(Frozen):
    """Stopped by the scheduler, at a rung or while its end was scored; a reason is owed."""

    status: Literal["pruned"] = "pruned"
    reason: str = Field(min_length=1)
    last: Measurement
    cost: Cost
    result: JobResult | None = None
    partial: PartialScore | None = None
    """Set if it was trained to its end and stopped while that was scored."""


class Paused(Frozen):
    """Stopped from outside with a checkpoint, to be resumed: Ctrl-C, a crash of the host, a rung."""

    status: Literal["paused"] = "paused"
    reason: str = Field(min_length=1)
    cost: Cost
    waits: Literal["session", "promotion"] = "session"
    """For what: the next session goes on with it at once, or it stays at its rung until the scheduler promotes it."""
    fault: Fault | None = None
    """The machine's, for which it is tried again at once."""
    result: JobResult | None = None


class Failed(Frozen):
    """A failed trial is data."""

    status: Literal["failed"] = "failed"
    fault: Fault
    cost: Cost
    result: JobResult | None = None


Outcome = Annotated[Completed | Pruned | Paused | Failed, Field(discriminator="status")]
outcome: TypeAdapter[Completed | Pruned | Paused | Failed] = TypeAdapter(Outcome)


class Verdict(Frozen):
    """The evaluator's judgement of one trial against another, item by item on the same rows."""

    trial: str
    against: str
    answer: Answer
    gain: float
    """In the metric's good direction."""
    low: float
    high: float
    """95 % interval of the gain."""
    rows: int = Field(gt=0)
    method: str
    """The statistic, such as ``paired bootstrap, 10000 resamples``."""
    at_equal_length: tuple[float, float, float] | None = None
    """Gain and interval with the answers' lengths taken out of the scores; where answers are generated."""
    seeds: int = Field(0, ge=0)
    """Fresh seeds that the trial's side is the mean of; 0: it is the search's own run."""
    comparisons: int = Field(1, gt=0)
    """How many comparisons the answer is corrected for, itself included; 1: for none, so it is exploratory."""
    p: float | None = None
    """Two-sided, corrected; None where the method gives none."""

    def says(self) -> str:
        """Such as ``better than base by 0.046 [0.013, 0.079], 304 items``."""
        words = {"better": "better than", "worse": "worse than", "undecided": "not told apart from"}
        sign = -1 if self.answer == "worse" else 1
        low, high = sorted((sign * self.low, sign * self.high))
        plus = "+" if self.answer == "undecided" else ""
        by = f"{sign * self.gain:{plus}.3f} [{low:{plus}.3f}, {high:{plus}.3f}]"
        length = ""
        if self.at_equal_length is not None:
            gain, low, high = self.at_equal_length
            length = f"; at equal length {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
        fresh = f", {self.seeds} fresh seed{'' if self.seeds == 1 else 's'}" if self.seeds else ""
        return f"{words[self.answer]} {self.against} by {by}, {self.rows} items{fresh}{length}"


class Noise(Frozen):
    """How far chance moves a score in this study: what a difference has to stand above."""

    seed_sd: float | None = None
    """Standard deviation of the score between trainings of one recipe that differ in the seed alone; None: none was
    trained twice."""
    repeats: int = Field(0, ge=0)
    """Trainings on a further seed that ``seed_sd`` is known from."""
    half_width: float = Field(ge=0)
    """Half of the 95 % interval of the difference between two recipes that the choice of items alone makes."""
    rows: int = Field(gt=0)

    def says(self) -> str:
        """Such as ``seeds move a score by 0.006 (standard deviation, 4 repeats); 304 items move ...``."""
        items = f"{self.rows} items move a difference by +-{self.half_width:.3f} (95 %)"
        if self.seed_sd is None:
            return f"{items}; between seeds it is not known: nothing was trained twice"
        times = f"{self.repeats} repeat{'' if self.repeats == 1 else 's'}"
        return f"seeds move a score by {self.seed_sd:.3f} (standard deviation, {times}); {items}"
