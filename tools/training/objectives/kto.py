"""Kahneman-Tversky optimisation: answers that are good or bad, each by itself. Ethayarajh et al., arXiv 2402.01306,
equations 7 and 8.

::

    good   w_g (1 - s(beta (r - z)))      bad   w_b (1 - s(beta (z - r)))
    r = log pi(y|x) - log pi_ref(y|x)     z = max(0, mean of r over the batch's prompts with others' answers)

``s`` is the logistic function; ``z``, without a gradient, stands for the divergence of the policy from the reference.
As in the paper each prompt has the answer of the row before it in the batch, and the loss is the mean over answers.
``apo_zero_unpaired`` is the same without ``z``: D'Oosterlinck et al., arXiv 2408.06266, equation 7, for single answers.
A pair of answers counts as a good and a bad one, as in the paper; for labels the bad one is drawn (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Objective
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.models.pair import pair
from tunewright.tools.models.prompt import Encoded, Template
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.method import Family, ObjectiveMethod
from tunewright.tools.training.preference import (
    PAIRED,
    AnswerLearning,
    AnswersConfig,
    beta_range,
    known,
    labelled,
    reference,
    unpaired,
)

Judged = tuple[list[int], list[int], bool]
"""Prompt and answer as token ids, and whether the answer is good."""
_OTHERS = "others_"
"""Before the columns of the prompts with others' answers."""


class KtoConfig(AnswersConfig):
    """Settings of KTO."""

    loss: Literal["kto", "apo_zero_unpaired"] = "kto"
    """Whether an answer is measured against the policy's divergence from the reference, or against the reference."""
    beta: float = Field(0.1, gt=0)
    """How strongly the policy is held to the reference."""
    desirable_weight: float = Field(1.0, gt=0)
    """Of good answers. Where the two kinds are not equally many, the paper wants the sums of their weights to be in a
    ratio of 1 to 4/3 (equation 9)."""
    undesirable_weight: float = Field(1.0, gt=0)
    """Of bad answers."""


class KtoLearning(AnswerLearning):
    """Batches of single answers."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        super().__init__(model, settings, begin)
        data = self.data
        self.judged = {place: self._judged(place) for place in sorted(set(data.order))}
        self.prompts_masked = all(one[0][0] == data.encoded[place].prompt for place, one in self.judged.items())
        self.mismatched = settings.loss == "kto"
        lines = [line[:2] for each in self.judged.values() for line in each]
        steps = [data.order[at : at + data.batch_size] for at in range(0, len(data.order), data.batch_size)]
        if self.mismatched:
            lines += [line for places in steps for line in _shifted(self._answers(places))]
        distinct = {(tuple(prompt), tuple(said)): None for prompt, said in lines}
        found = reference(model, list(distinct), begin)
        self.reference = dict(zip(distinct, found, strict=True))

    def collate(self, places: Sequence[int]) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``, each (answers, tokens); ``good`` and ``reference``.

        For ``kto`` the prompts with others' answers have columns of their own.
        """
        import torch

        answers = self._answers(places)
        batch = self._columns([line[:2] for line in answers])
        batch["good"] = torch.tensor([good for _, _, good in answers])
        if self.mismatched:
            others = self._columns(_shifted(answers))
            batch |= {_OTHERS + name: column for name, column in others.items()}
        return batch

    def prepare(self, batch: Batch, step: int) -> Batch:
        """With ``divergence`` (answers,), the same for all of a step, in the place of the others' answers."""
        import torch

        batch = super().prepare(batch, step)
        own = {name: column for name, column in batch.items() if not name.startswith(_OTHERS)}
        divergence = torch.zeros((), device=own["reference"].device)
        if self.mismatched:
            others = {name.removeprefix(_OTHERS): column for name, column in batch.items() if name not in own}
            with torch.no_grad():
                divergence = (self.log_probs(others) - others["reference"]).mean().clamp(min=0)
        return {**own, "divergence": divergence.expand(len(own["reference"]))}

    def items(self, batch: Batch) -> float:
        """Answers."""
        return float(len(batch["input_ids"]))

    def loss(self, batch: Batch) -> Any:
        """Summed over answers."""
        good, beta = batch["good"], self.settings.beta
        moved = self.log_probs(batch) - batch["reference"]
        apart = (moved - batch["divergence"]) * (2 * good - 1)
        weights = self.settings.desirable_weight * good + self.settings.undesirable_weight * ~good
        rewards = beta * moved
        self.see(reward_good=rewards[good], reward_bad=rewards[~good], divergence=batch["divergence"])
        return (weights * (1 - (beta * apart).sigmoid())).sum()

    def _answers(self, places: Sequence[int]) -> list[Judged]:
        """Of a batch: the rows' own answers in turn, then the worse ones of those that are pairs."""
        return [each for at in (0, 1) for place in places for each in self.judged[place][at : at + 1]]

    def _judged(self, place: int) -> list[Judged]:
        row = self.data.rows[place]
        if "good" in row:
            one = self.data.encoded[place]
            return [(one.prompt, one.completion, row["good"])]
        found = pair(row, self.data.form, self.begin.seed)
        return [(found.prompt, found.chosen, True), (found.prompt, found.rejected, False)]

    def _columns(self, lines: Sequence[tuple[list[int], list[int]]]) -> Batch:
        import torch

        batch = padded([labelled(*line) for line in lines], "cpu", filler=self.data.form.end)
        before = [known(self.reference, (tuple(prompt), tuple(said))) for prompt, said in lines]
        return {**batch, "reference": torch.tensor(before, dtype=torch.float32)}


