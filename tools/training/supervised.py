"""What objectives share that learn from given answers: which tokens count, how much, and how rows share a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.packing import packed, rows_stay_apart


class PackingConfig(MethodConfig):
    """Settings that every objective on given answers has."""

    packing: bool = False
    """Put the rows of a batch one after the other without padding. Rows do not see each other: it saves time where
    lengths differ, and changes the numbers by rounding alone."""


class TokenConfig(PackingConfig):
    """Of those that may learn from prompts too."""

    loss_on: Literal["completion", "all"] = "completion"
    """Whether the prompt's tokens carry loss too."""


class SmoothedConfig(TokenConfig):
    """Of those whose loss is a cross-entropy."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target's probability that is spread evenly over the vocabulary (arXiv 1512.00567, section 7)."""


class TokenLearning(Learning):
    """Weighted negative log-likelihood of the labelled tokens. Subclasses say what each token weighs.

    Args:
        settings: a ``PackingConfig``.
        whole: whether the prompt's tokens carry loss too.
        smoothing: share of the target's probability that is spread evenly over the vocabulary.
    """

    def __init__(self, model: Any, settings: Any, begin: Begin, *, whole: bool = False, smoothing: float = 0.0) -> None:
        super().__init__(model, settings, begin)
        self.whole, self.smoothing = whole, smoothing
        self.within: Any = None
        if begin.vocabulary:
            from tunewright.tools.training.subset import check_head

            check_head(model)
        self.packing = settings.packing and self._packs()
        self.prompts_masked = not whole and not self.packing

    def collate(self, places: Sequence[int]) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``, each (rows, tokens), and ``row_positions`` where packed."""
        return self.joined(places, self.labels)

    def joined(self, places: Sequence[int], labels: Callable[[int], list[int]]) -> Batch:
        """The rows as ``collate`` puts them together, with these labels."""
        rows = [(self.data.encoded[place].input_ids, labels(place)) for place in places]
        if self.packing:
            return packed(rows, self.data.form.limit, filler=self.data.form.end)
        return padded(rows, "cpu", filler=self.data.form.end)

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The batch as it is. Where its loss is over a part of the vocabulary, that part is found."""
        if self.begin.vocabulary:
            from tunewright.tools.training.subset import nearest

            labels = batch["labels"][:, 1:]
            rows = self.model.get_output_embeddings().weight
            self.within = nearest(rows, labels[labels != IGNORED], self.begin.vocabulary)
        return batch

    def labels(self, place: int) -> list[int]:
        """The row's labels; of every token but the first where the prompt carries loss."""
        row = self.data.encoded[place]
        return row.input_ids if self.whole else row.labels

    def items(self, batch: Batch) -> float:
        """Labelled tokens."""
        return max(1.0, float((batch["labels"][:, 1:] != IGNORED).sum()))

    def loss(self, batch: Batch) -> Any:
        """Summed over the labelled tokens, those of a row times its weight where the batch has ``row_weights``."""
        import torch

        from tunewright.tools.training.scoring import log_likelihood, token_scores

        wanted = batch["labels"][:, 1:] != IGNORED
        if not bool(wanted.any()):
            return torch.zeros((), device=wanted.device)
        if self.smoothing:
            found = token_scores(self.model, batch, wanted, _with_mean, self.within)
            likely = (1 - self.smoothing) * found[:, 0] + self.smoothing * found[:, 1]
        else:
            likely = token_scores(self.model, batch, wanted, log_likelihood, self.within)
        losses = self.weighted(likely, batch, wanted)
        if "row_weights" in batch:
            losses = losses * batch["row_weights"].repeat_interleave(wanted.sum(1))
        return losses.sum()

    def weighted(self, likely: Any, batch: Batch, wanted: Any) -> Any:
        """(n,): the loss of each wanted position, of their log-likelihoods."""
        return -likely

    def _packs(self) -> bool:
        """Whether rows can be packed under this model; if not, that is said, and each has a line of its own."""
        apart = rows_stay_apart(self.model, self.begin.precision)
        if not apart:
            self.begin.note("rows are not packed: with this model and adapter they would see each other")
        return apart


def _with_mean(logits: Any, ids: Any) -> Any:
    """(n, 2): the log-likelihood of the label, and the mean of all tokens' of the vocabulary."""
    import torch

    every = torch.log_softmax(logits, -1)
    return torch.stack([every.gather(1, ids[:, None])[:, 0], every.mean(1)], dim=1)


def smoothing_choice(stage: str, kind: str) -> Dimension:
    """The search over label smoothing."""
    return Choice(
        name=f"label_smoothing.{kind}",
        path=f"{stage}.objective.label_smoothing",
        options=(0.0, 0.05, 0.1),
        default=0.0,
        why="0.1 in the paper that named it (arXiv 1512.00567, section 7)",
    )


def loss_on_choice(stage: str, kind: str) -> Dimension:
    """The search over what carries loss."""
    return Choice(
        name=f"loss_on.{kind}",
        path=f"{stage}.objective.loss_on",
        options=("completion", "all"),
        default="completion",
        why="loss on prompts too can help where answers are short or rows few (arXiv 2405.14394)",
    )
