"""What a planner wanted changed of the plan that the rules make, and what became of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.frozen import Frozen


class Change(Frozen):
    """One change. What it did to the space stands in the space."""

    said: str = Field(min_length=1)
    """What was asked for, such as ``narrow lr.lora to 0.0002..0.001``."""
    fate: Literal["applied", "repaired", "dropped"]
    """``repaired``: done as far as it may be; ``dropped``: not done."""
    note: str = ""
    """Owed where it was repaired or dropped: why."""
    reason: str = ""
    """The planner's."""
    cites: tuple[str, ...] = ()
    """Ids of the lessons that it follows."""

    def says(self) -> str:
        """Such as ``widen lr.lora to 9: repaired, at most 0.03: small data``."""
        fate = "" if self.fate == "applied" else f": {self.fate}, {self.note}"
        after = f"after {' and '.join(self.cites)}: " if self.cites else ""
        return f"{self.said}{fate}" + (f" ({after}{self.reason})" if self.reason or after else "")
