"""The plan as a block of lines, and why it is as it is."""

from __future__ import annotations

from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.domain.path import label as path_label
from tunewright.domain.prior import Prior
from tunewright.domain.proposal import Plan, Supposition
from tunewright.domain.space import Choice, Dimension, Float, Int
from tunewright.domain.study import Study


def plan_lines(study: Study) -> list[Line]:
    """What would be searched, what it keeps back and what it is expected to cost."""
    plan = study.plan
    if plan is None:
        return []
    trials = words.between(*plan.trials, "trials")
    expect = f"{trials}, {words.limits_of(plan.expect, plan.budget)}, peak {words.gib(plan.memory_gib)}"
    lines = [
        Line(f'"{study.name}"' + ("" if plan.by == "rules" else f" by {plan.by}"), "plan"),
        Line(" x ".join(_ranges(plan)), sub="search", indent=2),
        Line(f"{plan.sampler}, seed {plan.seed}, {plan.batch} at a time", sub="sampler", indent=2),
        *_slots(study),
        Line(_rungs(plan), sub="rungs", indent=2),
        Line(_keep(plan), sub="keep", indent=2),
        Line(expect, sub="expect", indent=2),
    ]
    notes = [Line(note, sub="note", indent=2) for note in plan.notes if note not in study.notes]
    return [*lines[:1], *_outlook(plan), *lines[1:], *_wanted(plan), *notes]


def why_lines(plan: Plan) -> list[Line]:
    """Where each range comes from, and why the planner guesses and supposes what it does."""
    ranges = [
        Line(f"{one.name} {one.says()}, default {_value(one)}{_conditions(one)}{_why(one)}")
        for one in plan.space.dimensions
    ]
    priors = [
        Line(_prior(one) + (f": {one.reason}" if one.reason else ""), sub="guess", indent=2) for one in plan.priors
    ]
    tests = [Line(_supposition(one, whole=True), sub="test", indent=2) for one in plan.hypotheses]
    return [*ranges, *priors, *tests]


def _outlook(plan: Plan) -> list[Line]:
    """What a language model says of its plan; the rules' says no more than the lines do."""
    outlook = plan.outlook
    if plan.by == "rules" or not outlook.says:
        return []
    gain = f" (hopes for {outlook.gain:+.3g} over the untouched model)" if outlook.gain is not None else ""
    return [Line(f"{outlook.says}{gain}", sub="says", indent=2)]


def _wanted(plan: Plan) -> list[Line]:
    """What the planner changed and why, guesses and supposes."""
    changes = [Line(one.says(), sub="change", indent=2) for one in plan.changes]
    guesses = ", ".join(map(_prior, plan.priors))
    tests = [Line(_supposition(one), sub="test", indent=2) for one in plan.hypotheses]
    return [*changes, *([Line(guesses, sub="guess", indent=2)] if guesses else []), *tests]


def _prior(prior: Prior) -> str:
    value = prior.value
    if isinstance(value, list):
        said = "/".join(f"{part:.2g}" for part in value)
    else:
        said = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{prior.name} {said} ({100 * prior.weight:.0f} % sure)"


def _supposition(one: Supposition, *, whole: bool = False) -> str:
    refuted = one.refuted_if or (one.test.says() if one.test else "")
    by_code = f" ({one.test.says()})" if whole and one.test is not None and one.refuted_if else ""
    return f"{one.claim.rstrip('.')}" + (f"; refuted if {refuted}{by_code}" if refuted else "")


def _ranges(plan: Plan) -> list[str]:
    """One phrase a path; ranges that differ by method are shown as their hull."""
    by_path: dict[str, list[Dimension]] = {}
    for dimension in plan.space.dimensions:
        by_path.setdefault(dimension.path, []).append(dimension)
    return [f"{path_label(path)} {_hull(found)}" for path, found in by_path.items()]


def _hull(dimensions: list[Dimension]) -> str:
    if len(dimensions) == 1:
        return dimensions[0].says()
    numbers = [d for d in dimensions if isinstance(d, Float | Int)]
    if len(numbers) == len(dimensions):
        return f"{min(d.low for d in numbers):g}..{max(d.high for d in numbers):g} (per method)"
    options = [str(o) for d in dimensions if isinstance(d, Choice) for o in d.options]
    return "{" + ", ".join(dict.fromkeys(options)) + "} (per method)"


def _slots(study: Study) -> list[Line]:
    """Where trials run side by side: how many, and what each of them has."""
    options = study.options
    if options.slots == 1:
        return []
    threads = f"{options.threads} thread{'' if options.threads == 1 else 's'}"
    gpus = f", {options.gpus} GPU{'' if options.gpus == 1 else 's'}" if options.gpus else ""
    memory = f" and {words.gib(options.memory_gib)}" if options.memory_gib else ""
    return [Line(f"{options.slots} trials side by side, each with {threads}{gpus}{memory}", sub="slots", indent=2)]


def _rungs(plan: Plan) -> str:
    if not plan.rungs:
        return "none: each trial is measured at its end only"
    on = f" on {plan.rungs.rows} rows" if plan.rungs.rows else ""
    where = f"{', '.join(map(str, plan.rungs.steps))} steps"
    if plan.rungs.epochs:
        where = f"{', '.join(f'{epochs:.2g}' for epochs in plan.rungs.epochs)} epochs"
    return f"{where}{on}; {plan.pruner} pruning"


def _keep(plan: Plan) -> str:
    seeds = (
        f"{plan.confirm_seeds} confirmation seed{'' if plan.confirm_seeds == 1 else 's'} and "
        if plan.confirm_seeds
        else ""
    )
    return f"{words.limits_of(plan.keep, plan.budget) or 'nothing'} for {seeds}the sealed test"


def _value(dimension: Dimension) -> str:
    default = dimension.default
    return f"{default:g}" if isinstance(default, float) else str(default)


def _conditions(dimension: Dimension) -> str:
    said = [f"{c.name} is {' or '.join(map(str, c.values))}" for c in dimension.when]
    return f", where {' and '.join(said)}" if said else ""


def _why(dimension: Dimension) -> str:
    return f": {dimension.why}" if dimension.why else ""
