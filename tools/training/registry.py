"""Finds methods by name and checks recipes against what those methods declare. Imports no torch.

A method is a file in ``adapters/`` or ``objectives/`` with an object ``METHOD``; the file's name is its kind.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from tunewright.domain.errors import UsageError, boundary, unknown_name
from tunewright.domain.recipe import MethodChoice, Recipe, Stage
from tunewright.domain.task import TaskSpec
from tunewright.tools.models import placement
from tunewright.tools.training.depth.check import check_depth
from tunewright.tools.training.memory import check_memory
from tunewright.tools.training.method import AdapterMethod, MethodConfig, ObjectiveMethod
from tunewright.tools.training.mix_policy import MixPolicyMethod
from tunewright.tools.training.reward import RewardMethod
from tunewright.tools.training.selector import SelectorMethod, Work

Shelf = Literal["adapters", "objectives", "rewards", "selectors", "mixes"]

_SINGULAR: dict[Shelf, str] = {
    "adapters": "adapter",
    "objectives": "objective",
    "rewards": "reward",
    "selectors": "selector",
    "mixes": "mix policy",
}


def adapters() -> list[str]:
    """The kinds of adapter there are, sorted."""
    return _names("adapters")


def objectives() -> list[str]:
    """The kinds of objective there are, sorted."""
    return _names("objectives")


def everyday_adapters() -> list[str]:
    """Those that a brief searches which names none, sorted."""
    return [kind for kind in adapters() if adapter(kind).everyday]


def naming(shelf: Shelf, kind: str) -> tuple[tuple[str, ...], bool]:
    """What a brief may call the method beside its kind, and whether its kind is an everyday word.

    A package's method that cannot be imported has no other names; it says so when it is asked for by its own.
    """
    try:
        method = cast(Any, _find(shelf, kind))
    except UsageError:
        return (), False
    return method.names, method.plain_word


def kinds(shelf: Shelf) -> list[str]:
    """The kinds of method on a shelf, sorted."""
    return _names(shelf)


def method(shelf: Shelf, kind: str) -> Any:
    """The method of that kind on a shelf.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return _find(shelf, kind)


def adapter(kind: str) -> AdapterMethod:
    """The adapter method of that kind.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return cast(AdapterMethod, _find("adapters", kind))


def objective(kind: str) -> ObjectiveMethod:
    """The objective of that kind.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return cast(ObjectiveMethod, _find("objectives", kind))


def rewards() -> list[str]:
    """The kinds of reward there are, sorted."""
    return _names("rewards")


def reward(kind: str) -> RewardMethod:
    """The reward of that kind.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return cast(RewardMethod, _find("rewards", kind))


def selectors() -> list[str]:
    """The kinds of selection there are, sorted."""
    return _names("selectors")


def selector(kind: str) -> SelectorMethod:
    """The selector of that kind.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return cast(SelectorMethod, _find("selectors", kind))


def mixes() -> list[str]:
    """The kinds of mix policy there are, sorted."""
    return _names("mixes")


