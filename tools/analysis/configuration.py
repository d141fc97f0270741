"""The whole configuration of a study as tables: what was asked, planned, searched, and on what data, model and code."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tunewright.domain.budget import CURRENCIES
from tunewright.domain.frozen import short
from tunewright.domain.study import Study
from tunewright.tools.analysis.answer import CURRENCY_NAMES
from tunewright.tools.analysis.words import amount_words, number_words


@dataclass(frozen=True)
class Table:
    """A table of the appendix; ``head`` is empty where the rows are names and values."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()


def configuration(study: Study, facts: Mapping[str, str]) -> list[Table]:
    """Everything that decides what the numbers mean; ``facts`` are the sandbox's and whatever else is known."""
    tables = [
        _table("Task", _task(study)),
        _table("Plan", _plan(study)),
        _space(study),
        _table("Data", _data(study)),
        _table("Skipped rows", _skipped(study)),
        _table("Labels", _labels(study)),
        _table("Model and code", _code(study)),
        _table("Packages", sorted(study.created.code.packages.items()) if study.created else ()),
        _table("Options", _options(study)),
        _table("Machine and sandbox", sorted(facts.items())),
    ]  # fmt: skip
    return [table for table in tables if table.rows]


def day(at: float) -> str:
    """Date and time of an event, in UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _table(title: str, rows: Iterable[tuple[str, ...]]) -> Table:
    return Table(title, tuple(rows))


def _task(study: Study) -> Iterable[tuple[str, str]]:
    task = study.task
    if task is None:
        return
    yield "model", task.model
    yield "sources", ", ".join(f"{source.name} ({source.path})" for source in task.sources)
    fields = task.input_field if task.input_field == task.target_field else f"{task.input_field} -> {task.target_field}"
    yield "format", f"{task.format}, {fields}"
    yield "metric", f"{task.metric.name}, {'higher' if task.metric.direction == 'max' else 'lower'} is better"
    yield "prompt", f"{task.prompt} ({task.template} template)"
    yield "lengths", f"{task.max_length} tokens in all, {task.max_new_tokens} generated"
    for constraint in task.constraints:
        yield "constraint", f"{constraint.quantity} {constraint.relation} {constraint.value:,.10g}"
    for goal in task.goals:
        yield "goal", f"{goal.quantity}, {'less' if goal.direction == 'min' else 'more'} is better"


def _plan(study: Study) -> Iterable[tuple[str, str]]:
    plan = study.plan
    if plan is None:
        return
    yield "search", f"{plan.sampler} sampler, {plan.pruner} pruner, seed {plan.seed}"
    steps = ", ".join(map(str, plan.rungs.steps)) or "none before the end"
    if plan.rungs.epochs:
        steps = f"after {', '.join(f'{epochs:.2g}' for epochs in plan.rungs.epochs)} epochs"
    rows = f" on the first {plan.rungs.rows} validation rows" if plan.rungs.rows else ""
    yield "rungs", f"{steps}{rows}"
    yield "trials", f"{plan.trials[0]} to {plan.trials[1]} expected, {plan.batch} a batch"
    yield "confirmation", f"{plan.confirm_seeds} fresh seeds"
    for name in CURRENCIES:
        cap, keep, expect = (getattr(part, name) for part in (plan.budget, plan.keep, plan.expect))
        if cap is not None:
            kept = f", {amount_words(name, keep)} kept for the finish" if keep else ""
            yield (
                CURRENCY_NAMES[name].lower(),
                f"{amount_words(name, cap)}; {amount_words(name, expect)} expected{kept}",
            )
    yield "memory", f"{plan.memory_gib:.2f} GiB predicted for the largest recipe"
    decision = study.decisions.get("plan")
    if decision is not None:
        yield "review", f"{decision.action} by {decision.by}" + (f": {decision.reason}" if decision.reason else "")
    yield "planned by", plan.by
    yield "approved hash", short(plan.binding)


def _space(study: Study) -> Table:
    space = study.plan.space if study.plan else None
    rows = [
        (
            dimension.name,
            dimension.says(),
            number_words(dimension.default),
            " and ".join(f"{c.name} is {' or '.join(map(str, c.values))}" for c in dimension.when) or "always",
            dimension.why,
        )
        for dimension in (space.dimensions if space else ())
    ]
    return Table("Search space", tuple(rows), ("dimension", "range", "default", "when", "source"))


def _data(study: Study) -> Iterable[tuple[str, str]]:
    if study.data is not None:
        for name in ("train", "val", "test"):
            split = getattr(study.data, name)
            yield name, f"{split.rows:,} rows, sha256 {short(split.digest)}"
    profile = study.profile
    if profile is None:
        return
    for source in profile.sources:
        yield f"source {source.name}", f"{source.rows:,} rows, {len(source.skipped)} skipped"
    yield "duplicates", f"{profile.duplicates:,}, kept on one side of the split"
    yield "empty", f"{profile.empty:,} rows with an empty input or target"
    median, most, longest = profile.characters
    yield "length", f"{median:,} characters in the middle, {most:,} at the 95th percentile, {longest:,} at most"
    for warning in profile.warnings:
        yield "note", warning


def _labels(study: Study) -> Iterable[tuple[str, str]]:
    return ((label, f"{rows:,} rows") for label, rows in (study.profile.labels if study.profile else {}).items())


def _skipped(study: Study) -> Iterable[tuple[str]]:
    return ((row,) for source in (study.profile.sources if study.profile else ()) for row in source.skipped)


def _code(study: Study) -> Iterable[tuple[str, str]]:
    if study.model is not None:
        yield "model", f"{study.model.ref}, {study.model.parameters:,} parameters, sha256 {short(study.model.digest)}"
    if study.created is None:
        return
    code = study.created.code
    yield "tunewright", f"{code.version}, sha256 {short(code.digest)}"
    if code.git_commit:
        clean = {True: " with uncommitted changes", False: ", clean tree", None: ""}[code.git_dirty]
        yield "commit", f"{short(code.git_commit)}{clean}"
    yield "begun", day(study.created.at)


def _options(study: Study) -> Iterable[tuple[str, str]]:
    for name, value in study.options.model_dump(mode="json").items():
        parts = value.items() if isinstance(value, dict) else ()
        said = ", ".join(f"{key}={part}" for key, part in parts if part is not None) if parts else str(value)
        yield name.replace("_", " "), "not set" if value is None or value == {} or not said else said
