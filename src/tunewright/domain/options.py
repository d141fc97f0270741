"""What the user set besides the brief."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.budget import Cost, Prices
from tunewright.domain.frozen import Frozen
from tunewright.domain.proposal import ReviewMode

NO_MODEL = "none"
"""In the place of a language model: the rules."""


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
