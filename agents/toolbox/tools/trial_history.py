"""The trials that ended, filtered, sorted and with the columns that are asked for."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from tunewright.agents.outcome_facts import TrialFacts, ended_trials, searched_paths
from tunewright.agents.prompt import quoted
from tunewright.agents.toolbox.access import the_field
from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain.frozen import Frozen, Json
from tunewright.domain.record import JobRecord
from tunewright.domain.space import is_number
from tunewright.domain.study import Study

_COMPARED: dict[str, Callable[[Json, Json], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_RESULT = ("train_s", "peak_memory_gib", "trainable_parameters", "adapter_bytes", "steps", "tokens")
_WORDS = {"better": "better than", "worse": "worse than", "undecided": "not told apart from"}
_OWN = ("id", "score", "status", "fault", "origin", "parent", "verdict", "seconds", *_RESULT)


class Filter(Arguments):
    field: str = Field(max_length=120, description="score, status, fault, origin, seconds, ... or a recipe path.")
    comparison: Literal["=", "!=", "<", "<=", ">", ">="] = Field("=", description="How it compares with the value.")
    value: str | int | float | bool = Field(description="What it is compared with.")


class TrialHistoryArguments(Arguments):
    where: list[Filter] = Field(
        [], max_length=6, description="All of these hold; trials without the field are left out."
    )
    sort_by: str = Field("score", max_length=120, description="A field; by score the best come first.")
    descending: bool | None = Field(None, description="Largest first; null: the best first by score, else smallest.")
    columns: list[str] = Field(
        [],
        max_length=12,
        description="Fields to show. Empty: score, status, fault and what is searched. There are "
        f"{', '.join(_OWN)}, and recipe paths such as stages.0.optimisation.lr.",
    )
    limit: int = Field(15, ge=1, le=50, description="How many trials.")
    offset: int = Field(0, ge=0, le=100_000, description="How many to pass over.")


class HistoryResult(Frozen):
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Json, ...], ...]
    matched: int
    offset: int
    ended: int


class TrialHistoryTool(StudyTool[TrialHistoryArguments, HistoryResult]):
    name = "trial_history"
    description = (
        "The trials that have ended as a table: filtered by settings, score, status, fault, origin or cost, sorted, "
        "with the columns asked for. Of use to see what was tried in a region, what failed, what is best, or the "
        "trials whose ids were left out of a prompt."
    )
    Arguments = TrialHistoryArguments

    def run(self, study: Study, folder: Path, arguments: TrialHistoryArguments) -> HistoryResult:
        trials = [(study.jobs[one.id], one) for one in ended_trials(study)]
        paths = [path for _, facts in trials for path in facts.settings]
        known = (*_OWN, *searched_paths(study), *dict.fromkeys(paths))
        columns = arguments.columns or ["score", "status", "fault", *searched_paths(study)]
        for name in (*columns, arguments.sort_by, *(one.field for one in arguments.where)):
            the_field(name, known)
        verdicts = {verdict.trial: f"{_WORDS[verdict.answer]} {verdict.against}" for verdict in study.verdicts}

        def value(trial: tuple[JobRecord, TrialFacts], name: str) -> Json:
            return _value(study, *trial, verdicts, name)

        kept = [one for one in trials if all(_holds(value(one, by.field), by) for by in arguments.where)]
        kept = _sorted(study, kept, arguments, lambda one: value(one, arguments.sort_by))
        shown = kept[arguments.offset : arguments.offset + arguments.limit]
        return HistoryResult(
            columns=("id", *(name for name in columns if name != "id")),
            rows=tuple(tuple(value(one, name) for name in ("id", *(n for n in columns if n != "id"))) for one in shown),
            matched=len(kept),
            offset=arguments.offset,
            ended=len(trials),
        )

    def said(self, result: HistoryResult) -> str:
        first = f"{result.matched} of {result.ended} ended trials are like that"
        if not result.rows:
            return first + (f"; none from the {result.offset}th on" if result.matched else "")
        shown = f"; {result.offset + 1} to {result.offset + len(result.rows)} of them, as ID: COLUMN=VALUE, ..."
        lines = [first + shown]
        same = _same(result)
        if same:
            lines.append("the same in all of these: " + ", ".join(f"{name}={_shown(same[name])}" for name in same))
        for id, *values in result.rows:
            pairs = [(name, value) for name, value in zip(result.columns[1:], values, strict=True) if name not in same]
            lines.append(f"{id}: " + ", ".join(f"{name}={_shown(value)}" for name, value in pairs if value is not None))
        return "\n".join(lines)


def _same(result: HistoryResult) -> dict[str, Json]:
    """Columns that have one value in all rows, where there are rows enough to save words by it."""
    if len(result.rows) < 3:
        return {}
    columns = zip(result.columns, zip(*result.rows, strict=True), strict=True)
    return {name: values[0] for name, values in columns if values[0] is not None and len(set(map(str, values))) == 1}


def _sorted(
    study: Study,
    trials: list[tuple[JobRecord, TrialFacts]],
    arguments: TrialHistoryArguments,
    value: Callable[[tuple[JobRecord, TrialFacts]], Json],
) -> list[tuple[JobRecord, TrialFacts]]:
    """Those without the value come last, equal ones in the order in which they ran."""
    best_is_largest = arguments.sort_by == "score" and study.task is not None and study.task.metric.direction == "max"
    down = best_is_largest if arguments.descending is None else arguments.descending
    having = [one for one in trials if value(one) is not None]
    numbers = all(is_number(value(one)) for one in having)
    having.sort(key=lambda one: value(one) if numbers else str(value(one)), reverse=down)
    return having + [one for one in trials if value(one) is None]


def _value(study: Study, job: JobRecord, facts: TrialFacts, verdicts: dict[str, str], name: str) -> Json:
    idea = study.recipe_of(job.id).idea if job.id in study.proposals else None
    match name:
        case "id":
            return job.id
        case "origin" | "parent":
            return getattr(idea, name, None)
        case "verdict":
            return verdicts.get(job.id)
        case "seconds":
            return round(job.settled.wall_s, 1)
        case _ if name in _RESULT:
            return getattr(getattr(job.outcome, "result", None), name, None)
        case _:
            return facts.get(name)


def _holds(value: Json, by: Filter) -> bool:
    if value is None:
        return False
    if is_number(value) and is_number(by.value):
        return _COMPARED[by.comparison](float(value), float(by.value))
    if by.comparison in ("=", "!="):
        return _COMPARED[by.comparison](str(value), str(by.value))
    return False


def _shown(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, int) or _plain(value) else quoted(value)


def _plain(value: Json) -> bool:
    """A word of a recipe or of ours, which needs no quotation."""
    return isinstance(value, str) and len(value) < 60 and all(c.isalnum() or c in " ._-:/>+" for c in value)


TOOL = TrialHistoryTool()
