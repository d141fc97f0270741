"""What the planner made of the rules' plan, for the report: its changes, best guesses and hypotheses, and how the
hypotheses stand."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright.domain.path import label
from tunewright.domain.proposal import Plan
from tunewright.domain.study import Study
from tunewright.domain.suppositions import Standing, standings
from tunewright.tools.analysis.configuration import Table
from tunewright.tools.analysis.words import number_words

_NONE = "not said"


def plan_tables(study: Study) -> list[Table]:
    """Of every study that has a plan, by whomever it was made; a table without rows is left out."""
    plan = study.plan
    if plan is None:
        return []
    tables = [
        Table("The plan", tuple(_outlook(plan, study))),
        Table("Changes of the plan", tuple(_changes(plan)), ("what", "became of it", "reason")),
        Table("Best guesses", tuple(_priors(plan)), ("setting", "guess", "confidence", "reason")),
        Table(
            "Hypotheses", tuple(map(_hypothesis, standings(study))), ("claim", "trials with", "refuted if", "standing")
        ),
    ]
    return [table for table in tables if table.rows]


def _outlook(plan: Plan, study: Study) -> Iterable[tuple[str, str]]:
    outlook = plan.outlook
    if outlook.says:
        yield plan.by, outlook.says
    if outlook.gain is not None:
        yield "expected gain", f"{outlook.gain:+.3g} over the untouched model{_came(study)}"


def _came(study: Study) -> str:
    """What became of it, as far as it is known."""
    best, base = study.best(), study.base
    if best is None or best.score is None or base is None or base.score is None or study.task is None:
        return ""
    return f"; the best trial gained {study.task.metric.gain(best.score, base.score):+.3g}"


def _changes(plan: Plan) -> Iterable[tuple[str, str, str]]:
    for one in plan.changes:
        cites = f"after {' and '.join(one.cites)}: " if one.cites else ""
        yield one.said, f"{one.fate}, {one.note}" if one.note else one.fate, f"{cites}{one.reason}" or _NONE


def _priors(plan: Plan) -> Iterable[tuple[str, str, str, str]]:
    for one in plan.priors:
        yield one.name, number_words(one.value), f"{one.weight:.2g}", one.reason or _NONE


def _hypothesis(one: Standing) -> tuple[str, str, str, str]:
    said = one.supposition
    settings = ", ".join(f"{label(path)} {number_words(value)}" for path, value in said.settings.items())
    test = said.test.says() if said.test is not None else ""
    refuted = f"{said.refuted_if} ({test})" if said.refuted_if and test else said.refuted_if or test
    return said.claim.rstrip("."), settings or "any", refuted or _NONE, one.says()
