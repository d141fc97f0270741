"""Which study is meant when none is named."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tunewright import app
from tunewright.domain.errors import TunewrightError, UsageError
from tunewright.domain.summary import State
from tunewright.settings import Settings


def latest(settings: Settings, states: Sequence[State] = (), doing: str = "") -> str:
    """The name of the newest study in one of ``states``; of the newest of all if none is given.

    Raises:
        UsageError: there is none.
    """
    fitting = []
    for name in app.studies(settings=settings):
        try:
            if not states or app.status(name, settings=settings).state in states:
                fitting.append(name)
        except TunewrightError:  # a damaged journal is told about when it is asked for by name
            continue
    if not fitting:
        which = f" that is {' or '.join(states)}" if states else ""
        raise UsageError(f"there is no study{which} in {settings.studies}", 'tunewright run "..." starts one')
    if doing:
        more = f"; also unfinished: {', '.join(fitting[:-1])}" if len(fitting) > 1 else ""
        print(f"{fitting[-1]} {doing}{more}", file=sys.stderr)
    return fitting[-1]
