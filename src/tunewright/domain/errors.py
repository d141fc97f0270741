"""The tree of errors. Each type names the boundary a failure crossed; the message says what to do next.

    TunewrightError
    ├── UsageError            what the user gave cannot be used (exit code 2)
    │   ├── BriefError        the brief lacks something; the hint is a sentence that would have worked
    │   ├── DataError         a data file; the message names file and line
    │   ├── ModelError        the model cannot be found or read
    │   └── UnknownNameError  no such metric, method, sampler, sandbox or study
    ├── StudyBusyError        another process runs this study
    ├── SandboxError          the sandbox could not do its part; never the trial's own failure
    ├── TrackingError         the MLflow server or store did not answer
    ├── BrainError            no valid structured answer from the language model
    │   ├── AnswerError       it did answer, and nothing that it said could be used
    │   └── ServerError       its server does not answer, for longer than is waited
    │       └── AccessError   its server does not let us in, or has no such model
    ├── PauseError            a study cannot go on now, and can be resumed
    ├── AnnotatorError        who labels pairs of answers gave no label
    ├── BudgetError           the ledger refuses
    └── ApprovalError         what is to be launched is not what was approved

A failed trial is not an error: it is an ``Outcome`` with a ``Fault``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class TunewrightError(Exception):
    """Base of all our errors: one line that says what is wrong, and a hint that says what to do.

    Args:
        message: what was expected and what came, naming the thing in quotes.
        hint: the next step, as a second line. May be empty only if the message says it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[TunewrightError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(TunewrightError):
    """What the user gave cannot be used."""

    exit_code = 2


class BriefError(UsageError):
    """The brief lacks something that no default can stand in for."""


class DataError(UsageError):
    """A data file cannot be used; the message names the file and, where there is one, the line."""


class ModelError(UsageError):
    """A model cannot be found, fetched or read."""


class UnknownNameError(UsageError):
    """No such metric, method, sampler, sandbox or study."""


class StudyBusyError(UsageError):
    """Another process holds the study's journal."""


class SandboxError(TunewrightError):
    """The sandbox could not start, watch or stop a job. The trial itself is not to blame."""


class TrackingError(TunewrightError):
    """The tracking store did not answer or refused a write."""


class BrainError(TunewrightError):
    """The language model gave no valid structured answer within the tries allowed."""


class AnswerError(BrainError):
    """The language model answered each time, and none of its answers was valid."""


class ServerError(BrainError):
    """The language model's server did not answer for longer than is waited. Nothing is wrong with the question."""


class AccessError(ServerError):
    """The language model's server refuses the key or the account, or has no such model. Waiting does not help."""

    exit_code = 2


class PauseError(TunewrightError):
    """The study cannot go on now. What runs is paused, nothing is lost, and it can be resumed."""


class AnnotatorError(TunewrightError):
    """Whoever labels pairs of answers failed, or said what is no label."""


class BudgetError(TunewrightError):
    """The ledger refuses: what is left does not cover what is asked."""


class ApprovalError(TunewrightError):
    """The hash of what is to be launched is not the hash that was approved."""


@contextmanager
def boundary(kind: type[TunewrightError], doing: str, hint: str = "") -> Iterator[None]:
    """Turns whatever escapes the block into ``kind``; an error of ours passes through as it is.

    Example:
        >>> with boundary(SandboxError, "start the container"):
        ...     client.containers.run(...)  # doctest: +SKIP
    """
    try:
        yield
    except TunewrightError:
        raise
    except Exception as error:
        cause = str(error).strip().splitlines()
        raise kind(f"could not {doing}: {cause[0] if cause else type(error).__name__}", hint) from error


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """The error for a name that is in no registry: lists what there is, nearest spelling first."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    return UnknownNameError(
        f"unknown {what} '{name}'", f"{meant}choose from {', '.join(names) or 'none'}. {hint}".strip()
    )
