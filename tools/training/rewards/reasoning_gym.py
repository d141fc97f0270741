"""The verifier that reasoning-gym ships with each of its tasks (Stojanovski et al. 2025, arXiv 2505.24760).

What the scorer of the same name measures, as a reward; its rows carry the same columns ``dataset`` and
``entry_metadata``.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from pydantic import Field

from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.scorers.reasoning_gym import SCORER, not_installed
from tunewright.tools.training.answer import AnswerConfig, each_content
from tunewright.tools.training.reward import Answers, Court, Judge, RewardMethod
from tunewright.tools.training.time_limit import time_limit


class ReasoningGymConfig(AnswerConfig):
    """How long a verifier may think."""

    timeout_s: float = Field(5.0, gt=0)
    """What verifying one answer may take; one that takes longer is worth nothing. Some verifiers evaluate what they
    are given, and an answer may be a huge power."""


class ReasoningGymReward(RewardMethod):
    """What the task's own verifier says, from 0 to 1; some give a part for a part."""

    kind = "reasoning_gym"
    summary = "what the task's own verifier in reasoning-gym says, 0 to 1"
    source = "arXiv 2505.24760"
    names = ("reasoning-gym", "reasoning gym verifier")
    Config = ReasoningGymConfig

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """Needs the package."""
        if importlib.util.find_spec("reasoning_gym") is None:
            raise not_installed()

    def patience(self, settings: Any, answers: int) -> float:
        """Its own limit, and a hard one for what its own cannot interrupt."""
        return 30.0 + 2 * float(settings.timeout_s) * answers

    def open(self, settings: Any, court: Court) -> Judge:
        """Asks the scorer."""
        SCORER.check(court.task, ())

        def score(said: str, row: Row) -> float:
            with time_limit(settings.timeout_s):  # what runs out of it has not been accepted, as all that fails there
                return float(SCORER.score(said, row))

        ask = each_content(settings.within, score)

        def judge(answers: Answers) -> list[float]:
            SCORER.check(court.task, answers.rows)
            return list(ask(answers))

        return judge


METHOD = ReasoningGymReward()
