"""From an idea to a priced proposal to the specification that is launched: the same spec each time it is asked for.

The hash that a decision binds is the spec's, so what is built here at proposal time and at launch time must
agree to the byte; everything that goes in is either in the journal or fixed for the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.size_limit import too_large
from tunewright.domain.budget import Cost
from tunewright.domain.depth import Depth
from tunewright.domain.errors import UsageError
from tunewright.domain.job import (
    PREFLIGHT_STEPS,
    CodeIdentity,
    EvaluationSpec,
    Limits,
    Rungs,
    Split,
    SplitIdentity,
    TrialSpec,
)
from tunewright.domain.job_event import Role
from tunewright.domain.proposal import Forecast, Idea, Proposal
from tunewright.domain.recipe import MixPolicy, Recipe, Selection
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

Forecaster = Callable[[Study, Recipe], Forecast]
"""Predicts a recipe's time and memory from what this study has measured so far."""


@dataclass(frozen=True)
class Specifier:
    """Makes specifications and prices for one study on one machine."""

    code: CodeIdentity
    image: str | None
    forecast: Forecaster
    check: Callable[[Recipe], None]
    """Raises ``UsageError`` for a recipe whose methods or settings do not exist."""

    def trial(self, study: Study, recipe: Recipe, job_id: str, wall_s: float) -> TrialSpec:
        """The specification of a training. ``wall_s``: seconds it may run at most."""
        task, model, data, plan = study.task, study.model, study.data, study.plan
        if task is None or model is None or data is None or plan is None:
            raise UsageError(f"study '{study.name}' has no plan yet", f"tunewright resume {study.name}")
        return TrialSpec(
            id=job_id,
            study=study.name,
            task=task,
            model=model,
            data=data,
            recipe=recipe,
            rungs=plan.rungs,
            limits=self._limits(study, wall_s),
            code=self.code,
            sandbox=study.options.sandbox,
            sandbox_options=study.options.sandbox_options,
            image=self.image,
        )

    def preflight(self, study: Study, recipe: Recipe, job_id: str, seconds: float) -> TrialSpec:
        """The specification of a training's first steps, which take ``seconds`` at most.

        Without choices of rows, which are no part of the steps, and at full depth from the first step on.
        """
        stages = tuple(
            stage.model_copy(
                update={
                    "depth": Depth(),
                    "data": stage.data.model_copy(update={"selection": Selection(), "policy": MixPolicy()}),
                }
            )
            for stage in recipe.stages
        )
        allowed = float(math.ceil(max(_LEAST_PREFLIGHT_S, _PATIENCE * seconds)))
        spec = self.trial(study, recipe.model_copy(update={"stages": stages}), job_id, allowed)
        return spec.model_copy(update={"rungs": Rungs(), "preflight_steps": PREFLIGHT_STEPS})

    def evaluation(
        self, study: Study, job_id: str, split: Split, wall_s: float, adapter_digest: str | None = None
    ) -> EvaluationSpec:
        """The specification of scoring one split with the base model or a finished adapter."""
        assert study.task is not None and study.model is not None and study.data is not None
        identity: SplitIdentity = getattr(study.data, split)
        return EvaluationSpec(
            id=job_id,
            study=study.name,
            task=study.task,
            model=study.model,
            split=split,
            data=identity,
            adapter_digest=adapter_digest,
            limits=self._limits(study, wall_s),
            code=self.code,
            sandbox=study.options.sandbox,
            sandbox_options=study.options.sandbox_options,
            image=self.image,
        )

    def price(self, study: Study, idea: Idea, job_id: str) -> Proposal:
        """The idea with its forecast and the hash that an approval will bind.

        Raises:
            UsageError: the recipe names a method or setting that does not exist.
        """
        self.check(idea.recipe)
        forecast = self.forecast(study, idea.recipe)
        binding = self.trial(study, idea.recipe, job_id, allowed_s(forecast)).binding
        return Proposal(id=job_id, idea=idea, forecast=forecast, binding=binding)

    def _limits(self, study: Study, wall_s: float) -> Limits:
        options = study.options
        return Limits(
            wall_s=wall_s, memory_gib=options.memory_gib or 8.0, threads=options.threads or 1, gpus=options.gpus
        )


_GOING_ON_S, _GOING_ON = 60.0, 0.25
"""Seconds, and share of a whole run, of which the smaller is held for a run that goes on near its end."""
_LEAST_PREFLIGHT_S = 60.0
"""A preflight may take so long, however short its steps are thought to be."""
_PATIENCE = 2.0
"""A run may take this many times its reservation while the budget has room: a first forecast may be far off, and
a yardstick that is cut short measures nothing. The ledger's caps hold regardless."""


def preflight_id(trial: str) -> str:
    """The job that tries a trial's first steps."""
    return f"{trial}-preflight"


def training_inputs(folder: Path) -> dict[str, Path]:
    """What a training may see: train and validation rows. The sealed test is not among them.

    Args:
        folder: the study's.
    """
    return {"train.jsonl": folder / "data" / "train.jsonl", "val.jsonl": folder / "data" / "val.jsonl"}


def allowed_s(forecast: Forecast) -> float:
    """Seconds a run may take at most, in whole seconds so that the hash does not hang on a rounding."""
    return float(math.ceil(_PATIENCE * forecast.cost.wall_s))


def problems(study: Study, proposal: Proposal) -> list[str]:
    """The gates before review: why the proposal cannot be run here, one line each; empty if it can.

    Memory counts by the low end of the forecast: what will not fit even then is not tried.
    """
    from tunewright.tools.training.memory import missing

    found = [reason for stage in proposal.recipe.stages for reason in missing(stage.memory, study.options.gpus)]
    limit = memory_limit(study)
    if limit is not None and proposal.forecast.memory_gib.low > limit:
        found.append(f"needs {proposal.forecast.memory_gib.low:.2f} GiB or more, {limit:.2f} GiB are allowed")
    large = too_large(study, proposal.forecast)
    found += [large] if large else []
    if study.plan is not None and proposal.idea.origin != "confirm":
        found += study.plan.space.problems(proposal.recipe)
    return found


def memory_limit(study: Study) -> float | None:
    """GiB that a trial may hold: what the machine and the brief allow, whichever is less; None if neither says."""
    said = [] if study.options.memory_gib is None else [study.options.memory_gib]
    for one in study.task.constraints if study.task is not None else ():
        if one.quantity == "peak_memory_gib" and one.relation == "<=":
            said.append(one.value)
    return min(said, default=None)


def reservation(study: Study, seconds: float, begun: JobRecord | None, role: Role) -> Cost:
    """What a job holds in the ledger while it runs: all of ``seconds`` at first, and where it goes on what it has not
    taken of them yet, and always enough to load and write a checkpoint.
    """
    if begun is None:
        return study.options.device_cost(seconds, trials=int(role == "trial"))
    return study.options.device_cost(max(seconds - begun.settled.wall_s, min(_GOING_ON_S, _GOING_ON * seconds)))
