"""What the user wants: the brief in their words, and the task read from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Reward

Direction = Literal["max", "min"]
RowFormat = Literal["label", "completion", "chat", "preference", "judged", "text"]
"""A text and its label; a prompt and its completion; a conversation; a prompt with a better and a worse answer; a
prompt with an answer that is good or bad; raw text."""


class Brief(Frozen):
    """The user's words, unchanged."""

    text: str = Field(min_length=1)
    source: str | None = None
    """The Markdown file it came from; relative data paths in the text are relative to the working
    directory first, then to this file's folder."""


class Metric(Frozen):
    """What is measured and which way is better. The name is a scorer's name."""

    name: str
    direction: Direction = "max"

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.direction == "max" else -1.0

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``."""
        return a > b if self.direction == "max" else a < b

    def gain(self, a: float, b: float) -> float:
        """How much better ``a`` is than ``b``; negative if worse."""
        return a - b if self.direction == "max" else b - a


class Fields(Frozen):
    """Which column of a source is what."""

    input: str
    """As ``TaskSpec.input_field``."""
    target: str
    """As ``TaskSpec.target_field``."""
    contrast: str | None = None
    """As ``TaskSpec.contrast_field``."""


class DataSource(Frozen):
    """One data file or hub dataset, as named by the user."""

    path: str
    """A file path, or ``hub:NAME[:SPLIT]`` for a Hugging Face dataset."""
    name: str
    """A short unique name for mixes and reports; by default the file's stem."""
    format: RowFormat | None = None
    """How its rows are read, where it is not the task's format; such a source is trained on and never scored."""
    fields: Fields | None = None
    """Its columns, where they are not called as the task's are. None: of a source of the task's format the task's, of
    any other those that have the usual names."""
    general: bool = False
    """Whether it is general data, mixed in so that the model forgets less, and not of the task."""
    measured: bool = True
    """Whether part of its rows is held out to measure on, where it is of the task; else all of them are trained on."""

    def apart(self, task_format: RowFormat) -> bool:
        """Whether its rows are trained on alone, and never split into rows that are scored."""
        return self.general or not self.measured or self.format not in (None, task_format)

    def of_task(self, task_format: RowFormat) -> bool:
        """Whether its rows are of the task, whether they are measured or not."""
        return not self.general and self.format in (None, task_format)


class Constraint(Frozen):
    """A limit on something measured per trial, such as ``adapter_bytes <= 5e6``."""

    quantity: str
    relation: Literal["<=", ">="]
    value: float

    def holds(self, measured: float) -> bool:
        return measured <= self.value if self.relation == "<=" else measured >= self.value


class Goal(Frozen):
    """Something measured per trial that should be small or large as well, such as a small ``adapter_bytes``."""

    quantity: str
    direction: Direction = "min"


class TaskSpec(Frozen):
    """The task as the program understands it. Everything a trial needs to know of it, and no path."""

    model: str
    """As the user wrote it: directory, hub name or alias."""
    sources: tuple[DataSource, ...] = Field(min_length=1)
    format: RowFormat
    input_field: str
    """Column of the text (label, text), of the prompt (completion, preference, judged) or of the message list (chat).
    Of preferences whose answers begin with their prompt the same as ``target_field``."""
    target_field: str
    """Column of the label, the completion, the better answer (preference) or the judged one; for chat and text the
    same as ``input_field``."""
    contrast_field: str | None = None
    """Column of the worse answer (preference), or of whether the answer is good (judged)."""
    metric: Metric
    labels: tuple[str, ...] = ()
    """The closed set, sorted; for format ``label`` only."""
    prompt: str = "{input}"
    """How a row becomes a prompt: ``{input}`` stands for the input column's text, as it is."""
    template: Literal["plain", "chat"] = "plain"
    """``plain``: prompt and completion joined as text. ``chat``: through the tokenizer's chat template."""
    max_length: int = Field(512, gt=1)
    """Tokens, prompt and completion together."""
    max_new_tokens: int = Field(64, gt=0)
    """Tokens generated per item where the metric needs generation."""
    constraints: tuple[Constraint, ...] = ()
    goals: tuple[Goal, ...] = ()
    """What decides besides the metric, the first before the second, among those that the metric does not tell apart."""

    @property
    def formats(self) -> dict[str, RowFormat]:
        """Name of a source -> the form of its rows."""
        return {source.name: source.format or self.format for source in self.sources}


class Wishes(Frozen):
    """What the brief says about the search itself: enforced by code when the space is built."""

    adapters: tuple[str, ...] = ()
    """Only these kinds; empty means every kind that fits."""
    without: tuple[str, ...] = ()
    """Never these kinds."""
    plans: tuple[str, ...] = ()
    """Only these plans of stages, the default first: objectives joined by arrows, such as ``sft > grpo``; empty means
    supervised fine-tuning."""
    rewards: tuple[Reward, ...] = ()
    """What reinforcement learning rewards; empty means what the objective takes by itself."""
    selectors: tuple[str, ...] = ()
    """How rows are selected; empty means that all are trained on, unless ``keep`` is set."""
    keep: float | None = Field(None, gt=0, le=1)
    """The share of the rows to train on."""
    mixes: tuple[str, ...] = ()
    """How sources are mixed; empty means that their weights are searched."""
    replay: float = Field(0.0, ge=0, lt=1)
    """Share of general data mixed in."""
    depths: tuple[int, ...] = ()
    """How many depths supervised stages go through, to choose from, the default first; 1 is the whole model throughout.
    Empty means that."""
    clients: int = Field(1, ge=1, le=1000)
    """Simulated clients that supervised stages are trained by."""
    alpha: float | None = Field(None, gt=0)
    """Of the Dirichlet distribution by which the clients' rows differ; None: they are alike."""
    least_gain_per_hour: float = Field(0.0, ge=0)
    """What a trial has to gain for each hour that it takes longer than the best so far, to take its place."""
    worst_weight: float | None = Field(None, ge=0)
    """By domains, which are sources or else labels: a trial's worth is its mean gain over them, less so many times what
    the worst of them loses against the base model. None: by rows, whatever domain they are of."""
    every_trial: bool = False
    """Whether the number of trials is wanted and no mere limit, or all of the budget is to be used."""
    max_rank: int | None = Field(None, gt=0)
    compress: bool = False
    """Whether compression after training is searched, where the adapter allows it."""
