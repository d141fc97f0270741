"""Looks at rollouts for what the loss does not show: a policy that has collapsed, or that learns nothing. Ours.

What is looked at is what DAPO's authors advise to follow (arXiv 2503.14476, section 4.3): rewards, length, entropy;
beside it divergence and the share of clipped tokens. A low value alone is no fault, since a policy that has learned its
task is sure of itself: the rewards must not have risen either, and it has to last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tunewright.tools.contract import FaultError

PATIENCE = 8
"""Rollouts in a row."""
_SURE, _FAR, _CLIPPED = 0.01, 20.0, 0.8
"""Of the entropy at first; nats a token; share of the tokens."""

Facts = Mapping[str, float]


@dataclass(frozen=True)
class Sign:
    """Something that is wrong if it lasts."""

    name: str
    wrong: Callable[[Facts, Facts], bool]
    """Of what is now, the best reward that there can be among it as ``best``, and what was at first."""
    says: Callable[[Facts, Facts], str]
    excused: bool = False
    """Whether it means nothing where rewards have risen."""


class Watch:
    """Follows the rollouts of a stage.

    Args:
        best: the most that an answer can earn; infinite where there is no bound.
    """

    def __init__(self, best: float) -> None:
        self.best = best
        self.first: dict[str, float] = {}
        self.lasted: dict[str, int] = {}

    def look(self, facts: Facts, step: int) -> None:
        """At the end of a step.

        Args:
            facts: ``reward``, ``unanimous``, ``length``, ``ended``, and where they are known ``masked``, ``entropy``,
                ``kl`` and ``clipped``.

        Raises:
            FaultError: ``config``, with the step: something has been wrong for too long.
        """
        for name, value in facts.items():
            self.first.setdefault(name, value)
        gained, now = facts["reward"] > self.first["reward"], {**facts, "best": self.best}
        for sign in _SIGNS:
            bad = sign.wrong(now, self.first) and not (sign.excused and gained)
            self.lasted[sign.name] = self.lasted.get(sign.name, 0) + 1 if bad else 0
            if self.lasted[sign.name] == PATIENCE:
                raise FaultError("config", f"{sign.says(now, self.first)}, {PATIENCE} rollouts in a row", step)

    def state(self) -> dict[str, dict[str, float] | dict[str, int]]:
        """For a checkpoint."""
        return {"first": dict(self.first), "lasted": dict(self.lasted)}

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Takes up what ``state`` gave."""
        self.first = dict(state["first"])
        self.lasted = {name: int(count) for name, count in state["lasted"].items()}


_SIGNS = (
    Sign(
        "unanimous",
        lambda now, first: now["unanimous"] == 1.0 and now["reward"] <= now["best"] - 1e-6,
        lambda now, first: (
            f"all answers to a prompt earn the same ({now['reward']:.3g} on average), so that there is nothing to "
            "learn from: train by sft before, draw more answers (group), or take a reward that tells more apart"
        ),
    ),
    Sign(
        "masked",
        lambda now, first: now.get("masked", 0.0) == 1.0,
        lambda now, first: (
            "no answer comes to its end, and those that do not carry no loss, so that there is nothing to learn from: "
            "allow longer ones (max_new_tokens), train by sft before, or set mask_truncated to false"
        ),
    ),
    Sign(
        "entropy",
        lambda now, first: now.get("entropy", math.inf) < _SURE * first.get("entropy", 0.0),
        lambda now, first: (
            f"the policy has collapsed: its entropy is {now['entropy']:.2g} nats a token, from "
            f"{first['entropy']:.2g}, and its answers earn no more than at first: take a lower learning rate"
        ),
        excused=True,
    ),
    Sign(
        "kl",
        lambda now, first: now.get("kl", 0.0) > _FAR,
        lambda now, first: (
            f"the policy has run away: {now['kl']:.3g} nats a token from where the stage began: take a "
            "lower learning rate, or a higher beta"
        ),
    ),
    Sign(
        "clipped",
        lambda now, first: now.get("clipped", 0.0) > _CLIPPED,
        lambda now, first: (
            f"{now['clipped']:.0%} of the tokens have moved further than a step may: take a lower "
            "learning rate, or fewer iterations"
        ),
    ),
    Sign(
        "empty",
        lambda now, first: now["length"] <= 1 < first["length"],
        lambda now, first: (
            "the policy has collapsed: its answers are empty and earn no more than at first: take a lower learning rate"
        ),
        excused=True,
    ),
    Sign(
        "endless",
        lambda now, first: now["ended"] == 0.0 and first["ended"] > 0.5,
        lambda now, first: (
            "the policy has collapsed: its answers no longer come to an end and earn no more than at "
            "first: take a lower learning rate, or overlong"
        ),
        excused=True,
    ),
)
