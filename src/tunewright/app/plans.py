"""What a study's planner works with: prices, methods, earlier studies and lessons, and the recording it is replayed
from, of which it begins with what the recorded study began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.domain import event as ev
from tunewright.domain.errors import TrackingError, TunewrightError
from tunewright.domain.lesson import Remembered
from tunewright.domain.precedent import Kin
from tunewright.domain.proposal import Plan
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.agents.forecasting import Forecaster
    from tunewright.agents.planning import Sizing
    from tunewright.tracking.tracker import StudyTracker


def plan_of(
    study: Study,
    brain: Brain | None,
    *,
    folder: Path,
    settings: Settings,
    price: Forecaster,
    tracker: StudyTracker,
    warn: Callable[[str], None],
) -> Plan:
    """The plan of a study whose base model has been measured.

    Raises:
        BudgetError: not even one short trial and the sealed test fit.
    """
    from tunewright.agents.forecasting import make_space
    from tunewright.agents.planner.asking import Planner
    from tunewright.tools.training.registry import check_recipe

    before = recorded(study, settings)
    known = before.plan if before is not None and _alike(before, study) else None
    planner = Planner(
        price=price.at,
        make_space=make_space,
        check=lambda recipe: check_recipe(recipe, study.task),
        kin=known.kin if known is not None else _kin(study, tracker, warn),
        sized=_sizing(known) if known is not None else None,
    )
    return planner.plan(study, brain, folder=folder, warn=warn)


def recalled(study: Study, settings: Settings) -> Sequence[Remembered]:
    """What earlier studies of this home have learned that fits, or what the recorded study recalled; nothing where a
    study begins cold."""
    from tunewright.tracking.lessons import LessonBook

    if study.options.cold:
        return ()
    told = _told(study, settings)
    before = [one for one in told if isinstance(one, ev.Recalled)] if _alike(Study(told), study) else []
    return before[0].lessons if before else LessonBook(settings.home).recall(study)


def recorded(study: Study, settings: Settings) -> Study | None:
    """The study that the planner's answers are replayed from; None where they are not, or its journal is gone."""
    told = _told(study, settings)
    return Study(told) if told else None


def _told(study: Study, settings: Settings) -> list[ev.Event]:
    from tunewright.agents.brains import REPLAY
    from tunewright.agents.brains import recorded as folder_of
    from tunewright.agents.reading import ROLE
    from tunewright.tracking.journal import events

    spec = study.options.model_of(ROLE) or ""
    if not spec.startswith(REPLAY):
        return []
    found = folder_of(spec.removeprefix(REPLAY), settings.studies)
    try:
        return events(found.parent if found.is_file() else found)[0]
    except TunewrightError:
        return []


def _alike(before: Study, study: Study) -> bool:
    """Whether it is the same study again: the same task, budget and rows."""
    return (before.task, before.budget, before.data) == (study.task, study.budget, study.data)


def _sizing(plan: Plan) -> Sizing | None:
    from tunewright.agents.planning import Sizing

    return Sizing(plan.trials[1], plan.confirm_seeds, plan.epochs) if plan.epochs is not None else None


def _kin(study: Study, tracker: StudyTracker, warn: Callable[[str], None]) -> Sequence[Kin]:
    """Earlier studies for the search to begin from, where it can: a store that does not answer stops nothing."""
    from tunewright.search.own import own_samplers
    from tunewright.tracking.precedent import kin_of

    if study.options.cold or study.options.sampler not in own_samplers():
        return ()
    try:
        return kin_of(tracker.store, study)
    except TrackingError as error:
        warn(f"earlier studies cannot be read, so the search begins from nothing: {error.message}")
        return ()
