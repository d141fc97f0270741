"""How one training went: its loss over the steps, thinned, and its score at each rung."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tunewright.agents.prompt import quoted
from tunewright.agents.toolbox.access import the_job
from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.outcome import Failed
from tunewright.domain.study import Study


class LearningCurveArguments(Arguments):
    trial: str = Field(max_length=60, description="A trial's id, such as t3.")
    points: int = Field(12, ge=4, le=40, description="Points of the loss curve; each is the mean of its neighbours.")


class CurveResult(Frozen):
    """One training."""

    trial: str
    status: str
    loss: tuple[tuple[float, float], ...]
    """Step and training loss, thinned."""
    steps: int
    lowest: tuple[float, float] | None
    """Step and loss of the lowest thinned point."""
    last_quarter: float | None
    """Relative change of the mean loss from the third quarter to the last; negative: still falling."""
    scores: tuple[tuple[float, float], ...]
    """Step and validation score at rungs and the end."""
    why: str = ""
    """Why it was stopped or failed."""


class LearningCurveTool(StudyTool[LearningCurveArguments, CurveResult]):
    name = "learning_curve"
    description = (
        "How one training went: its loss over the optimiser steps, thinned to a few points, whether it was still "
        "falling at the end, and its validation score at each rung. Of use to tell too short from too long, a "
        "learning rate that is too high, or overfitting (the loss falls while the score gets worse)."
    )
    Arguments = LearningCurveArguments

    def run(self, study: Study, folder: Path, arguments: LearningCurveArguments) -> CurveResult:
        from tunewright.tools.analysis.curves import losses, rungs, thinned

        job = the_job(study, arguments.trial)
        if job.role == "base":
            raise UsageError("the base model was not trained, so it has no curve", "name a trial, such as t0")
        points, scores = losses(folder, job.id), rungs(job)
        if not points and not scores:
            raise UsageError(f"{job.id} has no curve: it took no step, or its files are gone")
        few = thinned(points, arguments.points)
        quarter = len(points) // 4
        change = None
        if quarter >= 2:
            third, last = (
                sum(loss for _, loss in part) / quarter for part in (points[-2 * quarter : -quarter], points[-quarter:])
            )
            change = (last - third) / abs(third) if third else None
        outcome = job.outcome
        why = outcome.fault.message if isinstance(outcome, Failed) else getattr(outcome, "reason", "")
        return CurveResult(
            trial=job.id,
            status=outcome.status if outcome is not None else "running",
            loss=tuple(few),
            steps=int(max([*(step for step, _ in points), *(step for step, _ in scores)], default=0)),
            lowest=min(few, key=lambda point: point[1]) if few else None,
            last_quarter=change,
            scores=tuple(scores),
            why=why[:300],
        )

    def said(self, result: CurveResult) -> str:
        why = f": {quoted(result.why)}" if result.why else ""
        lines = [f"{result.trial}: {result.status}{why}; {result.steps} steps"]
        if result.scores:
            lines.append("score at step: " + ", ".join(f"{value:.4g} at {step:.0f}" for step, value in result.scores))
        if result.loss and result.lowest is not None:
            (step, lowest), change = result.lowest, result.last_quarter
            told = "" if change is None else f"; the last quarter against the one before: {change:+.1%}"
            first, last = result.loss[0][1], result.loss[-1][1]
            lines.append(
                f"training loss from {first:.4g} to {last:.4g}, lowest {lowest:.4g} near step {step:.0f}{told}"
            )
            lines.append("training loss at step: " + ", ".join(f"{loss:.4g} at {at:.0f}" for at, loss in result.loss))
        return "\n".join(lines)


TOOL = LearningCurveTool()
