"""How much better the better of two answers is, in a model's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.tools.evaluation.inference import Progress
from tunewright.tools.evaluation.likelihood import log_likelihoods
from tunewright.tools.models.pair import Pair
from tunewright.tools.models.reward_head import head_of, rewards_of


def margins(model: Any, pairs: Sequence[Pair], *, batch_tokens: int, progress: Progress | None = None) -> list[float]:
    """The better answer's score over the worse one's, in the given order. Call it inside ``inference``.

    Of a reward model the score is its head's; of any other the mean log-likelihood of an answer's tokens, its end token
    included, which does not favour short answers.
    """
    lines = [(one.prompt, said) for one in pairs for said in (one.chosen, one.rejected)]
    head = head_of(model)
    if head is not None:
        rows = [[*prompt, *said] for prompt, said in lines]
        scores = rewards_of(model, head, rows, batch_tokens=batch_tokens, progress=progress)
    else:
        sums = log_likelihoods(model, lines, batch_tokens=batch_tokens, progress=progress)
        scores = [total / len(said) for total, (_, said) in zip(sums, lines, strict=True)]
    return [scores[at] - scores[at + 1] for at in range(0, len(scores), 2)]
