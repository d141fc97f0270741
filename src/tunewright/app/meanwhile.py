"""What of a crew works beside the trials: the language models, and what they are asked while trials run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.domain.study import Study
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.agents.beside.beside import Beside
    from tunewright.agents.beside.landing import Lands
    from tunewright.agents.beside.work import Work
    from tunewright.agents.brains.team import Brains
    from tunewright.agents.notebook import Notebook, Stop


@dataclass(frozen=True)
class Meanwhile:
    """Of one session."""

    brains: Brains
    beside: Beside


def meanwhile(
    notebook: Notebook, folder: Path, settings: Settings, stop: Stop, keep: Callable[[Study], object]
) -> Meanwhile:
    """Opens the study's language models, and the desk at which they work beside its trials.

    Args:
        keep: tells the memory of all studies what was learned.

    Raises:
        UsageError: a script or a recording cannot be read.
    """
    from tunewright.agents.beside.beside import Beside
    from tunewright.agents.beside.relay import Relay
    from tunewright.agents.beside.works import works
    from tunewright.agents.brains import Limits
    from tunewright.agents.brains.team import Brains, patient

    limits = Limits(
        timeout_s=settings.llm_timeout_s,
        patience_s=settings.llm_patience_s,
        max_tokens=settings.llm_max_tokens,
        requests_per_minute=settings.llm_requests_per_minute,
        tokens_per_minute=settings.llm_tokens_per_minute,
        sleep=patient(lambda: stop.requested),
    )
    relay = Relay()
    brains = Brains(notebook, folder, settings.studies, limits, relay, stop)
    beside = Beside(
        notebook,
        stop,
        relay,
        works(folder, brains.of, keep),
        instant=lambda work: brains.instant(work.roles),
        lands=_lands(notebook.study, settings),
    )
    return Meanwhile(brains, beside)


def _lands(study: Study, settings: Settings) -> Lands:
    """When each role that answers from a recording takes its answers in."""
    from tunewright.agents.beside.landing import landings
    from tunewright.agents.brains import REPLAY, recorded

    specs = {study.options.model_of(role) for role in ("", *study.options.llms)}
    told = {
        spec: landings(recorded(spec.removeprefix(REPLAY), settings.studies))
        for spec in specs
        if spec is not None and spec.startswith(REPLAY)
    }

    def lands(work: Work, key: str) -> int:
        asked = {study.options.model_of(role) for role in work.roles}
        return max((told[spec](work, key) for spec in asked if spec in told), default=0)

    return lands
