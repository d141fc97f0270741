"""What a reward is: the contract of the files in ``rewards/``.

A file defines one object ``METHOD``; its module imports no torch, so that the host can ask for names and settings.
Packages add rewards by the entry-point group ``tunewright.rewards``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunewright.domain.outcome import FaultKind
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig


@dataclass(frozen=True)
class Answers:
    """What is to be judged: one entry for each answer."""

    prompts: Sequence[str]
    """As the model saw them."""
    texts: Sequence[str]
    """What the model said, without its end token."""
    rows: Sequence[Row]
    """The training row that each answer is to; its ``target`` is the reference."""


Judge = Callable[[Answers], Sequence[float]]
"""A number for each answer. May raise, hang or give NaN: ``scoreboard`` guards against that."""


def each(score: Callable[[str, Row], float]) -> Judge:
    """The judge that asks ``score`` of each answer and its row, whatever the others are."""
    return lambda answers: [score(text, row) for text, row in zip(answers.texts, answers.rows, strict=True)]


@dataclass(frozen=True)
class Court:
    """What a reward may know of the stage that it judges."""

    task: TaskSpec
    device: str = "cpu"
    precision: str = "fp32"
    stages: Path | None = None
    """Where the finished stages before this one are, as ``0``, ``1``, ..."""
    base: Callable[[], Any] | None = None
    """Loads the model that the first stage began with, anew and frozen. None where a reward runs apart."""
    tokenizer: Any = None
    """Of that model. None where a reward runs apart."""


class RewardMethod(ABC):
    """One way to say what an answer is worth. Subclasses say what they are in class attributes."""

    kind: ClassVar[str]
    """Its name in recipes."""
    summary: ClassVar[str]
    """One line that says when to choose it."""
    source: ClassVar[str]
    """Where it comes from: a paper, or the library or standard that it checks with."""
    names: tuple[str, ...] = ()
    """What people call it beside its kind."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English, which in a brief need not mean the reward."""
    Config: type[MethodConfig] = MethodConfig
    quoted: str = ""
    """The setting that text in quotes after its name in a brief is."""
    span: tuple[float, float] = (0.0, 1.0)
    """The least and the most that it gives; infinite where there is no bound."""
    apart: bool = True
    """Whether it runs in a process of its own, which can be ended when it hangs. One that runs in the training's
    process promises to end by itself; only there are the court's model and tokenizer."""
    hang: FaultKind = "config"
    """Whose fault it is if it does not answer in time."""

    def patience(self, settings: Any, answers: int) -> float:
        """Seconds after which it counts as hanging, if it runs apart.

        Args:
            answers: how many it is asked to judge.
        """
        return 30.0 + answers

    def check(self, settings: Any, task: TaskSpec | None) -> None:  # noqa: B027  most have nothing to check
        """Whether settings and task go together, before a model is there.

        Raises:
            UsageError: they do not, or a package is missing.
        """

    @abstractmethod
    def open(self, settings: Any, court: Court) -> Judge:
        """The judge for one stage.

        Args:
            settings: an instance of ``Config``.

        Raises:
            UsageError: it cannot judge here.
        """
