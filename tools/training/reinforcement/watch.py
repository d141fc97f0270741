"""Looks at rollouts for what the loss does not show: a policy that has collapsed, or that learns nothing. Ours.

What is looked at is what DAPO's authors advise to follow (arXiv 2503.14476, section 4.3): rewards, length, entropy;
beside it divergence and the share of clipped tokens. A low value alone is no fault, since a policy that has learned its
task is sure of itself: the rewards must not have risen either, and it has to last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tunewright.tools.contract import FaultError

PATIENCE = 8
"""Rollouts in a row."""
_SURE, _FAR, _CLIPPED = 0.01, 20.0, 0.8
"""Of the entropy at first; nats a token; share of the tokens."""

Facts = Mapping[str, float]


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
        gained = facts["reward"] > self.first["reward"]
        for name, wrong, say in _SIGNS:
            bad = wrong(facts, self.first) and not (name == "unanimous" and facts["reward"] > self.best - 1e-6)
            bad = bad and not (gained and name in _EXCUSED)
            self.lasted[name] = self.lasted.get(name, 0) + 1 if bad else 0
            if self.lasted[name] == PATIENCE:
                raise FaultError("config", f"{say(facts, self.first)}, {PATIENCE} rollouts in a row", step)

    def state(self) -> dict[str, dict[str, float] | dict[str, int]]:
        """For a checkpoint."""
        return {"first": dict(self.first), "lasted": dict(self.lasted)}

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Takes up what ``state`` gave."""
        self.first = dict(state["first"])
        self.lasted = {name: int(count) for name, count in state["lasted"].items()}


_EXCUSED = ("entropy", "empty", "endless")
"""Signs that mean nothing where rewards have risen."""
_SIGNS: Sequence[tuple[str, Callable[[Facts, Facts], bool], Callable[[Facts, Facts], str]]] = (
    (
        "unanimous",
        lambda now, first: now["unanimous"] == 1.0,
        lambda now, first: (
            f"all answers to a prompt earn the same ({now['reward']:.3g} on average), so that there is nothing to "
            "learn from: train by sft before, draw more answers (group), or take a reward that tells more apart"
        ),
    ),
    (
        "masked",
        lambda now, first: now.get("masked", 0.0) == 1.0,
        lambda now, first: (
            "no answer comes to its end, and those that do not carry no loss, so that there is nothing to learn from: "
            "allow longer ones (max_new_tokens), train by sft before, or set mask_truncated to false"
        ),
    ),
    (
        "entropy",
        lambda now, first: now.get("entropy", math.inf) < _SURE * first.get("entropy", 0.0),
        lambda now, first: (
            f"the policy has collapsed: its entropy is {now['entropy']:.2g} nats a token, from "
            f"{first['entropy']:.2g}, and its answers earn no more than at first: take a lower learning rate"
        ),
    ),
    (
        "kl",
        lambda now, first: now.get("kl", 0.0) > _FAR,
        lambda now, first: (
            f"the policy has run away: {now['kl']:.3g} nats a token from where the stage began: take a "
            "lower learning rate, or a higher beta"
        ),
    ),
    (
        "clipped",
        lambda now, first: now.get("clipped", 0.0) > _CLIPPED,
        lambda now, first: (
            f"{now['clipped']:.0%} of the tokens have moved further than a step may: take a lower "
            "learning rate, or fewer iterations"
        ),
    ),
    (
        "empty",
        lambda now, first: now["length"] <= 1 < first["length"],
        lambda now, first: (
            "the policy has collapsed: its answers are empty and earn no more than at first: take a lower learning rate"
        ),
    ),
    (
        "endless",
        lambda now, first: now["ended"] == 0.0 and first["ended"] > 0.5,
        lambda now, first: (
            "the policy has collapsed: its answers no longer come to an end and earn no more than at "
            "first: take a lower learning rate, or overlong"
        ),
    ),
)
"""Name, whether it is there, what it means."""
