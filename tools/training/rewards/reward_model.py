"""What a reward model thinks of the answer that an earlier stage of the same recipe has trained. Ouyang et al.,
arXiv 2203.02155, section 3.5.

The stage is one of the objective ``reward`` (``tools/models/reward_head.py`` is its head). The model is a second one
in memory, frozen; its rewards are any number, of which only differences mean something.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.tools.training.chance import own_chance
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Answers, Court, Judge, RewardMethod


class RewardModelConfig(MethodConfig):
    """Which model is asked."""

    stage: int | None = Field(None, ge=0)
    """Number of the stage that trained it, from 0. None: the last reward model before this stage."""


class RewardModelReward(RewardMethod):
    """For what people prefer and no program can check."""

    kind = "reward_model"
    summary = "what a reward model thinks that an earlier stage has trained on preferences"
    source = "arXiv 2203.02155"
    names = ("trained reward model", "learned reward model")
    Config = RewardModelConfig
    span = (-math.inf, math.inf)
    apart = False

    def open(self, settings: Any, court: Court) -> Judge:
        """Loads the model once, onto the device of the base model. Changes no random state."""
        from tunewright.tools.models.reward_head import load_reward_model

        folder = _folder(court.stages, settings.stage)
        if court.base is None or court.tokenizer is None:
            raise UsageError(
                "the reward 'reward_model' needs the base model and its tokenizer, and there are none here"
            )
        with own_chance(0):  # adapters are drawn before they are read, and the policy's dropout goes on
            model = load_reward_model(court.base(), court.tokenizer, folder, court.task, precision=court.precision)

        def judge(answers: Answers) -> list[float]:
            return model.scores(answers.rows, answers.texts)

        return judge


def _folder(stages: Path | None, number: int | None) -> Path:
    """Where the reward model is."""
    from tunewright.tools.models.reward_head import FILE

    found = {int(file.parent.name): file.parent for file in stages.glob(f"*/{FILE}")} if stages else {}
    wanted = max(found, default=None) if number is None else number
    if wanted not in found:
        there = f"stages {', '.join(map(str, sorted(found)))} trained one" if found else "none before this one did"
        which = "any stage" if number is None else f"stage {number}"
        raise UsageError(
            f"the reward 'reward_model' finds no reward model of {which}: {there}",
            "put a stage of the objective 'reward' before this one",
        )
    return found[wanted]


METHOD = RewardModelReward()
