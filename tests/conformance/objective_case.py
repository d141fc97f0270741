"""What objectives need to be trained on ``tiny`` within a second: rows for each format, settings for each kind.

A new kind needs a line in ``CASES`` only where its first format's rows, its defaults or the values that can be derived
from its ``Config`` and its dimensions will not do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]
WORDS = {"sky": ("blue", "cloud", "rain"), "sea": ("wave", "salt", "fish"), "sun": ("warm", "gold", "noon")}
COUNT = 24


@dataclass(frozen=True)
class Case:
    """How one kind is tried."""

    settings: Settings = field(default_factory=dict)
    """What it is always given: small numbers, and what has no default that works."""
    format: str | None = None
    """Of its training rows; the objective's first if it is not said."""
    other: Settings = field(default_factory=dict)
    """Setting -> a value whose effect is tested, where neither the type nor a dimension tells one."""
    under: Mapping[str, Settings] = field(default_factory=dict)
    """Setting -> what else is set in both trials where it has an effect only then."""
    before: Sequence[Mapping[str, Any]] = ()
    """Stages before its own, such as a reward model's."""
    task: Settings = field(default_factory=dict)
    """What the task says otherwise."""
    optimisation: Settings = field(default_factory=dict)
    """What the stage says otherwise of rate, batch and steps."""


def _row(number: int, **own: Any) -> dict[str, Any]:
    label = sorted(WORDS)[number % 3]
    word = WORDS[label][number // 3 % 3]
    return {"id": f"{number:016x}", "source": "a", "input": f"{word} {number}", "target": label, "meta": {}, **own}


def _completion(number: int) -> dict[str, Any]:
    """An answer with its reasons before it, marked in both of the usual ways."""
    row = _row(number)
    said = f"<Thinking>{row['input']}, so #### {row['target']}</Thinking><Answer>{row['target']}</Answer>"
    return {**row, "target": said}


def _chat(number: int) -> dict[str, Any]:
    row = _completion(number)
    turns = [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["target"]}]
    return {**row, "messages": turns}


def _preference(number: int) -> dict[str, Any]:
    return _row(number, rejected=sorted(WORDS)[(number + 1) % 3])


def _judged(number: int) -> dict[str, Any]:
    good = number % 2 == 0
    return _row(number, good=good, target=sorted(WORDS)[(number + (not good)) % 3])


def _text(number: int) -> dict[str, Any]:
    row = _row(number)
    return {**row, "input": "", "target": f"{row['input']} is of the {row['target']}.", "raw": True}


ROWS: dict[str, list[dict[str, Any]]] = {
    "label": [_row(number) for number in range(COUNT)],
    "completion": [_completion(number) for number in range(COUNT)],
    "chat": [_chat(number) for number in range(COUNT)],
    "preference": [_preference(number) for number in range(COUNT)],
    "judged": [_judged(number) for number in range(COUNT)],
    "text": [_text(number) for number in range(COUNT)],
}
"""Row format -> training rows."""

_KEY = {"tag": "<Thinking>", "markers": ("thinking>",)}
_MARKED = {"markers": {"tag": "<none>"}}
# What a model of random weights earns now and then, so that there is something to tell apart from the first answer on.
_EARNED = [{"kind": "regex", "pattern": "[a-zA-Z]"}]
_ROLLED = {"rewards": _EARNED, "group": 4}


def _rolled(**own: Any) -> Case:
    """Of an objective of reinforcement learning: what its settings are worth only shows in later steps."""
    other = {
        "rewards": [{"kind": "regex", "pattern": "[0-9 ]"}],
        "group": 2,
        "temperature": 0.5,
        "iterations": 3,
        "steps_per_generation": 2,
        "beta": 0.5,
        "overlong": 0.9,
        "mask_truncated": True,
        "dynamic": 2,
        "epsilon": 0.01,
        "epsilon_high": 0.3,
        "keep_dropout": True,
        **own.pop("other", {}),
    }
    under = {
        "overlong": {"group": 32},
        "epsilon": {"iterations": 3},
        "epsilon_high": {"iterations": 3, "epsilon": 0.01},
        **own.pop("under", {}),
    }
    return Case(settings={**_ROLLED, **own.pop("settings", {})}, other=other, under=under, **own)


CASES: dict[str, Case] = {
    "alphatoken": Case(
        settings={"fisher_prompts": 4, "fisher_tokens": 4, "hold_out": 0.25, "val_rows": 3},
        other={"fisher_prompts": 1, "fisher_tokens": 1, "hold_out": 0.4, "val_rows": 1, "window": 0, "stability": 1e4},
        under={name: {"stability": 1e4} for name in ("fisher_prompts", "fisher_tokens", "window")},
    ),
    "dpo": Case(other={"tau": 1.0}, under={"tau": {"loss": "discopop"}}),
    "key_tokens": Case(other=_KEY, under=_MARKED),
    "kto": Case(
        other={"beta": 0.5, "desirable_weight": 2.0},
        under={"loss": {"undesirable_weight": 0.01}},  # else nothing becomes likelier, and there is no divergence
    ),
    "cispo": _rolled(
        settings={"iterations": 1}, other={"epsilon_high": 1.01}, under={"epsilon_high": {"iterations": 3}}
    ),
    "dapo": _rolled(settings={"mask_truncated": False}, other={"epsilon_high": 0.005}),
    "dr_grpo": _rolled(),
    "grpo": _rolled(),
    "gspo": _rolled(settings={"steps_per_generation": 1}),
    "lite_ppo": _rolled(),
    "lrpo": _rolled(
        settings={"own": 1, "every": 1, "alpha": 0.9, "explore": 0.1},
        other={
            "arms": [{}, {"says": "Well?"}],
            "own": 3,
            "topic": "target",
            "tau": 0.2,
            "least_tau": 5.0,
            "tau_decay": 0.2,
            "explore": 0.9,
            "explore_decay": 0.01,
            "alpha": 0.1,
            "every": 2,
        },
        under={"explore_decay": {"explore": 0.9, "tau": 0.1}, "tau_decay": {"least_tau": 0.01}},
    ),
    "ppo": _rolled(
        settings={"iterations": 1},
        other={"group": 2, "gamma": 0.5, "lam": 0.5, "value_weight": 5.0, "epsilon_value": 1e-4, "entropy_weight": 0.1},
        under={"epsilon_value": {"iterations": 3, "value_weight": 5.0}},
    ),
    "rloo": _rolled(),
    "sapo": _rolled(
        settings={"iterations": 1},
        other={"tau": 3.0, "tau_negative": 3.0},
        under={"tau": {"iterations": 3}, "tau_negative": {"iterations": 3}},
    ),
    "simpo": Case(other={"label_smoothing": 0.1, "alpha": 0.5}),
    "sftkey": Case(other=_KEY, under=_MARKED, settings={"stage2_ratio": 0.5}),
}
"""Kind -> how it is tried, where not all is as usual."""
