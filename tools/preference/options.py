"""What a session of labelling may be told, and what it says when it ends. Imports no numpy: doors stay fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.budget import Cost
from tunewright.domain.frozen import Frozen

Acquire = Literal["thompson", "bald", "random"]
"""How pairs are chosen; see ``acquisition``."""
Pooling = Literal["mean", "last"]
"""What of an answer its features are made of; see ``features``."""
Ending = Literal["budget", "stopped", "exhausted"]
"""As many labels as were wanted; the annotator ended it; every pair was asked for."""


class Course(Frozen):
    """How pairs are chosen, and when it is enough."""

    budget: int | None = Field(None, gt=0)
    """Labels in all, ties among them; None for every pair."""
    batch: int = Field(1, gt=0)
    """Pairs chosen at a time."""
    initial: int = Field(4, ge=0)
    """Pairs asked for at random before any is chosen."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Share of the pairs that look for the best answer; the others look where little is known."""
    acquire: Acquire = "thompson"
    seed: int = Field(0, ge=0)


class Standing(Frozen):
    """Where the labelling stands."""

    labels: int
    """With a winner or a tie."""
    ties: int
    skipped: int
    left: int
    """Pairs that were never asked for."""
    sure: float | None
    """The share of the pairs left whose label is expected to be foreseen; None where none is left."""
    foreseen: int
    """Answers with a winner that was expected."""
    foreseeable: int
    """Answers with a winner, where one was expected."""
    bits: float
    """What all labels taught, each at its time."""


class LabelOptions(Course):
    """How pairs are chosen, and where answers and features come from."""

    lam: float | None = Field(None, gt=0)
    """Precision of the prior over the reward's weights; None to take the one under which the labels are most likely."""
    pooling: Pooling = "mean"
    """Which of an answer's states its features are made of."""
    dimensions: int | None = Field(64, gt=0)
    """At most so many features; None for all that the model's last layer has."""
    template: Literal["plain", "chat"] = "plain"
    """How a prompt is put to the model."""
    samples: int = Field(4, ge=2)
    """Answers drawn for a prompt, where the data has none."""
    prompts: int = Field(100, gt=0)
    """Prompts that answers are drawn for: so many of the data, at random."""
    temperature: float = Field(1.0, gt=0)
    """Of the draw."""
    max_new_tokens: int = Field(64, gt=0)
    """Longest answer that is drawn."""
    prompt_field: str | None = None
    """Column of the prompt, where its name does not tell; likewise the next two."""
    answers_field: str | None = None
    target_field: str | None = None
    skip_bad_rows: bool = False
    question: str = "Which answer is better?"
    """What an annotator is asked."""


class Labelled(Standing):
    """What a session of labelling left behind."""

    pairs: str
    """The file of pairs, of format ``preference``."""
    session: str
    """The folder with the journal, from which a later session goes on."""
    ended: Ending
    prompts: int
    answers: int
    by: dict[str, int]
    """Annotator -> its labels and skips that stand."""
    lam: float
    """Precision of the prior at the end."""
    cost: Cost
    """Of the language model that labelled; what was taken back is paid for as well."""
