"""What answers are worth under several rewards: the weighted sum, and a guard around each of them.

A reward may be anyone's code. Whatever it does wrong becomes a fault that names the reward and the row; a sum with a
hole in it never reaches the policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import FaultKind
from tunewright.domain.recipe import Reward
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.training.registry import reward, settings
from tunewright.tools.training.reward import Answers, Court, Judge
from tunewright.tools.training.reward_process import Apart, Trouble, judged


@dataclass(frozen=True)
class Scores:
    """What a number of answers is worth, in their order."""

    total: list[float]
    """The weighted sum of the parts."""
    parts: dict[str, list[float]]
    """Name of the reward -> its values, without the weight. The name is the kind; the n-th of a kind ends in ``-n``,
    from 2."""


def check_rewards(choices: Sequence[Reward], task: TaskSpec | None = None) -> None:
    """Whether there are such rewards and settings, as far as that is known before a model is there.

    Args:
        task: if it is known, whether they fit it too.

    Raises:
        UnknownNameError: no such reward.
        UsageError: no reward at all, no such setting or value, a weight that is no number, or rewards that do not fit.
    """
    if not choices:
        raise UsageError("there is no reward to learn from", "name one, such as exact_match")
    for choice in choices:
        method = reward(choice.kind)
        own = settings(method, choice)
        if not math.isfinite(choice.weight):
            raise UsageError(f"the weight of reward '{choice.kind}' is {choice.weight}", "give a finite number")
        method.check(own, task)


def open_rewards(choices: Sequence[Reward], court: Court) -> Scoreboard:
    """The scoreboard of one stage. Close it after the last step; it is a context manager, too.

    Args:
        choices: rewards with weights; two of a kind may differ in their settings.
        court: the stage.

    Raises:
        UsageError: as ``check_rewards``, or a reward cannot judge here.
        FaultError: ``config``: a reward's own process did not begin.
    """
    check_rewards(choices, court.task)
    board = Scoreboard([])
    try:
        for name, choice in zip(_names(choices), choices, strict=True):
            board.seats.append(_Seat(name, choice.weight, _judge(choice, court)))
    except BaseException:
        board.close()
        raise
    return board


@dataclass(frozen=True)
class _Seat:
    name: str
    weight: float
    judge: Judge


class Scoreboard:
    """Judges answers by every reward of a stage.

    Args:
        seats: names, weights and judges.
    """

    def __init__(self, seats: list[_Seat]) -> None:
        self.seats = seats

    def __call__(self, answers: Answers) -> Scores:
        """What the answers are worth.

        Raises:
            FaultError: a reward raised, hung, or gave something else than one finite number for each answer; the
                message names it, and the row whose answer it was where that can be told.
        """
        parts = {seat.name: _values(seat, answers) if answers.texts else [] for seat in self.seats}
        weights = [seat.weight for seat in self.seats]
        rows = zip(*parts.values(), strict=True)
        return Scores([math.fsum(w * v for w, v in zip(weights, row, strict=True)) for row in rows], parts)

    def close(self) -> None:
        """Ends the processes of rewards that run apart. May be called twice."""
        for seat in self.seats:
            if isinstance(seat.judge, Apart):
                seat.judge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _names(choices: Sequence[Reward]) -> list[str]:
    seen: list[str] = []
    names = []
    for choice in choices:
        seen.append(choice.kind)
        number = seen.count(choice.kind)
        names.append(choice.kind if number == 1 else f"{choice.kind}-{number}")
    return names


def _judge(choice: Reward, court: Court) -> Judge:
    method = reward(choice.kind)
    own = settings(method, choice)
    if not method.apart:
        return method.open(own, court)
    return Apart(choice, court, lambda answers: method.patience(own, answers), method.hang)


def _values(seat: _Seat, answers: Answers) -> list[float]:
    """One finite number for each answer."""
    rows = [row["id"] for row in answers.rows]
    try:
        values = judged(seat.judge, answers)
    except FaultError as error:
        raise FaultError(error.fault.kind, f"reward '{seat.name}' {error.fault.message}") from error
    except Trouble as trouble:
        kind, message, where = _traced(seat.judge, answers, trouble)
        raise FaultError(kind, f"reward '{seat.name}' {message}; it was asked about {where}") from trouble
    if len(values) != len(rows):
        raise FaultError(
            "config",
            f"reward '{seat.name}' gave {len(values)} values for {len(rows)} answers, of {_rows(rows)}; it must give "
            "one for each",
        )
    for value, row in zip(values, rows, strict=True):
        if not math.isfinite(value):
            raise FaultError(
                "config", f"reward '{seat.name}' gave {value} for the answer to row {row}; it must be a finite number"
            )
    return values


def _traced(judge: Judge, answers: Answers, trouble: Trouble) -> tuple[FaultKind, str, str]:
    """Kind, message and place of the trouble: of the first answer that it comes with, asked one by one."""
    for place, row in enumerate(answers.rows):
        one = slice(place, place + 1)
        try:
            judged(judge, Answers(answers.prompts[one], answers.texts[one], answers.rows[one]))
        except Trouble as found:
            return found.kind, found.message, f"the answer to row {row['id']}"
        except FaultError as found:
            return found.fault.kind, found.fault.message, f"the answer to row {row['id']}"
    return trouble.kind, trouble.message, f"the answers to {_rows([row['id'] for row in answers.rows])}"


def _rows(ids: Sequence[str]) -> str:
    return f"row {ids[0]}" if len(ids) == 1 else f"rows {ids[0]} to {ids[-1]}"
