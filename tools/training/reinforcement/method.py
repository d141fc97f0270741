"""What the objectives of reinforcement learning declare alike: rewards, rollouts, bounds, cost. No torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tunewright.domain.recipe import Objective, Reward
from tunewright.domain.space import Choice, Condition, Dimension, Float
from tunewright.domain.task import RowFormat, TaskSpec
from tunewright.tools.training.method import Family, ObjectiveMethod
from tunewright.tools.training.preference import AnswersConfig

if TYPE_CHECKING:
    from tunewright.tools.training.learning import Begin, Learning
    from tunewright.tools.training.reinforcement.algorithm import Algorithm
    from tunewright.tools.training.reinforcement.learning import PolicyLearning

PROMPTS: tuple[RowFormat, ...] = ("label", "completion", "chat", "preference")
"""Formats of rows whose prompts can be answered."""
Scales = Literal["group", "batch", "none"]
"""What an advantage is divided by."""


class RolloutConfig(AnswersConfig):
    """Settings that every objective has which learns from answers of its own."""

    rewards: tuple[Reward, ...] = ()
    """What answers are worth: the weighted sum of these. Empty: whether the answer is the row's target."""
    group: int = Field(8, ge=2, le=256)
    """Answers to each prompt."""
    temperature: float = Field(1.0, gt=0, le=5)
    """At which answers are drawn, from the whole distribution."""
    iterations: int = Field(1, ge=1, le=16)
    """How often each answer is trained on."""
    steps_per_generation: int = Field(1, ge=1, le=64)
    """Optimiser steps that share the answers of one rollout, a part of them each."""
    beta: float = Field(0.0, ge=0)
    """How strongly the policy is held to the one that the stage began with."""
    overlong: float = Field(0.0, ge=0, le=1)
    """Last share of an answer's greatest length over which a penalty grows from 0 to 1: DAPO, arXiv 2503.14476,
    equation 13."""
    mask_truncated: bool = False
    """Whether answers that did not come to their end carry no loss."""


class GroupConfig(RolloutConfig):
    """Settings of objectives that compare the answers to one prompt."""

    dynamic: int = Field(0, ge=0, le=16)
    """How many more times prompts are drawn, at most, to replace those whose answers all earned the same: DAPO, arXiv
    2503.14476, section 3.2."""


class ClippedConfig(GroupConfig):
    """With bounds on how far a step may move."""

    epsilon: float = Field(0.2, gt=0, lt=1)
    """How far below 1 a ratio of probabilities may go before its token stops learning."""
    epsilon_high: float | None = Field(None, gt=0)
    """How far above 1. None: as far as below."""

    @property
    def upper(self) -> float:
        """How far above 1 a ratio may go."""
        return self.epsilon if self.epsilon_high is None else self.epsilon_high


class RolloutObjective(ObjectiveMethod):
    """Base of objectives that learn from answers of their own and what these earn."""

    family: ClassVar[Family] = "reinforcement"
    formats = PROMPTS
    Config: type[RolloutConfig] = GroupConfig
    lr_scale = 0.2
    lr_source = "runs of thousands of steps take 5e-6 to 1e-4 with LoRA; a study's have some dozens (ours)"
    step_cost = 24.0
    """With eight answers to a prompt: each is generated, and trained on."""

    def check(self, objective: Objective, task: TaskSpec | None = None) -> None:
        """Whether there are such rewards, and whether they fit the task."""
        from tunewright.tools.training.scoreboard import check_rewards

        check_rewards(chosen(self.Config.model_validate(objective.settings)), task)

    def cost(self, objective: Objective) -> float:
        """In proportion to the answers."""
        settings = self.Config.model_validate(objective.settings)
        usual: int = self.Config.model_fields["group"].default
        return self.step_cost * settings.group / usual

    def recalls(self, objective: Objective) -> bool:
        """Where it is held to the policy that the stage began with."""
        return self.Config.model_validate(objective.settings).beta > 0

    def sequences(self, objective: Objective) -> int:
        """The answers to a prompt."""
        return self.Config.model_validate(objective.settings).group

    @abstractmethod
    def algorithm(self) -> Algorithm:
        """How the policy is improved."""

    def learner(self) -> type[PolicyLearning]:
        """What goes on in a stage."""
        from tunewright.tools.training.reinforcement.learning import PolicyLearning

        return PolicyLearning

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Rollouts, and steps on them."""
        return self.learner()(model, self.Config.model_validate(objective.settings), begin, self.algorithm())

    def dimensions(self, stage: str) -> list[Dimension]:
        """How strongly it is held to where it began, and how often an answer is trained on."""
        return [beta_choice(stage, self), iterations_choice(stage, self)]


def chosen(settings: RolloutConfig) -> tuple[Reward, ...]:
    """The rewards of a stage."""
    return settings.rewards or (Reward(kind="exact_match"),)


def beta_choice(stage: str, method: ObjectiveMethod, options: tuple[float, ...] = (0.0, 1e-3, 1e-2, 4e-2)) -> Choice:
    """The search over how strongly the policy is held to where the stage began; its default is the method's."""
    return Choice(
        name=f"beta.{method.kind}",
        path=f"{stage}.objective.beta",
        options=options,
        default=method.Config.model_fields["beta"].default,
        why="no more helps by being more (arXiv 2512.07611: non-monotonic), so these are choices and no range",
    )


def iterations_choice(stage: str, method: ObjectiveMethod) -> Choice:
    """The search over how often an answer is trained on."""
    return Choice(
        name=f"iterations.{method.kind}",
        path=f"{stage}.objective.iterations",
        options=(1, 2, 4),
        default=method.Config.model_fields["iterations"].default,
        why="1 is on the policy; answers cost more than steps, so using one again may pay (options ours)",
    )


def epsilon_range(stage: str, method: ObjectiveMethod, name: str, low: float, high: float, why: str) -> Float:
    """The search over one of the bounds, which only answers meet that are trained on more than once."""
    return Float(
        name=f"{name}.{method.kind}",
        path=f"{stage}.objective.{name}",
        low=low,
        high=high,
        log=high / low > 5,
        default=method.Config.model_fields[name].default,
        when=() if _shared(method) else (Condition(name=f"iterations.{method.kind}", values=(2, 4)),),
        why=why,
    )


def _shared(method: ObjectiveMethod) -> bool:
    """Whether several steps share a rollout whatever ``iterations`` is."""
    return bool(method.Config.model_fields["steps_per_generation"].default > 1)
