"""Answers that the policy gives to prompts, drawn by a seed of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import Template
from tunewright.tools.training.chance import own_chance
from tunewright.tools.training.reward import Answers

TOKENS_AT_ONCE = 2**15
"""Of prompts and answers that are generated together."""


@dataclass
class Rollout:
    """Answers with what they are to, in equal groups: one entry for each."""

    rows: list[Row] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    """Token ids, as the policy read them."""
    answers: list[list[int]] = field(default_factory=list)
    """Token ids, the end token among them where the policy came to it."""
    arms: list[int] = field(default_factory=list)
    """In which way each was asked, where there are several."""
    rewards: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    """Name of a reward -> what it gave."""

    def __len__(self) -> int:
        return len(self.answers)

    def groups(self, size: int) -> Iterator[Rollout]:
        """The answers to each prompt."""
        for start in range(0, len(self), size):
            yield self.at(range(start, start + size))

    def at(self, places: Sequence[int]) -> Rollout:
        """The entries at these places."""
        return Rollout(
            [self.rows[at] for at in places],
            [self.prompts[at] for at in places],
            [self.answers[at] for at in places],
            [self.arms[at] for at in places],
            [self.rewards[at] for at in places] if self.rewards else [],
            {name: [values[at] for at in places] for name, values in self.parts.items()},
        )

    def add(self, other: Rollout) -> None:
        """Appends the other's entries."""
        self.rows += other.rows
        self.prompts += other.prompts
        self.answers += other.answers
        self.arms += other.arms
        self.rewards += other.rewards
        for name, values in other.parts.items():
            self.parts.setdefault(name, []).extend(values)


def roll(
    model: Any,
    form: Template,
    rows: Sequence[Row],
    prompts: Sequence[list[int]],
    arms: Sequence[int],
    *,
    seed: int,
    temperature: float,
    precision: str,
    check: Callable[[int, int], None],
) -> Rollout:
    """One answer to each prompt, without rewards. Changes neither the model nor any random state.

    An answer has as many tokens at most as evaluation gives it.

    Args:
        rows: that the prompts were made of.
        arms: in which way.
        check: may raise ``Interrupted`` between batches.
    """
    from tunewright.tools.evaluation.generation import continuations
    from tunewright.tools.evaluation.inference import inference

    with inference(model, precision), own_chance(seed):
        answers = continuations(
            model,
            prompts,
            end=form.end,
            max_new_tokens=form.reserve,
            batch_tokens=TOKENS_AT_ONCE,
            progress=check,
            temperature=temperature,
        )
    return Rollout(list(rows), list(prompts), answers, list(arms))


def spoken(rollout: Rollout, form: Template) -> Answers:
    """The rollout as rewards are shown it."""
    from tunewright.tools.evaluation.generation import without

    decode = form.tokenizer.decode
    texts = [str(decode(without(ids, form.end), skip_special_tokens=True)).strip() for ids in rollout.answers]
    seen: dict[int, str] = {}
    prompts = [seen.setdefault(id(ids), str(decode(ids))) for ids in rollout.prompts]
    return Answers(prompts, texts, rollout.rows)
