"""A reward in a process of its own: foreign code that hangs or crashes is ended, and the fault is known.

What a process needs of its own ``reward_worker`` does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import FaultKind
from tunewright.domain.recipe import Reward
from tunewright.tools.contract import FaultError, classify
from tunewright.tools.line_process import LineProcess
from tunewright.tools.training.reward import Answers, Court, Judge

OPENING_S = 120.0
"""What a reward may take to begin: libraries of verifiers are slow to import."""
# -P keeps the working directory, which a job can write, off the module path.
_COMMAND = (sys.executable, "-P", "-m", "tunewright.tools.training.reward_worker")


class Trouble(Exception):
    """A judge failed, and did not say on which answer.

    Args:
        kind: whose fault it is.
        message: what happened, in words that go on after the reward's name.
    """

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def judged(judge: Judge, answers: Answers) -> list[float]:
    """What the judge says, as floats, right or wrong in number and size.

    Raises:
        FaultError: the judge says itself whose fault it is.
        Trouble: anything else went wrong.
    """
    try:
        return [float(value) for value in judge(answers)]
    except (FaultError, Trouble):
        raise
    except (Exception, SystemExit) as error:
        fault = classify(error)
        # A file or module that the reward's own code misses is no fault of the machine: trying again is no help.
        own = fault.kind == "infra" and isinstance(error, OSError | ImportError)
        raise Trouble("config" if own else fault.kind, f"failed: {fault.message}") from error


class Apart:
    """A judge that asks a reward in another process. A process that hung or died is replaced at the next call.

    Args:
        patience: seconds for so many answers.
        hang: whose fault it is if they pass.

    Raises:
        UsageError: the reward cannot judge here.
        FaultError: ``config``: it did not begin.
    """

    def __init__(self, choice: Reward, court: Court, patience: Callable[[int], float], hang: FaultKind) -> None:
        self.choice, self.court, self.patience, self.hang = choice, court, patience, hang
        self._worker: LineProcess | None = self._opened()

    def __call__(self, answers: Answers) -> Sequence[float]:
        """The values.

        Raises:
            FaultError, Trouble: as ``judged``; or it hung or its process ended.
        """
        if self._worker is None:
            self._worker = self._opened()
        limit = self.patience(len(answers.texts))
        try:
            reply = self._worker.ask(asdict(answers), limit)
        except TimeoutError as error:
            self.close()
            raise Trouble(self.hang, f"gave no value within {limit:g} s") from error
        except EOFError as error:
            self.close()
            raise Trouble("config", f"ended its process: {error}") from error
        if "fault" in reply:
            raise FaultError(*reply["fault"])
        if "trouble" in reply:
            raise Trouble(*reply["trouble"])
        values: list[float] = reply["values"]
        return values

    def close(self) -> None:
        """Ends the process. May be called twice."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _opened(self) -> LineProcess:
        worker = LineProcess(_COMMAND, {"PYTHONHASHSEED": "0", **os.environ})
        court = {"task": self.court.task.model_dump(mode="json"), "device": self.court.device}
        stages = str(self.court.stages.absolute()) if self.court.stages else None
        first = {"path": sys.path, "choice": self.choice.model_dump(mode="json"), "stages": stages, **court}
        try:
            reply = worker.ask(first, OPENING_S)
        except (TimeoutError, EOFError) as error:
            worker.end()
            reason = str(error) or f"no answer within {OPENING_S:g} s"
            raise FaultError("config", f"reward '{self.choice.kind}' did not begin: {reason}") from error
        if "usage" in reply:
            worker.end()
            raise UsageError(*reply["usage"])
        return worker
