"""One kind of work that may go on beside the trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewright.domain.event import Event
from tunewright.domain.study import Study

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """What it needs to be begun, done and taken in.

    Attributes:
        name: for people, such as ``reflection``.
        due: what of it is due, by a name that is the same whenever the same is due; None where nothing is.
        do: what is to be recorded of what is due in this study. It changes nothing, and looks at nothing that changes.
        roles: whose language models it may ask.
        after: called when all of it was recorded.
    """

    name: str
    due: Callable[[Study], str | None]
    do: Callable[[Study, Warn], Sequence[Event]]
    roles: tuple[str, ...] = ()
    after: Callable[[Study], object] = lambda study: None
