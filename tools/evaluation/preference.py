"""How well a model tells better answers from worse ones, of pairs and of answers that were judged one by one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from tunewright.tools.evaluation.inference import Progress
from tunewright.tools.evaluation.likelihood import Pair as Line
from tunewright.tools.evaluation.likelihood import log_likelihoods
from tunewright.tools.models.pair import Pair
from tunewright.tools.models.reward_head import head_of, rewards_of


def answer_scores(
    model: Any, lines: Sequence[Line], *, batch_tokens: int, progress: Progress | None = None
) -> list[float]:
    """What each answer after its prompt is worth to the model, in the given order. Call it inside ``inference``.

    Of a reward model that is what its head says; of any other the mean log-likelihood of the answer's tokens, its end
    token included, which does not favour short answers.
    """
    head = head_of(model)
    if head is not None:
        rows = [[*prompt, *said] for prompt, said in lines]
        return rewards_of(model, head, rows, batch_tokens=batch_tokens, progress=progress)
    sums = log_likelihoods(model, lines, batch_tokens=batch_tokens, progress=progress)
    return [total / len(said) for total, (_, said) in zip(sums, lines, strict=True)]


def margins(model: Any, pairs: Sequence[Pair], *, batch_tokens: int, progress: Progress | None = None) -> list[float]:
    """The better answer's score over the worse one's, in the given order. Call it inside ``inference``."""
    lines = [(one.prompt, said) for one in pairs for said in (one.chosen, one.rejected)]
    scores = answer_scores(model, lines, batch_tokens=batch_tokens, progress=progress)
    return [scores[at] - scores[at + 1] for at in range(0, len(scores), 2)]


def ranks(scores: Sequence[float], good: Sequence[bool]) -> list[float]:
    """Of each answer the share of the answers of the other kind that are on the right side of it, ties by half.

    Their mean is the area under the ROC curve. One half for all where every answer is of one kind.
    """
    kinds = {kind: sorted(one for one, is_good in zip(scores, good, strict=True) if is_good == kind) for kind in (0, 1)}
    found = []
    for score, is_good in zip(scores, good, strict=True):
        others = kinds[not is_good]
        below = (bisect_left(others, score) + bisect_right(others, score)) / 2
        share = below / len(others) if others else 0.5
        found.append(share if is_good or not others else 1 - share)
    return found
