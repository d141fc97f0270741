"""What a changed recipe would take: seconds, memory and what the budget says, before anything is run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.agents.proposing import problems, project
from tunewright.agents.specification import memory_limit
from tunewright.agents.toolbox.access import the_recipe_job
from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain import ledger
from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.outcome import Completed
from tunewright.domain.proposal import Forecast
from tunewright.domain.study import Study

if TYPE_CHECKING:
    from tunewright.agents.forecasting import Forecaster


class CostEdit(Arguments):
    path: str = Field(max_length=120, description="A searched recipe path, such as stages.0.optimisation.lr.")
    value: str | int | float | bool | list[float] = Field(description="The new value, inside the path's range.")


class EstimateCostArguments(Arguments):
    trial: str = Field(max_length=60, description="The trial whose recipe is changed, such as t3.")
    edits: list[CostEdit] = Field([], max_length=8, description="The changes; none prices the recipe as it is.")


class CostResult(Frozen):
    """The forecast, beside what the trial itself took."""

    trial: str
    edits: int
    forecast: Forecast
    took_s: float | None
    """What the unchanged trial took, if it came to its end."""
    took_gib: float | None
    limit_gib: float | None
    refused: tuple[str, ...]
    """Why the budget does not cover it; empty if it does."""


class EstimateCostTool(StudyTool[EstimateCostArguments, CostResult]):
    name = "estimate_cost"
    description = (
        "What a trial's recipe would take with some settings changed: seconds and memory with the range that holds "
        "four times in five, whether it fits into memory, and whether what is left of the budget covers it. Nothing "
        "is run. Of use before proposing a larger rank, more epochs or another adapter."
    )
    Arguments = EstimateCostArguments

    def run(self, study: Study, folder: Path, arguments: EstimateCostArguments) -> CostResult:
        from tunewright.tools.training.registry import check_recipe

        trial = the_recipe_job(study, arguments.trial)
        if study.plan is None or study.base is None or not isinstance(study.base.outcome, Completed):
            raise UsageError("prices start from the base model's evaluation, which is not there yet")
        recipe, edits = study.recipe_of(trial).recipe, {edit.path: edit.value for edit in arguments.edits}
        if edits:
            wrong = problems(study.plan.space, recipe, edits, set())
            if wrong:
                raise UsageError("such a recipe cannot be run: " + "; ".join(wrong[:3])[:600], "change the edits")
            recipe = project(study.plan.space, recipe, edits)
        check_recipe(recipe, study.task)
        forecast = _forecaster(study, folder)(study, recipe)
        job = study.jobs.get(trial)
        done = job.outcome if job is not None and isinstance(job.outcome, Completed) else None
        return CostResult(
            trial=trial,
            edits=len(edits),
            forecast=forecast,
            took_s=done.cost.wall_s if done is not None else None,
            took_gib=done.result.peak_memory_gib if done is not None else None,
            limit_gib=memory_limit(study),
            refused=tuple(ledger.refusals(study, forecast.cost, now=study.seen_at)),
        )

    def said(self, result: CostResult) -> str:
        seconds, memory = result.forecast.seconds, result.forecast.memory_gib
        changed = f" with {result.edits} settings changed" if result.edits else " as it is"
        lines = [
            f"{result.trial}{changed}: {seconds.expected:.3g} s ({seconds.low:.3g} to {seconds.high:.3g}), "
            f"{memory.expected:.3g} GiB at its peak ({memory.low:.3g} to {memory.high:.3g})",
            f"reserved for it would be {result.forecast.cost.wall_s:.3g} s",
        ]
        if result.took_s is not None:
            lines.append(f"{result.trial} itself took {result.took_s:.3g} s and {result.took_gib:.3g} GiB")
        if result.limit_gib is not None:
            word = (
                "fits" if memory.high <= result.limit_gib else "may fit" if memory.low <= result.limit_gib else "no fit"
            )
            lines.append(f"memory: {word}, {result.limit_gib:.3g} GiB are allowed")
        covered = "covers it" if not result.refused else "does not cover it: " + "; ".join(result.refused)
        return "\n".join([*lines, f"the budget {covered}"])


def _forecaster(study: Study, folder: Path) -> Forecaster:
    assert study.model is not None and study.data is not None
    return _made(folder, study.model.ref, study.model.digest, study.data.train.digest)


@lru_cache(maxsize=2)
def _made(folder: Path, ref: str, model: str, data: str) -> Forecaster:
    """One for each model and data: it reads all training rows once."""
    from tunewright.agents.forecasting import Forecaster

    return Forecaster(_found(ref, model), folder)


def _found(ref: str, digest: str) -> Callable[[], Path]:
    def found() -> Path:
        from tunewright import settings
        from tunewright.tools.models.resolve import resolve

        model = resolve(ref, cache=settings.load().cache)
        if model.identity.digest != digest:
            raise UsageError("the model's files are not those that the study began with, so nothing can be priced")
        return model.path

    return found


TOOL = EstimateCostTool()
