"""What all studies have learned: the lessons of this home, as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright import settings as settings_
from tunewright.app.shelf import folder_of, load, studies
from tunewright.domain.errors import TunewrightError
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.domain.study import Study
    from tunewright.tracking.lessons import Kept


def lessons(study: str | None = None, *, rebuild: bool = False, settings: Settings | None = None) -> list[Kept]:
    """Lessons with their counters over all studies, oldest first.

    Args:
        study: only those that it learned.
        rebuild: make the file of lessons anew first, from the journals of this home.

    Raises:
        UnknownNameError: there is no such study.
        TrackingError: the file cannot be written.
    """
    from tunewright.tracking.lessons import LessonBook

    settings = settings or settings_.load()
    if study is not None:
        folder_of(settings, study)
    book = LessonBook(settings.home)
    if rebuild:
        book.rebuild(_readable(settings))
    return [kept for kept in book.all() if study in (None, kept.study)]


def _readable(settings: Settings) -> list[Study]:
    """Every study whose journal can be read; one that is damaged keeps no other from being remembered."""
    found = []
    for name in studies(settings=settings):
        try:
            found.append(load(name, settings=settings))
        except TunewrightError:
            continue
    return found
