"""What objectives share that learn from better and worse answers: pairs, their likelihood, and the reference.

The reference is the policy as it is when the stage begins. What it says of every pair that the stage will train on is
computed once, before the first step, so that no second model is held; this works with every adapter, in full
fine-tuning, and where a stage continues the adapter of another. A resumed stage builds the same policy anew before it
takes its checkpoint up, so that its reference is the same to the bit.

As in TRL, dropout is off by default: a policy that drops at random is not the reference, even before it has learned
anything, and the difference between the two is all there is to learn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Float
from tunewright.domain.task import RowFormat
from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.models.pair import pair
from tunewright.tools.models.prompt import IGNORED, Encoded, Template
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin, Learning, trimmed
from tunewright.tools.training.method import Family, MethodConfig, ObjectiveMethod

K = TypeVar("K")
V = TypeVar("V")
PAIRED: tuple[RowFormat, ...] = ("preference", "label")
"""Formats of rows that make pairs."""


class AnswersConfig(MethodConfig):
    """Settings that every objective on better and worse answers has."""

    keep_dropout: bool = False
    """Whether dropout acts, that of the adapter included. Off, the policy begins as the reference exactly."""


class PairObjective(ObjectiveMethod):
    """Base of objectives on pairs."""

    family: ClassVar[Family] = "preference"
    formats = PAIRED
    Config: type[MethodConfig] = AnswersConfig
    step_cost = 2.0

    def sequences(self, objective: Objective) -> int:
        """Both answers."""
        return 2

    def admit(self, row: Row, encoded: Encoded, form: Template, objective: Objective) -> str | None:
        """A pair needs two answers that differ in a token that is left of them."""
        return unpaired(row, form)


def unpaired(row: Row, form: Template) -> str | None:
    """Why a row makes no pair, in a few words that several rows share; None if it does."""
    if "rejected" in row:
        found = pair(row, form, 0)
        return f"has answers that do not differ within {form.limit} tokens" if found.chosen == found.rejected else None
    if row["target"] not in form.task.labels:
        return "has no second answer to compare its own with"
    shown = {tuple(ids[: form.reserve]) for ids in form.label_ids}
    return f"has labels that do not differ within {form.limit} tokens" if len(shown) < len(form.label_ids) else None


class AnswerLearning(Learning):
    """Base of what learns from answers as wholes: their log-probabilities, and what was seen of a step's answers."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        super().__init__(model, settings, begin)
        self._silent = [] if settings.keep_dropout else list(dropping(model))
        self._seen: dict[str, Any] = {}

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The batch as it is; dropout is silent from here to the end of the step."""
        for module in self._silent:
            module.training = False
        self._seen = {}
        return batch

    def log_probs(self, batch: Batch) -> Any:
        """(sequences,) log-probabilities of the labelled tokens together, with a graph."""
        from tunewright.tools.training.scoring import sums, token_scores

        wanted = batch["labels"][:, 1:] != IGNORED
        return sums(token_scores(self.model, batch, wanted), wanted)

    def see(self, **values: Any) -> None:
        """Remembers (n,) numbers of a micro-batch under names that ``facts`` will mean over."""
        for name, value in values.items():
            total, count = self._seen.get(name, (0.0, 0))
            self._seen[name] = (total + value.detach().float().sum(), count + len(value))

    def facts(self) -> Mapping[str, float]:
        """The means of what was seen in the last step."""
        return {name: float(total) / count for name, (total, count) in self._seen.items() if count}


class PairLearning(AnswerLearning):
    """Batches of pairs: all chosen answers, then all rejected ones in the same order."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        super().__init__(model, settings, begin)
        data = self.data
        self.pairs = {place: pair(data.rows[place], data.form, begin.seed) for place in sorted(set(data.order))}
        self.prompts_masked = all(one.prompt == data.encoded[place].prompt for place, one in self.pairs.items())

    def collate(self, places: Sequence[int]) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``, each (2 rows, tokens).

        ``per_token`` (2 rows,) makes a sum over the chosen answers' tokens a sum over pairs of their mean.
        """
        import torch

        found = [self.pairs[place] for place in places]
        lines = [(one.prompt, one.chosen) for one in found] + [(one.prompt, one.rejected) for one in found]
        batch = padded([labelled(*line) for line in lines], "cpu", filler=self.data.form.end)
        share = len(found) / sum(len(one.chosen) for one in found)
        return {**batch, "per_token": torch.full((len(lines),), share)}

    def cut(self, batch: Batch, size: int | None) -> Iterator[Batch]:
        """Micro-batches of whole pairs: of two sequences at least."""
        count = self.count(batch)
        step = count if size is None else max(1, size // 2)
        for start in range(0, count, step):
            chosen = range(start, min(start + step, count))
            yield batch if step >= count else picked(batch, [*chosen, *(count + place for place in chosen)])

    def items(self, batch: Batch) -> float:
        """Pairs."""
        return float(self.count(batch))

    def count(self, batch: Batch) -> int:
        """How many pairs a batch holds."""
        return len(batch["input_ids"]) // 2


class ReferredLearning(PairLearning):
    """Pairs of which it is known what the policy said before the stage."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        super().__init__(model, settings, begin)
        lines = [(one.prompt, said) for one in self.pairs.values() for said in (one.chosen, one.rejected)]
        found = reference(model, lines, begin)
        self.reference = {
            place: (found[2 * at], found[2 * at + 1]) for at, place in enumerate(self.pairs)
        }  # fmt: skip

    def collate(self, places: Sequence[int]) -> Batch:
        """As of pairs, with ``reference``: (2 rows,) log-probabilities."""
        import torch

        chosen, rejected = zip(*(known(self.reference, place) for place in places), strict=True)
        return {**super().collate(places), "reference": torch.tensor([*chosen, *rejected], dtype=torch.float32)}


