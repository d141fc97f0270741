"""What a reviewer says, before it is checked, priced and bound into a ``Decision``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from tunewright.domain.frozen import Frozen, Json
from tunewright.domain.study import Study


class Answer(Frozen):
    """One answer to one target."""

    target: str
    """A proposal's id, ``plan``, or a question's id."""
    action: Literal["approve", "edit", "reject", "answer"]
    """``answer`` is for a question; to approve one is to go on with what is assumed."""
    text: str = ""
    """What a question is answered with; nothing, or an option's number, stands for what it stands for at a terminal."""
    reason: str = ""
    edits: dict[str, Json] = {}
    """Recipe path -> new value, for an edit: ``{"stages.0.optimisation.lr": 1e-4}``."""
    by: str = "person"


Reviewer = Callable[[Study, Sequence[str]], Sequence[Answer] | None]
"""Is asked about targets (proposal ids, ``plan``, or ids of questions) and answers all, some, or None: the study then
pauses and waits for ``tunewright review``."""
