"""What a study learns: the events of evaluator and reflection, and what they come to."""

from __future__ import annotations

from typing import Literal

from tunewright.domain.finding import Fact, Finding, Sentence
from tunewright.domain.lesson import Lesson, Remembered, Tag
from tunewright.domain.moment import Moment
from tunewright.domain.proposal import Idea


class Explained(Moment):
    """Where a trial's gain or loss against the incumbent of its verdict came from."""

    kind: Literal["explained"] = "explained"
    trial: str
    against: str
    facts: tuple[Fact, ...]
    sentences: tuple[Sentence, ...] = ()
    """The explanation, the weightiest first."""
    by: str = "rules"


class Recalled(Moment):
    """Lessons of earlier studies that this one begins with, the most useful first. Later events speak of these alone:
    what other studies learn meanwhile changes nothing here."""

    kind: Literal["recalled"] = "recalled"
    lessons: tuple[Remembered, ...]


class Learned(Moment):
    kind: Literal["learned"] = "learned"
    lesson: Lesson


class Weighed(Moment):
    """A trial speaks for or against a lesson: one that it followed, or one whose claim it contradicts."""

    kind: Literal["weighed"] = "weighed"
    lesson: str
    trial: str
    tag: Tag | Literal["contradicted"]
    why: str = ""


class Reflected(Moment):
    """Reflection has read the outcomes of these trials."""

    kind: Literal["reflected"] = "reflected"
    trials: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    """The reflector's first, then the critics', by round."""
    asked: str = ""
    """Why critics were asked; nothing if they were not."""
    rounds: int = 0
    experiment: Idea | None = None
    """The judge's next experiment: it waits until the planner's share has room for it."""


class Insights:
    """What a study has learned so far, and of others; kept by ``fold`` as it goes."""

    def __init__(self) -> None:
        self.lessons: list[Lesson] = []
        """Its own."""
        self.memory: dict[str, Remembered] = {}
        """Lesson id -> how it stands: those of earlier studies that were recalled, and its own."""
        self.recalled: tuple[str, ...] | None = None
        """Ids of lessons of earlier studies; None before they were asked for."""
        self.weighed: set[tuple[str, str, str]] = set()
        """(lesson, trial, tag) of what was counted."""
        self.explained: dict[str, Explained] = {}
        """Trial -> where its gain or loss came from."""
        self.reflections: list[Reflected] = []
        self.experiments: list[Idea] = []
        """The judge's, oldest first, whether they were proposed since or not."""

    @property
    def standing(self) -> list[Remembered]:
        """Lessons that are followed: those that were not dropped, recalled ones first."""
        return [one for one in self.memory.values() if not one.dropped]

    def fold(self, one: Explained | Recalled | Learned | Weighed | Reflected) -> None:
        """Takes one event in."""
        match one:
            case Explained():
                self.explained[one.trial] = one
            case Recalled():
                self.recalled = tuple(lesson.id for lesson in one.lessons)
                self.memory = {lesson.id: lesson for lesson in one.lessons} | self.memory
            case Learned():
                self.lessons.append(one.lesson)
                self.memory[one.lesson.id] = Remembered(lesson=one.lesson)
            case Weighed():
                self.weighed.add((one.lesson, one.trial, one.tag))
                if one.lesson in self.memory:
                    self.memory[one.lesson] = self.memory[one.lesson].weighed(one.tag)
            case Reflected():
                self.reflections.append(one)
                self.experiments += [one.experiment] if one.experiment is not None else []
