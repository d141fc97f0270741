"""Numbers as people read them: with units, with their interval, and no longer than they are true."""

from __future__ import annotations

import re

from tunewright.domain.budget import CURRENCIES, Budget, Cost
from tunewright.domain.event import ModelProbed, StudyOptions
from tunewright.domain.model_calls import AnswerForm
from tunewright.domain.options import NO_MODEL
from tunewright.domain.outcome import Measurement
from tunewright.domain.proposal import Range

_TRIAL = re.compile(r"\bt(\d+)\b")


def clock(seconds: float) -> str:
    """``0:52``, ``27:41``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """``14 s``, ``4 min``, ``2.5 h``: for what is planned, where seconds would be false precision."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.5 or seconds == 0 else f"{seconds:.1g} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h"


def parameters(count: int) -> str:
    """``134.5M``, ``1.7B``, ``830k``."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}" if size > 1e3 else f"{count / size:.0f}{letter}"
    return str(count)


def file_size(count: float) -> str:
    """``2.4 MB``, decimal like disks and downloads."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def gib(amount: float) -> str:
    """Memory: ``2.9 GiB``, and MiB below a tenth of one."""
    return f"{amount:.1f} GiB" if amount >= 0.1 else f"{amount * 1024:.0f} MiB"


def measured(measurement: Measurement) -> str:
    """``0.842 [0.799, 0.880]``."""
    if measurement.low is None or measurement.high is None:
        return f"{measurement.value:.3f}"
    return f"{measurement.value:.3f} [{measurement.low:.3f}, {measurement.high:.3f}]"


def between(low: float, high: float, unit: str) -> str:
    """``9 to 12 trials``; one number if the two are the same."""
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"


def doubt(forecast: Range, times: float = 1.0) -> str:
    """``5.7 +- 0.6``: the expected value and the wider side of where it falls four times in five."""
    side = max(forecast.high - forecast.expected, forecast.expected - forecast.low)
    return f"{forecast.expected * times:.2g} +- {side * times:.2g}"


def amount(currency: str, value: float) -> str:
    """One currency's amount with its unit."""
    match currency:
        case "wall_s":
            return f"{duration(value)} wall"
        case "device_s":
            return f"{duration(value)} device time"
        case "usd":
            return f"${value:.2f}"
        case "llm_tokens":
            return f"{value:,.0f} tokens"
        case _:
            return f"{value:g} trials"


def limits(budget: Budget) -> str:
    """Every cap: ``30 min wall, 12 trials``."""
    return ", ".join(amount(name, cap) for name in CURRENCIES if (cap := getattr(budget, name)) is not None)


def progress(currency: str, spent: float, cap: float) -> str:
    """``12:40 of 30:00``, ``3 of 12 trials``."""
    match currency:
        case "wall_s":
            return f"{clock(spent)} of {clock(cap)}"
        case "device_s":
            return f"{clock(spent)} of {clock(cap)} device time"
        case "usd":
            return f"${spent:.2f} of ${cap:.2f}"
        case "llm_tokens":
            return f"{spent:,.0f} of {cap:,.0f} tokens"
        case _:
            return f"{spent:g} of {cap:g} trials"


def spent_of(spent: Cost, budget: Budget | None) -> str:
    """What is spent of every cap; of what is not capped, time and trials."""
    capped = {name: cap for name in CURRENCIES if budget and (cap := getattr(budget, name)) is not None}
    words = [progress(name, getattr(spent, name), cap) for name, cap in capped.items()]
    if "wall_s" not in capped:
        words.insert(0, clock(spent.wall_s))
    if "trials" not in capped:
        words.append(f"{spent.trials} trial{'' if spent.trials == 1 else 's'}")
    return ", ".join(words)


_FORMS: dict[AnswerForm, str] = {
    "schema": "its answers are held to a JSON schema",
    "object": "its answers are JSON, checked here against the schema",
    "plain": "its answers are text, read and checked here",
}


def ability(found: ModelProbed) -> str:
    """What a language model's server can do."""
    return f"{found.model}: {_FORMS[found.form]}; {'it calls functions' if found.tools else 'it calls no functions'}"


def models(options: StudyOptions) -> str:
    """Who answers in which role: ``openai/gpt-4o-mini; reflection by rules``."""
    named = {role: "rules" if model == NO_MODEL else model for role, model in options.llms.items()}
    return "; ".join([options.llm or "rules", *(f"{role} by {model}" for role, model in named.items())])


def label(job: str) -> str:
    """What people call a job: ``#4`` for trial ``t4``."""
    return f"#{job[1:]}" if job[:1] == "t" and job[1:].isdigit() else job


def labelled(text: str) -> str:
    """``text`` with every trial called what people call it: ``worse than t0 by 0.1`` is worse than ``#0``."""
    return _TRIAL.sub(r"#\1", text)


def limits_of(cost: Cost, budget: Budget) -> str:
    """A cost in the currencies that ``budget`` caps, and always in wall time if there is any; trials are left out."""
    shown = [
        name
        for name in CURRENCIES
        if name != "trials" and getattr(cost, name) and (name == "wall_s" or getattr(budget, name) is not None)
    ]
    return ", ".join(amount(name, getattr(cost, name)) for name in shown)