def mix_policy(kind: str) -> MixPolicyMethod:
    """The mix policy of that kind.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    return cast(MixPolicyMethod, _find("mixes", kind))


Method = AdapterMethod | ObjectiveMethod | RewardMethod | SelectorMethod | MixPolicyMethod


def settings(method: Method, choice: MethodChoice) -> Any:
    """The choice's own settings as the method's ``Config``.

    Raises:
        UsageError: a setting is unknown or has a value that cannot be; the hint lists what there is.
    """
    try:
        return method.Config.model_validate(choice.settings)
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = ".".join(str(part) for part in first["loc"]), first["msg"]
        if first["type"] == "extra_forbidden":
            message = f"'{method.kind}' has no setting '{name}'"
        else:
            message = f"'{method.kind}' cannot have {name} = {first['input']!r}: {reason[:1].lower()}{reason[1:]}"
        raise UsageError(message, f"its settings are {_settings(method.Config)}") from error


def choosing_passes(stage: Stage, rows: int) -> float:
    """Forward passes over the stage's rows that choosing them and mixing their sources takes.

    Args:
        rows: that the stage has to choose from.

    Raises:
        UsageError: an unknown method or setting.
    """
    work = Work(rows, stage.total_steps(rows), stage.optimisation.batch_size)
    chosen, policy = stage.data.selection, stage.data.policy
    by, mixer = selector(chosen.kind), mix_policy(policy.kind)
    return by.passes(settings(by, chosen), work) + mixer.passes(settings(mixer, policy), work)


def check_recipe(recipe: Recipe, task: TaskSpec | None = None) -> None:
    """Whether every method and setting in the recipe exists. Whether it fits a model is seen when it is built.

    Args:
        task: if it is known, whether the objectives fit it too.

    Raises:
        UnknownNameError: no such method.
        UsageError: no such setting, placement or value, methods that do not go together, or a stage after one that
            cannot be merged.
    """
    for index, stage in enumerate(recipe.stages):
        last = index + 1 == len(recipe.stages)
        method, aim = adapter(stage.adapter.kind), objective(stage.objective.kind)
        settings(method, stage.adapter)
        if stage.adapter.compress < 1:
            _check_compression(method, last=last)
        settings(aim, stage.objective)
        aim.check(stage.objective, task)
        _check_pair(method, aim)
        check_memory(recipe, index, method, aim)
        _check_data(method, aim, stage, task)
        check_depth(stage, method, aim, selector(stage.data.selection.kind), mix_policy(stage.data.policy.kind))
        if stage.carry == "continue":
            _check_continuing(method, recipe.stages[index - 1])
        goes_on = not last and recipe.stages[index + 1].carry == "continue"
        if not last and not goes_on and aim.trains_policy and not method.mergeable:
            raise UsageError(
                f"no stage can follow '{method.kind}', which cannot be merged into the weights",
                "make it the last stage, continue it (carry: continue), or take one that merges, such as lora",
            )
        where = stage.adapter.placement
        fixed = len(method.placements) == 1
        if where not in method.placements and (fixed or not placement.exists(where)):
            raise UsageError(
                f"'{method.kind}' has no placement '{where}'",
                f"choose from {', '.join(method.placements)}{'' if fixed else ', layers:0-11 or page-1'}",
            )


def goes_with(method: AdapterMethod, aim: ObjectiveMethod) -> bool:
    """Whether the adapter can be trained by the objective."""
    return aim.family in method.families and (aim.trains_policy or method.trains_adapter)


def _check_pair(method: AdapterMethod, aim: ObjectiveMethod) -> None:
    if not goes_with(method, aim):
        raise UsageError(
            f"'{method.kind}' cannot be trained by '{aim.kind}', which is a {aim.family} objective",
            "take another adapter, such as lora"
            if aim.trains_policy
            else "take an adapter that can be taken off again",
        )


def _check_data(method: AdapterMethod, aim: ObjectiveMethod, stage: Stage, task: TaskSpec | None) -> None:
    """Whether selection, mix policy and replay go with the stage."""
    data = stage.data
    for choice, chooses in (
        (data.selection, selector(data.selection.kind)),
        (data.policy, mix_policy(data.policy.kind)),
    ):
        settings(chooses, choice)
        if aim.family not in chooses.families:
            raise UsageError(
                f"'{chooses.kind}' cannot choose rows for '{aim.kind}', which is a {aim.family} objective",
                f"it is for {', '.join(chooses.families)} objectives",
            )
        if chooses.copies_model and stage.carry == "continue" and not method.mergeable:
            raise UsageError(
                f"'{chooses.kind}' trains on a copy of the model, and '{method.kind}' cannot be merged into one",
                "take carry: merge, or an adapter that merges, such as lora",
            )
        chooses.check(stage, task)
    if data.weights and not mix_policy(data.policy.kind).takes_weights:
        raise UsageError(
            f"the mix policy '{data.policy.kind}' makes the weights, and the recipe has weights of its own",
            "take the policy 'given' for those, or leave them out",
        )
    if data.replay and task is not None and not any(source.general for source in task.sources):
        raise UsageError(
            f"{data.replay:.0%} of general data is to be mixed in, and the task has no source of general data",
            "name one (general: true), or set replay to 0",
        )


def _check_continuing(method: AdapterMethod, before: Stage) -> None:
    if not method.continues:
        raise UsageError(
            f"'{method.kind}' cannot be continued by another stage: its training has phases of its own",
            "merge it instead (carry: merge), or take lora",
        )
    if not objective(before.objective.kind).trains_policy:
        raise UsageError(
            f"the adapter of a '{before.objective.kind}' stage is no policy that could be continued", "use carry: merge"
        )


def _check_compression(method: AdapterMethod, *, last: bool) -> None:
    if not method.compresses:
        able = [kind for kind in adapters() if adapter(kind).compresses]
        raise UsageError(
            f"'{method.kind}' cannot be compressed after training: its update has no LoRA form",
            f"leave compress at 1, or choose from {', '.join(able)}",
        )
    if not last:
        raise UsageError(
            "compress is for the last stage: the others' updates are merged into the weights, where it saves nothing",
            "set it on the last stage's adapter",
        )


def _settings(config: type[MethodConfig]) -> str:
    return ", ".join(config.model_fields) or "none"


def _names(shelf: Shelf) -> list[str]:
    return sorted({*_built_in(shelf), *_plugins(shelf)})


def _find(shelf: Shelf, kind: str) -> object:
    if kind in _built_in(shelf):
        return importlib.import_module(f"tunewright.tools.training.{shelf}.{kind}").METHOD
    plugins = _plugins(shelf)
    if kind not in plugins:
        raise unknown_name(_SINGULAR[shelf], kind, _names(shelf))
    point = plugins[kind]
    with boundary(UsageError, f"load '{kind}' from {point.value}", "repair or remove that package"):
        return point.load()


@cache
def _built_in(shelf: Shelf) -> tuple[str, ...]:
    return tuple(file.stem for file in (Path(__file__).parent / shelf).glob("*.py") if file.stem != "__init__")


def _plugins(shelf: Shelf) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"tunewright.{shelf}")}
