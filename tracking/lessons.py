"""The memory of all studies: one file of lessons and of what trials said of them, beside the studies' folders.

Append-only, a JSON object a line, under a lock that several studies take in turn. It is a view: every line is an event
of some study's journal, so ``rebuild`` makes it anew. A crash can tear the last line; readers leave it out, and the
study that wrote it adds it again when it next keeps something.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tunewright.domain.errors import TrackingError
from tunewright.domain.frozen import Frozen
from tunewright.domain.lesson import Lesson, Remembered, Tag
from tunewright.domain.precedent import TaskFeatures, likeness
from tunewright.domain.study import Study
from tunewright.tracking.precedent import features_of

FILE = "lessons.jsonl"
MOST = 8
"""Lessons that a study begins with."""
_LEAST_SURE = 0.1
"""Confidence below which a lesson is not recalled."""
_LEAST_LIKE = 0.05
"""Likeness of its study below which it is not recalled."""
_LOCAL = frozenset({"default stands", "alike"})
"""Kinds of claims that say nothing of another study."""


class Entry(Frozen):
    """One line: a lesson, or what a trial said of one."""

    study: str
    features: TaskFeatures | None = None
    """Of the study that learned it."""
    lesson: Lesson | None = None
    weighed: str = ""
    """The lesson's id, where it is no lesson itself."""
    trial: str = ""
    tag: Tag | Literal["contradicted"] = "neutral"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it another line than the others."""
        id = self.lesson.id if self.lesson is not None else self.weighed
        return (self.study, id, self.trial, self.tag)


class Kept(Frozen):
    """A lesson as it stands over all studies."""

    remembered: Remembered
    study: str
    """That learned it; also of lessons from before these said so themselves."""
    features: TaskFeatures | None = None

    @property
    def lesson(self) -> Lesson:
        return self.remembered.lesson


class LessonBook:
    """The file of one home.

    Args:
        home: the folder that holds ``studies``.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self._known: dict[str, set[tuple[str, str, str, str]]] = {}
        """Study -> what of it is in the file, as far as this process knows."""

    def entries(self) -> list[Entry]:
        """Every line that can be read, in the order of the file."""
        return list(_read(self.path))

    def all(self) -> list[Kept]:
        """Every lesson as it stands, oldest first."""
        return _folded(self.entries())

    def keep(self, study: Study) -> int:
        """Adds what the study has learned and the file does not have. The lines added.

        Raises:
            TrackingError: the file cannot be written.
        """
        wanted = entries_of(study)
        if study.name in self._known and all(one.key in self._known[study.name] for one in wanted):
            return 0
        try:
            with self._locked():
                there = {one.key for one in _read(self.path) if one.study == study.name}
                new = [one for one in wanted if one.key not in there]
                if new:
                    _append(self.path, new)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._known[study.name] = there | {one.key for one in new}
        return len(new)

    def rebuild(self, studies: Iterable[Study]) -> int:
        """Writes the file anew from these studies. Its lines.

        Raises:
            TrackingError: the file cannot be written.
        """
        lines = [one for study in studies for one in entries_of(study)]
        partial = self.path.with_name(FILE + ".partial")
        try:
            with self._locked():
                partial.unlink(missing_ok=True)
                partial.touch()
                _append(partial, lines)
                partial.replace(self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._known.clear()
        return len(lines)

    def recall(self, study: Study) -> tuple[Remembered, ...]:
        """Lessons of other studies that fit this one's task, the most useful first: of the same format and metric, then
        by likeness of the studies times confidence. Of those that claim the same only the first.
        """
        own = features_of(study)
        if own is None:
            return ()
        found = []
        for one in self.all():
            rule = one.lesson.check.rule if one.lesson.check is not None else ""
            if one.features is None or one.study == study.name or rule in _LOCAL:
                continue
            like = likeness(own, one.features)
            if not one.remembered.dropped and one.remembered.confidence >= _LEAST_SURE and like >= _LEAST_LIKE:
                found.append(one.remembered.model_copy(update={"likeness": round(like, 3)}))
        found.sort(key=lambda one: (-(one.likeness or 0.0) * one.confidence, one.id))
        apart = {_claimed(one.lesson): one for one in reversed(found)}
        return tuple([one for one in found if apart[_claimed(one.lesson)] is one][:MOST])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Beside the file, which ``rebuild`` replaces."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def entries_of(study: Study) -> list[Entry]:
    """What a study's journal has for the file, in its order."""
    features = features_of(study)
    learned = [Entry(study=study.name, features=features, lesson=lesson) for lesson in study.lessons]
    tags = sorted(study.insights.weighed)
    return learned + [Entry(study=study.name, weighed=id, trial=trial, tag=tag) for id, trial, tag in tags]


def _claimed(lesson: Lesson) -> str:
    """What a lesson says, whatever the scores that it saw: the same for studies that have found the same."""
    return lesson.claim if lesson.check is None else lesson.check.model_dump_json()


def _folded(entries: Iterable[Entry]) -> list[Kept]:
    found: dict[str, Kept] = {}
    seen: set[tuple[str, str, str, str]] = set()
    said = list(entries)
    for one in said:
        if one.lesson is not None and one.lesson.id not in found:
            found[one.lesson.id] = Kept(
                remembered=Remembered(lesson=one.lesson), study=one.study, features=one.features
            )
    for one in said:
        if one.lesson is None and one.weighed in found and one.key not in seen:
            seen.add(one.key)
            kept = found[one.weighed]
            found[one.weighed] = kept.model_copy(update={"remembered": kept.remembered.weighed(one.tag)})
    return list(found.values())


def _read(path: Path) -> Iterator[Entry]:
    """Lines that are no entry, such as a torn one or one of a later version, are left out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        if line.strip():
            try:
                yield Entry.model_validate_json(line)
            except ValidationError:
                continue


def _append(path: Path, entries: Iterable[Entry]) -> None:
    text = b"".join(one.model_dump_json().encode() + b"\n" for one in entries)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # torn by a crash: it must not swallow the next
            text = b"\n" + text
        while text:
            text = text[os.write(file, text) :]
        os.fsync(file)
    finally:
        os.close(file)


def _unwritable(path: Path, error: OSError) -> TrackingError:
    return TrackingError(
        f"the memory of lessons cannot be written to '{path}': {error.strerror}",
        "make it writable; it is made anew from the journals by: tunewright lessons --rebuild",
    )
