"""Money in five currencies. A budget caps them, a cost spends them, the ledger compares the two."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tunewright.domain.frozen import Frozen

CURRENCIES = ("wall_s", "device_s", "usd", "llm_tokens", "trials")
BY_TIME = ("wall_s", "device_s", "usd")
"""Those that a job takes by the second."""


class Cost(Frozen):
    """What something costs, predicted or measured. Adds up with ``+``."""

    wall_s: float = Field(0.0, ge=0)
    """Seconds on the clock while the study is at work; waiting for a person is not counted."""
    device_s: float = Field(0.0, ge=0)
    """Seconds times devices held. Without a GPU the CPU counts as one device."""
    usd: float = Field(0.0, ge=0)
    """US dollars: device time at the configured price, and language-model calls."""
    llm_tokens: int = Field(0, ge=0)
    """Language-model tokens, prompt and answer together."""
    trials: int = Field(0, ge=0)
    """Search trials launched. Confirmation runs and evaluations are not trials."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in CURRENCIES})

    def scaled(self, factor: float) -> Cost:
        """Every currency but ``trials`` times ``factor``; whole tokens, rounded up."""
        return Cost(
            wall_s=self.wall_s * factor,
            device_s=self.device_s * factor,
            usd=self.usd * factor,
            llm_tokens=-int(-self.llm_tokens * factor // 1),
            trials=self.trials,
        )


class Budget(Frozen):
    """Caps that cannot be passed. A currency that is ``None`` is not capped; at least one is."""

    wall_s: float | None = Field(None, gt=0)
    device_s: float | None = Field(None, gt=0)
    usd: float | None = Field(None, gt=0)
    llm_tokens: int | None = Field(None, gt=0)
    trials: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(getattr(self, name) is None for name in CURRENCIES):
            raise ValueError("a budget needs at least one of " + ", ".join(CURRENCIES))
        return self

    def left(self, spent: Cost) -> dict[str, float]:
        """What is left of each capped currency, never below zero."""
        return {
            name: max(0.0, cap - getattr(spent, name))
            for name in CURRENCIES
            if (cap := getattr(self, name)) is not None
        }

    def shortfalls(self, spent: Cost, asked: Cost) -> list[str]:
        """Why ``asked`` on top of ``spent`` would pass a cap, one phrase a currency; empty if it fits."""
        return [
            f"{name}: {getattr(asked, name):g} asked, {left:g} left of {getattr(self, name):g}"
            for name, left in self.left(spent).items()
            if getattr(asked, name) > left + 1e-9
        ]


class Prices(Frozen):
    """What things cost in dollars, from the settings. An unknown price is ``None``, never zero."""

    usd_per_device_hour: float | None = Field(None, ge=0)

    def device(self, device_s: float) -> float | None:
        """Dollars for device time, or ``None`` if the price is not known."""
        return None if self.usd_per_device_hour is None else device_s / 3600 * self.usd_per_device_hour
