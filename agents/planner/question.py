"""What a language model is shown before it plans: brief, data, model, limits, the rules' plan, methods, lessons.

Amounts are coarse where a clock or a meter gave them, so that the same study asks the same question again: recorded
answers are found by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunewright.agents.brief.answers import words_of
from tunewright.agents.context.tokens import tokens
from tunewright.agents.context.told import PROMPT_TOKENS
from tunewright.agents.opening import compared
from tunewright.agents.planner.wider import (
    MOST_ADAPTERS,
    MOST_PLANS,
    adapter_limits,
    addable_adapters,
    addable_objectives,
    plan_limits,
)
from tunewright.agents.prompt import quoted, render
from tunewright.agents.specification import memory_limit
from tunewright.domain.budget import CURRENCIES
from tunewright.domain.proposal import Plan
from tunewright.domain.space import Dimension, Space
from tunewright.domain.study import Study
from tunewright.tools.training import registry

_LABELS, _WARNINGS, _QUOTED = 20, 5, 200
_SUMMARY = 70
"""Characters of what a method is said to be for."""
_LEAST_LINES = 12
"""Settings that are listed however little room there is."""


@dataclass(frozen=True)
class _Lists:
    """What is shown as far as there is room."""

    space: tuple[str, ...]
    adapters: tuple[str, ...]
    objectives: tuple[str, ...]
    lessons: tuple[str, ...]
    labels: tuple[str, ...]


def plan_prompt(study: Study, rules: Plan, *, budget: int = PROMPT_TOKENS) -> str:
    """The question to a language model, of at most ``budget`` tokens.

    Args:
        rules: the plan that rules make, which is what it may change.
    """
    whole = _Lists(
        space=tuple(_line(rules.space, one) for one in rules.space.dimensions),
        adapters=tuple(_method("adapters", kind) for kind in addable_adapters(study)),
        objectives=tuple(_method("objectives", kind) for kind in addable_objectives(study)),
        lessons=tuple(_lessons(study)),
        labels=tuple(_labels(study)),
    )
    shown = whole
    text = _rendered(study, rules, shown, whole)
    for shorter in _shorter(whole):
        if tokens(text) <= budget:
            break
        shown = shorter
        text = _rendered(study, rules, shown, whole)
    return text


def _shorter(whole: _Lists) -> list[_Lists]:
    """Ever less of the lists: first what methods are for, then methods, labels and lessons, settings last."""
    bare = replace(whole, adapters=tuple(one.partition(":")[0] for one in whole.adapters))
    few = replace(bare, labels=whole.labels[:5], lessons=whole.lessons[:4])
    none = replace(few, adapters=(), lessons=whole.lessons[:2], labels=())
    counts = [len(whole.space) * part // 8 for part in range(7, 0, -1)]
    cut = [replace(none, space=whole.space[: max(count, _LEAST_LINES)]) for count in counts]
    return [bare, few, none, *cut]


def _rendered(study: Study, rules: Plan, shown: _Lists, whole: _Lists) -> str:
    assert study.task is not None
    names = ("space", "adapters", "lessons", "labels")
    missing = {name: len(getattr(whole, name)) - len(getattr(shown, name)) for name in names}
    words = {"space": "settings", "adapters": "adapters that may be added"}
    return render(
        "plan",
        brief=words_of(study).text,
        task=study.task,
        data=_data(study),
        warnings=[one[:_QUOTED] for one in (study.profile.warnings if study.profile else ())][:_WARNINGS],
        labels=list(shown.labels),
        model=_model(study),
        limits=_limits(study),
        space=list(shown.space),
        sizes=_sizes(rules),
        adapters=list(shown.adapters),
        objectives=list(shown.objectives),
        most_adapters=MOST_ADAPTERS,
        most_plans=MOST_PLANS,
        lessons=list(shown.lessons),
        left_out=[f"{count} more {words.get(name, name)} are not listed" for name, count in missing.items() if count],
    )


def _data(study: Study) -> list[str]:
    assert study.data is not None
    found = [f"{study.data.train.rows:,} rows to train on, {study.data.val.rows:,} for validation"]
    profile = study.profile
    if profile is not None:
        middle, most, longest = profile.characters
        found.append(f"characters of a row: median {middle:,}, 95th percentile {most:,}, longest {longest:,}")
        found.append(f"{profile.duplicates:,} duplicates, {profile.empty:,} with an empty side")
        if len(profile.sources) > 1:
            found.append("sources " + ", ".join(f"{quoted(one.name)} {one.rows:,}" for one in profile.sources))
    return found


def _labels(study: Study) -> list[str]:
    counts = study.profile.labels if study.profile is not None else {}
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [f"{quoted(label[:40])} {rows:,}" for label, rows in ranked[:_LABELS]]


def _model(study: Study) -> list[str]:
    found = [quoted(study.task.model if study.task else "")]
    if study.model is not None:
        found.append(f"{study.model.parameters / 1e6:,.0f} million parameters")
    base = study.base
    if base is not None and base.score is not None:
        found.append(f"untouched it scores {base.score:.3f} on validation")
    return found


def _limits(study: Study) -> list[str]:
    """Budget, and what the brief allows."""
    assert study.budget is not None and study.task is not None
    left = study.budget.left(study.spent(study.seen_at))
    caps = [f"{name} {cap:g}" for name in CURRENCIES if (cap := getattr(study.budget, name)) is not None]
    used = [
        f"{name} about {round(10 * (1 - left[name] / cap)) * 10} %"
        for name in CURRENCIES
        if name != "trials" and (cap := getattr(study.budget, name))
    ]
    found = [f"budget: {', '.join(caps)}" + (f"; of that spent: {', '.join(used)}" if used else "")]
    found += [f"{one.quantity} {one.relation} {one.value:g}" for one in study.task.constraints]
    memory = memory_limit(study)
    found += [f"a trial may hold {memory:.3g} GiB"] if memory is not None else []
    wishes = study.wishes
    found += [f"never {', '.join(wishes.without)}"] if wishes.without else []
    found += [f"no rank above {wishes.max_rank}"] if wishes.max_rank else []
    found += [one for one in (adapter_limits(study), plan_limits(study)) if one]
    fixed = [name for name in compared(wishes) if name not in ("adapter", "plan")]
    found += [f"the brief says which {name} is tried" for name in fixed]
    return [*found, "seeds, test rows, metric and the number of trials are code's"]


def _sizes(rules: Plan) -> list[str]:
    length = "" if rules.epochs is None else f", a trial of {rules.epochs:g} epochs by default"
    found = [f"{rules.trials[1]} trials at most{length}, {rules.confirm_seeds} trainings on fresh seeds at the end"]
    looks = [f"{one:.2g} epochs" for one in rules.rungs.epochs] or [f"{one} steps" for one in rules.rungs.steps]
    found.append(f"measured on the way after {', '.join(looks)}" if looks else "measured at their ends only")
    shares = [
        f"{name} about {round(10 * getattr(rules.expect, name) / cap) * 10} %"
        for name in CURRENCIES
        if name != "trials" and (cap := getattr(rules.budget, name))
    ]
    found += [f"expected to spend: {', '.join(shares)} of the budget"] if shares else []
    found += [f"the search begins from {len(rules.kin)} earlier studies"] if rules.kin else []
    return found


def _lessons(study: Study) -> list[str]:
    found = [study.insights.memory[id] for id in study.insights.recalled or ()]
    return [
        f"{one.id} ({one.counters()}{f', likeness {one.likeness:.2f}' if one.likeness is not None else ''}): "
        f"{quoted(one.lesson.claim[:_QUOTED])}"
        for one in found
        if not one.dropped
    ]


def _method(shelf: registry.Shelf, kind: str) -> str:
    summary = " ".join(str(registry.method(shelf, kind).summary).split())
    return f"{kind}: {summary if len(summary) <= _SUMMARY else summary[:_SUMMARY].rsplit(' ', 1)[0].rstrip(',;:')}"


def _line(space: Space, dimension: Dimension) -> str:
    when = " and ".join(f"{one.name} is {' or '.join(map(str, one.values))}" for one in dimension.when)
    return f"{dimension.name} ({dimension.path}): {dimension.says()}, default {_short(dimension.default)}" + (
        f", if {when}" if when else ""
    )


def _short(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "even" if len(set(value)) == 1 else ", ".join(f"{one:.2g}" for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
