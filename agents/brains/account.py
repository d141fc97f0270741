"""What calls cost: held before each, settled after it, and kept in the study's recording."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

from tunewright.agents.brains.guard import Guard
from tunewright.agents.brains.price import Bound
from tunewright.agents.brains.recording import Call
from tunewright.domain.budget import Cost
from tunewright.domain.event import ModelAsked, ModelAsking

Record = Callable[[ModelAsked], None]
Intend = Callable[[ModelAsking], None]
Keep = Callable[[Call], str]
"""Keeps a call; its digest."""


def free(tokens: int, usd: float | None) -> None:
    """The guard of those who have no budget."""


class Account:
    """One for each brain. Threads may share it.

    Args:
        record: is told every call's cost, before its answer is used.
        guard: is asked before every call.
        intend: is told what is held for a call before it is made; None where nothing needs to be held.
        keep: is given every call with all that was said.
    """

    def __init__(self, record: Record, guard: Guard = free, intend: Intend | None = None, keep: Keep | None = None):
        self._record, self._guard, self._intend, self._keep = record, guard, intend, keep
        self._turn = threading.Lock()

    def hold(self, role: str, model: str, bound: Bound) -> str:
        """Holds the most that a call can cost; the id to settle it by, empty where nothing is held.

        Raises:
            BudgetError: the budget does not cover it.
        """
        with self._turn:  # or two who ask together are each told that there is enough for one
            self._guard(bound.tokens, bound.usd)
            if self._intend is None or bound.cost == Cost():
                return ""
            held = uuid.uuid4().hex[:16]
            self._intend(ModelAsking(call=held, role=role, model=model, reserved=bound.cost))
            return held

    def settle(self, held: str, call: Call) -> None:
        """Gives back what was held and records what the call cost."""
        digest = self._keep(call) if self._keep is not None else ""
        self._record(
            ModelAsked(
                role=call.role,
                model=call.model,
                cost=call.cost,
                valid=call.valid,
                answered=call.answered,
                call=held,
                record=digest,
                prompt=call.source,
            )
        )

    def release(self, held: str, call: Call) -> None:
        """Gives back what was held for a call that was not billed; the call is kept as one that was not answered."""
        if held:
            self.settle(held, call)
        else:
            self.note(call)

    def note(self, call: Call) -> None:
        """Keeps an attempt that cost nothing and after which the same call goes on."""
        if self._keep is not None:
            self._keep(call)