def reference(model: Any, lines: Sequence[tuple[Sequence[int], Sequence[int]]], begin: Begin) -> list[float]:
    """The log-probability of each answer after its prompt under the model as it is, without dropout.

    Raises:
        Interrupted: it is time to stop.
    """
    from tunewright.tools.evaluation.inference import inference
    from tunewright.tools.evaluation.likelihood import log_likelihoods

    begin.note(f"the reference: {len(lines):,} answers are read once before the first step")
    with inference(model, begin.precision):
        return log_likelihoods(model, lines, batch_tokens=4096, progress=begin.check)


def known(reference: Mapping[K, V], wanted: K) -> V:
    """What the policy said before the stage.

    Raises:
        FaultError: ``config``: it was not asked, as the row was not laid out for the stage.
    """
    if wanted not in reference:
        raise FaultError(
            "config", "a row was drawn while it was trained that was not laid out before, and what the policy said of "
            "it when the stage began is not known: take a mix whose weights do not change", 0,
        )  # fmt: skip
    return reference[wanted]


def dropping(model: Any) -> Iterator[Any]:
    """The modules that drop numbers at random in training, and do nothing else that depends on it."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch.nn import Dropout

    for module in model.modules():
        if isinstance(module, Dropout) or (
            isinstance(module, BaseTunerLayer)
            and any(getattr(settings, "dropout", 0) for settings in getattr(module, "settings", {}).values())
        ):
            yield module


def labelled(prompt: Sequence[int], completion: Sequence[int]) -> tuple[list[int], list[int]]:
    """Ids and labels of an answer after its prompt."""
    return [*prompt, *completion], [IGNORED] * len(prompt) + list(completion)


def picked(batch: Batch, sequences: Sequence[int]) -> Batch:
    """These sequences of a batch, without columns of padding that none of them needs."""
    return trimmed({name: column[list(sequences)] for name, column in batch.items()})


def beta_range(stage: str, kind: str, default: float = 0.1, low: float = 0.01, high: float = 0.5) -> Float:
    """The search over how strongly the policy is held to the reference."""
    return Float(
        name=f"beta.{kind}",
        path=f"{stage}.objective.beta",
        low=low,
        high=high,
        log=True,
        default=default,
        why="0.1 in TRL and most papers, which sweep 0.01 to 0.1 (arXiv 2405.14734, appendix B); more for few steps",
    )
