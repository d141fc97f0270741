"""What objectives share that learn from given answers: which tokens count, how much, and how rows share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.method import MethodConfig


class TokenConfig(MethodConfig):
    """Settings that every objective on given answers has."""

    loss_on: Literal["completion", "all"] = "completion"
    """Whether the prompt's tokens carry loss too."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target's probability that is spread evenly over the vocabulary (arXiv 1512.00567, section 7)."""
    packing: bool = False
    """Put the rows of a batch one after the other without padding. Rows do not see each other: it saves time where
    lengths differ, and changes the numbers by rounding alone."""


class TokenLearning(Learning):
    """Weighted negative log-likelihood of the labelled tokens. Subclasses say what each token weighs."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        super().__init__(model, settings, begin)
        self.prompts_masked = settings.loss_on == "completion" and not settings.packing

    def collate(self, places: Sequence[int]) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``, each (rows, tokens); packed rows have ``position_ids``."""
        rows = [(self.data.encoded[place].input_ids, self.labels(place)) for place in places]
        if self.settings.packing:
            return packed(rows, self.data.form.limit, filler=self.data.form.end)
        return padded(rows, "cpu", filler=self.data.form.end)

    def labels(self, place: int) -> list[int]:
        """The row's labels; of every token but the first where the prompt carries loss."""
        row = self.data.encoded[place]
        return row.input_ids if self.settings.loss_on == "all" else row.labels

    def items(self, batch: Batch) -> float:
        """Labelled tokens."""
        return max(1.0, float((batch["labels"][:, 1:] != IGNORED).sum()))

    def loss(self, batch: Batch) -> Any:
        """Summed over the labelled tokens."""
        import torch

        from tunewright.tools.training.scoring import log_likelihood, token_scores

        wanted = batch["labels"][:, 1:] != IGNORED
        if not bool(wanted.any()):
            return torch.zeros((), device=wanted.device)
        smoothing = self.settings.label_smoothing
        if not smoothing:
            return self.weighted(token_scores(self.model, batch, wanted, log_likelihood), batch, wanted)
        found = token_scores(self.model, batch, wanted, _with_mean)
        return self.weighted((1 - smoothing) * found[:, 0] + smoothing * found[:, 1], batch, wanted)

    def weighted(self, likely: Any, batch: Batch, wanted: Any) -> Any:
        """The loss of (n,) log-likelihoods of the wanted positions, summed."""
        return -likely.sum()


def _with_mean(logits: Any, ids: Any) -> Any:
    """(n, 2): the log-likelihood of the label, and the mean of all tokens' of the vocabulary."""
    import torch

    every = torch.log_softmax(logits, -1)
    return torch.stack([every.gather(1, ids[:, None])[:, 0], every.mean(1)], dim=1)


def packed(rows: Sequence[tuple[list[int], list[int]]], limit: int, *, filler: int) -> Batch:
    """The rows in as few sequences of at most ``limit`` tokens as first-fit decreasing finds.

    Each row's positions begin at 0, which is how transformers' attention masks tell rows apart, and its first token
    carries no label: nothing before it is its context.
    """
    import torch

    bins: list[list[tuple[list[int], list[int]]]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row[0])):
        at = next((at for at, free in enumerate(room) if free >= len(row[0])), None)
        if at is None:
            bins.append([])
            room.append(limit)
            at = len(bins) - 1
        bins[at].append(row)
        room[at] -= len(row[0])
    joined = [
        ([i for ids, _ in one for i in ids], [label for _, labels in one for label in (IGNORED, *labels[1:])])
        for one in bins
    ]
    batch = padded(joined, "cpu", filler=filler)
    width = batch["input_ids"].shape[1]
    positions = [[place for ids, _ in one for place in range(len(ids))] for one in bins]
    # Padding goes on counting from 0, as a row of its own that nobody looks at.
    batch["position_ids"] = torch.tensor([line + list(range(width - len(line))) for line in positions])
    return batch


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
