"""Prices recipes from what the study has measured: the base evaluation first, completed trials as they come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.agents.brief.kinds import USUAL_OBJECTIVES
from tunewright.agents.size_limit import SizeLimits, fitting
from tunewright.agents.specification import memory_limit
from tunewright.domain.frozen import Json
from tunewright.domain.job import Rungs
from tunewright.domain.outcome import Completed, JobResult, Outcome, Paused, Pruned
from tunewright.domain.proposal import Forecast
from tunewright.domain.recipe import PLAN_ARROW, Memory, Recipe
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.domain.task import RowFormat, TaskSpec, Wishes

if TYPE_CHECKING:
    from tunewright.tools.data.rows import Row
    from tunewright.tools.models.estimate import Estimator, Speed

Price = Callable[[Study, Recipe, Rungs], Forecast]
_NEWEST = 8
"""Trials of each plan and adapter that a forecast learns from: a median of more says no more, and pricing stays as
quick at trial 500 as at trial 10."""
COMPRESS = (1.0, 0.99, 0.95, 0.9)
"""Shares of an update's energy kept, where the brief asks for a small adapter: the paper's (arXiv 2604.27796)."""
CHOOSERS = ("random", "ifd")
"""How a part of the data is chosen where the brief says how much of it and not which."""
DEFAULT_ADAPTER = "lora"
"""Trial 0 is LoRA unless the brief rules it out."""


class Forecaster:
    """Prices recipes of one study.

    Args:
        model: gives the model's directory; asked when it is first needed.
        folder: the study's.
    """

    def __init__(self, model: Callable[[], Path], folder: Path) -> None:
        self._model = model
        self._folder = folder
        self._estimator: Estimator | None = None

    def __call__(self, study: Study, recipe: Recipe) -> Forecast:
        """The forecast at the plan's rungs."""
        return self.at(study, recipe, study.plan.rungs if study.plan else Rungs())

    def at(self, study: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
        """The forecast at given rungs, with the dollars that its device time costs.

        Raises:
            UsageError: a method that does not exist or does not fit the model.
        """
        forecast = self._made(study).forecast(recipe, _speed(study), rungs)
        devices = max(1, study.options.gpus)
        device_s = forecast.cost.wall_s * devices
        cost = forecast.cost.model_copy(
            update={"device_s": device_s, "usd": study.options.prices.device(device_s) or 0.0}
        )
        return forecast.model_copy(update={"cost": cost})

    def _made(self, study: Study) -> Estimator:
        if self._estimator is None:
            from tunewright.tools.data.rows import load_rows
            from tunewright.tools.models.estimate import Estimator, token_lengths
            from tunewright.tools.models.facts import facts

            assert study.task is not None and study.data is not None
            rows = load_rows(self._folder / "data" / "train.jsonl")
            texts = [f"{study.task.prompt.replace('{input}', row['input'])} {row['target']}" for row in rows]
            limit = study.task.max_length
            lengths = token_lengths(self._model(), texts, limit)
            self._estimator = Estimator(
                facts(self._model()),
                lengths,
                train_rows=study.data.train.rows,
                val_rows=study.data.val.rows,
                by_format=rows_by_format(study.task, rows),
                answers=token_lengths(self._model(), [row["target"] for row in rows], limit),
                new_tokens=study.task.max_new_tokens,
            )
        return self._estimator


def _speed(study: Study) -> Speed:
    from tunewright.tools.models.estimate import Speed, Trained

    newest: dict[str, list[Trained]] = defaultdict(list)
    for job in reversed(study.trials):
        recipe, result = study.recipe_of(job.id).recipe, _told(job.outcome)
        kin = newest[f"{recipe.plan} {recipe.stages[-1].adapter.kind}"]
        if result is not None and len(kin) < _NEWEST:
            kin.append(Trained(recipe, result, job.settled.wall_s, job.attempts))
    trials = tuple(trained for kin in newest.values() for trained in kin)
    base = study.base.outcome if study.base else None
    assert isinstance(base, Completed), "prices are asked for after the base model was measured"
    return Speed(
        base=base.result,
        base_wall_s=base.cost.wall_s,
        trials=trials,
        peaks=tuple(_peaks(study)),
        passed=tuple(_passed(study)),
    )


def _told(outcome: Outcome | None) -> JobResult | None:
    """What an attempt's end says of what steps cost. One that was given its first stages says nothing of those."""
    if not isinstance(outcome, Completed | Pruned | Paused) or outcome.result is None or outcome.result.shared_steps:
        return None
    return outcome.result if outcome.result.steps or outcome.result.status == "done" else None


def _peaks(study: Study) -> Iterator[tuple[Recipe, float]]:
    """What the newest preflights say that their trainings take, of those that were not killed for it."""
    from tunewright.tools.models.memory import whole_gib

    done = (job for job in reversed(study.jobs.values()) if job.role == "preflight" and job.proposal)
    for job in islice((job for job in done if isinstance(job.outcome, Completed)), _NEWEST):
        assert job.proposal is not None and isinstance(job.outcome, Completed)
        yield study.recipe_of(job.proposal).recipe, whole_gib(job.outcome.result.peak_memory_gib)


def _passed(study: Study) -> Iterator[tuple[Recipe, float]]:
    """The newest recipes that did not stay within the memory they were given, and how much that was."""
    limit = study.options.memory_gib
    if limit is not None:
        over = (job for job, failed in reversed(study.failures()) if failed.fault.kind == "memory" and job.proposal)
        for job in islice(over, _NEWEST):
            yield study.recipe_of(job.proposal or job.id).recipe, limit


def make_space(
    study: Study,
    epochs: Sequence[float],
    default: float,
    price: Price | None = None,
    wishes: Wishes | None = None,
) -> Space:
    """The space of a study: the plans and adapters the brief does not rule out, and trials of the given lengths.

    Args:
        epochs: lengths to choose from.
        default: the length of trial 0, one of them.
        price: forecasts a recipe; where the default may not fit into memory, what keeps it low is searched too.
        wishes: what is searched; by default what the brief wishes.

    Raises:
        UnknownNameError: the brief names a method that does not exist.
        UsageError: the brief rules out every adapter, or names methods that do not go together.
        BudgetError: no adapter is as small as the brief wants it.
    """
    from tunewright.tools.training.space import Wanted, recipe_space

    assert study.task is not None and study.data is not None
    rows, wishes = default * task_rows(study), wishes or study.wishes
    plans = [tuple(plan.split(PLAN_ARROW)) for plan in wishes.plans] or [
        (USUAL_OBJECTIVES.get(study.task.format, "sft"),)
    ]
    wanted = Wanted(
        adapters=searched_adapters(wishes),
        sources=[source.name for source in study.task.sources if source.of_task(study.task.format)],
        mixed=_mixed(study.task, dict.fromkeys(kind for plan in plans for kind in plan)),
        plans=plans,
        max_rank=wishes.max_rank,
        compress=COMPRESS if wishes.compress else (),
        epochs=tuple(epochs),
        default_epochs=default,
        batch_sizes=[size for size in (8, 16, 32) if rows / size >= 8] or [8],
        own=bool(wishes.plans),
        settings=_settings(wishes),
        selectors=wishes.selectors or (CHOOSERS if wishes.keep is not None else ()),
        keep=wishes.keep,
        mixes=wishes.mixes,
        replay=wishes.replay,
        depths=wishes.depths,
        clients=wishes.clients,
        alpha=wishes.alpha,
        gpus=study.options.gpus,
        seed=study.options.seed,
    )
    space = _fitting(study, recipe_space(wanted), price)
    lean = lean_enough(study, space.build(space.default()), price) if price is not None else None
    return space if lean is None else _fitting(study, recipe_space(replace(wanted, memory=lean)), price)


def _fitting(study: Study, space: Space, price: Price | None) -> Space:
    """Without what is larger than the brief lets an adapter be.

    Raises:
        BudgetError: nothing is not.
    """
    limits = SizeLimits.of(study.task)
    if not limits or price is None:
        return space
    known: dict[str, Forecast] = {}

    def forecast(recipe: Recipe) -> Forecast:
        last = recipe.stages[-1]
        key = last.adapter.model_dump_json() + last.depth.model_dump_json()
        if key not in known:
            known[key] = price(study, recipe, Rungs())
        return known[key]

    return fitting(space, limits, forecast)


def lean_enough(study: Study, recipe: Recipe, price: Price) -> Memory | None:
    """What lets a recipe fit surely: the cheapest that does, or else the leanest; None if it fits as it is."""
    from tunewright.tools.training.memory import ladder

    limit = memory_limit(study)
    if limit is None or price(study, recipe, Rungs()).memory_gib.high <= limit:
        return None
    found = Memory()
    for found in ladder(max(stage.optimisation.batch_size for stage in recipe.stages), gpu=study.options.gpus > 0):
        stages = tuple(stage.model_copy(update={"memory": found}) for stage in recipe.stages)
        if price(study, recipe.model_copy(update={"stages": stages}), Rungs()).memory_gib.high <= limit:
            break
    return found


def task_rows(study: Study) -> int:
    """Training rows of the task: without general data and what other stages learn from."""
    assert study.task is not None and study.data is not None
    own = {source.name for source in study.task.sources if source.of_task(study.task.format)}
    found = study.profile.sources if study.profile is not None else ()
    return study.data.train.rows - sum(source.rows for source in found if source.name not in own)


def rows_by_format(task: TaskSpec, rows: Iterable[Row]) -> Counter[str]:
    """How many training rows there are of each format, which is what a stage chooses from. General data comes on top of
    them.
    """
    own = _own_formats(task)
    return Counter(own[row["source"]] for row in rows if row["source"] in own)


def _own_formats(task: TaskSpec) -> dict[str, RowFormat]:
    """The format of each source that is not general data."""
    formats = task.formats
    return {source.name: formats[source.name] for source in task.sources if not source.general}


def _mixed(task: TaskSpec, objectives: Iterable[str]) -> list[str]:
    """The objectives that learn from the task's own rows: others have the first of their formats that there is."""
    from tunewright.tools.training.registry import objective

    there = {task.format, *_own_formats(task).values()}
    return [
        kind
        for kind in objectives
        if next((form for form in objective(kind).formats if form in there), None) == task.format
    ]


def _settings(wishes: Wishes) -> dict[str, dict[str, Json]]:
    """Settings of objectives that the brief fixes: the rewards of those that learn from rewards."""
    from tunewright.tools.training.registry import objective

    if not wishes.rewards:
        return {}
    named = [reward.model_dump(mode="json") for reward in wishes.rewards]
    kinds = {kind for plan in wishes.plans for kind in plan.split(PLAN_ARROW)}
    return {kind: {"rewards": named} for kind in kinds if objective(kind).family == "reinforcement"}


def searched_adapters(wishes: Wishes) -> list[str]:
    """The kinds of adapter that are searched, the default's first."""
    from tunewright.tools.training.registry import everyday_adapters

    kinds = [kind for kind in (wishes.adapters or everyday_adapters()) if kind not in wishes.without]
    return sorted(kinds, key=lambda kind: kind != DEFAULT_ADAPTER)
