"""A recipe in a few words, for tables: what it is, and where it differs from another."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.frozen import Json
from tunewright.domain.path import label
from tunewright.domain.recipe import Recipe, Stage
from tunewright.domain.task import Goal, TaskSpec

_RANK = ("r", "rank")
_ALPHA = ("alpha", "lora_alpha")


def recipe_words(recipe: Recipe) -> str:
    """Such as ``dora r16 a32 lr 6e-4 2 epochs all-linear``; stages are joined by an arrow."""
    return " -> ".join(_stage_words(stage) for stage in recipe.stages)


def mix_words(recipe: Recipe, task: TaskSpec) -> str:
    """How much of each source is trained on, such as ``a 0.61, b 0.39``; empty where the recipe has no weights."""
    own = [source.name for source in task.sources if source.of_task(task.format)]
    every = [source.name for source in task.sources if not source.general]
    found: dict[str, list[str]] = {}
    for stage in recipe.stages:
        weights = stage.data.weights
        names = own if len(own) == len(weights) else every
        said = ", ".join(f"{name} {weight:.2g}" for name, weight in zip(names, weights, strict=False))
        if said:
            found.setdefault(said, []).append(stage.objective.kind)
    if len(found) == 1 and len(recipe.stages) == sum(map(len, found.values())):
        return next(iter(found))
    return "; ".join(f"{' and '.join(kinds)}: {said}" for said, kinds in found.items())


def difference_words(recipe: Recipe, default: Recipe) -> str:
    """The settings that differ, such as ``adapter, lr``; ``-`` if none does. The seed is not looked at."""
    return ", ".join(differing(recipe, default)) or "-"


def differing(recipe: Recipe, default: Recipe) -> dict[str, Json]:
    """What people call the settings that differ -> their values in ``recipe``, in the order people think in.

    Where the plans differ that is one of them, ``stages``; settings are compared of the stages that both have.
    """
    values = recipe.differences(default)
    paths = [path for path in values if path != "seed"]
    found: dict[str, Json] = {}
    if recipe.plan != default.plan:
        found["stages"] = recipe.plan
        common = _common(recipe, default)
        paths = [path for path in paths if path.split(".")[1] in common]
    for path in sorted(paths, key=_importance):
        value, name = values[path][0], label(path)
        found[name] = found.get(name) if value is None else value
    return found


def number_words(value: Json) -> str:
    """A setting's value for people: three significant digits, no needless zeros in exponents."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(number_words(v) for v in value) if isinstance(value, list | tuple) else str(value)
    if value and abs(value) < 1e-2:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:g}"


def clock_words(seconds: float) -> str:
    """Such as ``27:41`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size_words(count: float) -> str:
    """Bytes in thousands: ``2.46 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def amount_words(currency: str, value: float) -> str:
    """An amount of one of the budget's currencies, with its unit."""
    match currency:
        case "wall_s" | "device_s":
            return clock_words(value)
        case "usd":
            return f"${value:.2f}"
        case "llm_tokens":
            return f"{value:,.0f} tokens"
        case _:
            return f"{value:g}"


_QUANTITIES = {
    "adapter_bytes": "adapter",
    "peak_memory_gib": "peak memory",
    "trainable_parameters": "trained parameters",
    "latency_s": "scoring time an item",
    "train_s": "training time",
    "seconds": "time",
    "label_loss": "worst loss of a label",
    "source_loss": "worst loss of a source",
}


def quantity_name(quantity: str) -> str:
    """What people call a quantity that a trial is measured by: ``adapter`` for ``adapter_bytes``."""
    return _QUANTITIES.get(quantity, quantity.replace("_", " "))


def goal_words(goals: Sequence[Goal]) -> str:
    """Such as ``the least adapter, then the least peak memory``."""
    return ", then ".join(
        f"the {'least' if goal.direction == 'min' else 'most'} {quantity_name(goal.quantity)}" for goal in goals
    )


def quantity_amount(quantity: str, value: float) -> str:
    """An amount of such a quantity with its unit: ``2.46 MB``, ``12.3 ms``."""
    if quantity.endswith("_bytes"):
        return size_words(value)
    if quantity.endswith("_gib"):
        return f"{value:.3g} GiB"
    if quantity == "latency_s":
        return f"{value * 1000:.3g} ms"
    if quantity == "seconds" or quantity.endswith("_s"):
        return f"{value:.3g} s"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def score_words(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Such as ``0.839 [0.795, 0.877]``; a dash for no score."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def _stage_words(stage: Stage) -> str:
    optimisation, settings = stage.optimisation, stage.adapter.settings
    words = [] if stage.objective.kind == "sft" else [stage.objective.kind]
    words.append(stage.adapter.kind)
    words += [f"r{settings[name]}" for name in _RANK if settings.get(name) is not None]
    words += [f"a{number_words(settings[name])}" for name in _ALPHA if settings.get(name) is not None]
    words.append(f"lr {number_words(optimisation.lr)}")
    if optimisation.epochs is not None:
        words.append(f"{number_words(optimisation.epochs)} epoch" + ("" if optimisation.epochs == 1 else "s"))
    else:
        words.append(f"{optimisation.steps} step" + ("" if optimisation.steps == 1 else "s"))
    if stage.adapter.kind != "full":
        words.append(stage.adapter.placement)
    if stage.data.weights:
        words.append("mix " + "/".join(f"{weight:.2g}" for weight in stage.data.weights))
    return " ".join(words)


def _common(recipe: Recipe, other: Recipe) -> set[str]:
    """Numbers of the stages that train by the same objective in both."""
    pairs = zip(recipe.stages, other.stages, strict=False)
    return {str(at) for at, (one, two) in enumerate(pairs) if one.objective.kind == two.objective.kind}


def _importance(path: str) -> tuple[int, str]:
    """Adapter first, then its settings, the objective, the data, and the optimisation: the order people think in."""
    order = ("adapter.kind", "adapter", "objective", "data", "optimisation.lr", "optimisation")
    return next((i for i, part in enumerate(order) if part in path), len(order)), path
