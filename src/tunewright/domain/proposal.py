"""From an idea to something launched: the plan, the proposal, the decision."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import Field

from tunewright.domain.budget import Budget, Cost
from tunewright.domain.change import Change
from tunewright.domain.frozen import Frozen, Json, content_hash
from tunewright.domain.job import Rungs
from tunewright.domain.precedent import Kin
from tunewright.domain.prior import Prior
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space
from tunewright.domain.task import TaskSpec

Origin = Literal["default", "brief", "sampler", "planner", "reviewer", "confirm"]
ReviewMode = Literal["always", "batch", "first", "never"]
"""``always``: the plan and every single run; ``batch``: the plan and every batch; ``first``: the plan and the
first batch; ``never``: nothing waits, and each decision is recorded as made by the policy."""


class Range(Frozen):
    """A forecast with its doubt: the expected value and where it falls four times in five."""

    expected: float
    low: float
    """10th percentile."""
    high: float
    """90th percentile."""


class Forecast(Frozen):
    """What a run is predicted to cost before it is launched."""

    seconds: Range
    memory_gib: Range
    cost: Cost
    """What is reserved: the high end in every currency."""
    adapter_bytes: float | None = None
    """What its adapter takes on disk at least; None where it was not worked out."""
    trainable_parameters: int | None = None
    """How many numbers its last stage trains; None where that is not known before."""
    preflight_s: float | None = None
    """High end of what its first steps take, should they be tried alone; None where it was not worked out."""


class Hope(Frozen):
    """What somebody forecasts of a trial before it is launched; its outcome grades it."""

    gain: float
    """Over the incumbent of that time, in the metric's good direction."""
    chance: float = Field(ge=0, le=1)
    """That it beats the incumbent."""
    by: str = Field(min_length=1)
    """Who says so: a role, a model's name or ``rules``."""


class Refutation(Frozen):
    """A result that would refute a hypothesis, such that code can tell."""

    quantity: str
    """``gain`` (over ``trial``, in the metric's good direction), ``score``, or what a trial is measured by besides; see
    ``goal.measured``."""
    relation: Literal["<", "<=", ">", ">="]
    value: float
    trial: str | None = None
    """The job to compare with: the quantity is then what this trial has more than that one. ``gain`` needs it."""

    def says(self) -> str:
        """Such as ``gain over t3 < 0.01``."""
        over = "" if self.trial is None else f" over {self.trial}"
        return f"{self.quantity}{over} {self.relation} {self.value:.4g}"

    def met(self, measured: float) -> bool:
        """Whether what was measured refutes it."""
        match self.relation:
            case "<":
                return measured < self.value
            case "<=":
                return measured <= self.value
            case ">":
                return measured > self.value
            case _:
                return measured >= self.value


class Hypothesis(Frozen):
    """What a trial is to show, and what would show that it is not so."""

    claim: str = Field(min_length=1)
    refuted_if: Refutation


class Supposition(Frozen):
    """What a planner believes before anything is tried, of all recipes with certain settings at once."""

    claim: str = Field(min_length=1)
    settings: dict[str, Json] = {}
    """Recipe path -> value: the trials with all of them put it to the test. Empty: none is known to."""
    refuted_if: str = ""
    """In words."""
    test: Refutation | None = None
    """The same such that code can tell; see ``domain.suppositions``."""


class Outlook(Frozen):
    """What a planner says of its plan as a whole. Nothing is decided by it."""

    says: str = ""
    """The plan in a sentence or two."""
    gain: float | None = None
    """What it expects of the winner over the untouched model, in the metric's good direction."""
    cost: Cost | None = None
    """What it expects the study to spend; ``Plan.expect`` is what code works out."""


class Idea(Frozen):
    """A strategy's or a planner's suggestion, before it is priced."""

    recipe: Recipe
    origin: Origin
    reason: str = Field(min_length=1)
    parent: str | None = None
    """The trial it is derived from."""
    hope: Hope | None = None
    hypothesis: Hypothesis | None = None
    cites: tuple[str, ...] = ()
    """Ids of the lessons that it follows."""


class Proposal(Frozen):
    """A priced idea, waiting for review."""

    id: str
    """The id its trial will have: ``t0`` is the default recipe."""
    idea: Idea
    forecast: Forecast
    binding: str
    """Hash of the specification that would be launched (``TrialSpec.binding``)."""

    @property
    def recipe(self) -> Recipe:
        return self.idea.recipe


class Decision(Frozen):
    """A person's or a policy's answer to a proposal or to the plan."""

    target: str
    """A proposal's id, or ``plan``."""
    action: Literal["approve", "edit", "reject"]
    by: str
    """``person``, or ``policy`` where the review mode asks nobody."""
    reason: str = ""
    """Owed for a rejection."""
    binds: str | None = None
    """The hash approved; for an edit, of the edited specification. None for a rejection."""
    recipe: Recipe | None = None
    """The edited recipe, for an edit."""
    forecast: Forecast | None = None
    """The edited recipe's price, for an edit."""
    excess: float | None = None
    """By how much, as a share, the memory limit is passed, for a rejection for that: measured or forecast."""
    instead: Recipe | None = None
    """The rejected recipe with what lets it fit into memory, which is proposed next."""
    at: float = Field(default_factory=time.time)


class Plan(Frozen):
    """What the planner proposes to do with the budget. Reviewed as a whole before anything is trained."""

    task: TaskSpec
    budget: Budget
    space: Space
    sampler: str = "tree"
    pruner: str = "promising"
    seed: int = 0
    rungs: Rungs = Rungs()
    trials: tuple[int, int]
    """How many trials are expected, low and high."""
    epochs: float | None = Field(None, gt=0)
    """Length of the default in epochs of supervised training; None in plans from before it was written down."""
    batch: int = Field(1, gt=0)
    """Proposals shown for review at a time."""
    confirm_seeds: int = Field(0, ge=0)
    """Trainings on fresh seeds at the end that time is kept for; finalists and the default share them."""
    keep: Cost
    """Held back from the search: confirmation runs, the sealed test, the finish."""
    expect: Cost
    """What the whole study is expected to spend."""
    memory_gib: float = Field(gt=0)
    """Predicted peak of the largest recipe in the space."""
    kin: tuple[Kin, ...] = ()
    """Earlier studies that the search begins from, the most alike first."""
    priors: tuple[Prior, ...] = ()
    """Best guesses of settings, at most one a dimension."""
    changes: tuple[Change, ...] = ()
    """What the planner wanted changed of the rules' plan, and what became of it."""
    hypotheses: tuple[Supposition, ...] = ()
    """What the study is to find out."""
    outlook: Outlook = Outlook()
    notes: tuple[str, ...] = ()
    """What was assumed or left out, one line each."""
    by: str = "rules"
    """Who planned: ``rules`` or the language model's name."""

    @property
    def binding(self) -> str:
        """What an approval of the plan binds: what is decided, and nothing that a clock or a meter says.

        Not in it: forecasts of time and memory, and what is kept back, which follows from them; reasons and notes. So a
        study that is replayed has the plan that was recorded.
        """
        return content_hash(self.model_dump(mode="json", include=_DECIDED))


_DECIDED = {
    "task", "budget", "space", "sampler", "pruner", "seed", "rungs", "trials", "batch", "confirm_seeds", "kin",
    "priors", "hypotheses",
}  # fmt: skip