def _shifted(answers: Sequence[Judged]) -> list[tuple[list[int], list[int]]]:
    """Each prompt with the answer before its own; the first with the last."""
    return [(prompt, answers[at - 1][1]) for at, (prompt, _, _) in enumerate(answers)]


class Kto(ObjectiveMethod):
    """Learns from single answers that somebody liked or did not."""

    kind = "kto"
    summary = "learn from single answers that are good or bad: where nobody compared two"
    paper = "arXiv 2402.01306"
    names = ("KTO", "Kahneman-Tversky optimisation", "Kahneman-Tversky optimization")
    family: ClassVar[Family] = "preference"
    Config = KtoConfig
    formats = ("judged", *PAIRED)
    lr_scale = 0.1
    lr_source = "TRL 1.16: 1e-6 over supervised training's 2e-5, for long runs; twice as much for short ones (ours)"
    step_cost = 2.0

    def dimensions(self, stage: str) -> list[Dimension]:
        """Strength, and what a bad answer counts."""
        return [
            beta_range(stage, self.kind),
            Choice(
                name=f"undesirable_weight.{self.kind}",
                path=f"{stage}.objective.undesirable_weight",
                options=(0.5, 1.0, 1.5),
                default=1.0,
                why="the paper keeps good to bad between 1 and 4/3 (section 4.2); wider for uneven data (ours)",
            ),
        ]

    def sequences(self, objective: Objective) -> int:
        """Both answers of a pair; of judged answers it is one, which is not known here."""
        return 2

    def admit(self, row: Row, encoded: Encoded, form: Template, objective: Objective) -> str | None:
        """One answer that is judged, or two that differ."""
        return super().admit(row, encoded, form, objective) if "good" in row else unpaired(row, form)

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Single answers."""
        settings = KtoConfig.model_validate(objective.settings)
        if settings.loss == "kto" and begin.data.batch_size < 2:
            raise UsageError(
                "'kto' needs batches of two rows at least: it compares each prompt with another row's answer",
                "set batch_size to 2 or more, or the loss to apo_zero_unpaired",
            )
        return KtoLearning(model, settings, begin)


METHOD = Kto()
