"""Finds scorers by name, and imports only the one that is asked for.

A scorer is a file in ``scorers/`` with an object ``SCORER``. Packages add theirs through the entry-point group
``tunewright.scorers``: an object, or a class without arguments, that follows ``tunewright.domain.protocols.Scorer``.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points

from tunewright.domain.errors import UsageError, boundary, unknown_name
from tunewright.domain.protocols import Scorer
from tunewright.tools.evaluation import scorers as folder

GROUP = "tunewright.scorers"

ALIASES = {
    "acc": "accuracy",
    "f1": "macro_f1",
    "f1_macro": "macro_f1",
    "em": "exact_match",
    "exact": "exact_match",
    "token_level_f1": "token_f1",
    "squad_f1": "token_f1",
    "rouge": "rouge_l",
    "rougel": "rouge_l",
    "valid_json": "json_valid",
    "validation_loss": "loss",
    "val_loss": "loss",
    "ppl": "perplexity",
    "verifier": "reasoning_gym",
    "pair_accuracy": "preference_accuracy",
    "pairwise_accuracy": "preference_accuracy",
    "reward_accuracy": "preference_accuracy",
}
"""What people also write -> the scorer's name."""


def scorers() -> list[str]:
    """Every scorer's name, sorted. Imports none of them."""
    return sorted({*_built_in(), *_plugins()})


def canonical(name: str) -> str:
    """The scorer's name for what a person wrote: ``Macro-F1`` and ``f1`` are ``macro_f1``.

    Raises:
        UnknownNameError: there is no such scorer.
    """
    spelled = "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())
    spelled = ALIASES.get(spelled, spelled)
    for known in (spelled, name):
        if known in _built_in() or known in _plugins():
            return known
    raise unknown_name("metric", name, scorers(), "Others come by the entry point tunewright.scorers.")


def best_value(metric: str) -> float | None:
    """The best value that a metric has, where its scorer says so.

    Raises:
        UnknownNameError: there is no such scorer.
    """
    found: float | None = getattr(scorer(metric), "best", None)
    return found


def scorer(name: str) -> Scorer:
    """The scorer with this name or alias.

    Raises:
        UnknownNameError: there is no such scorer.
        UsageError: it comes from another package and cannot be imported, or is no scorer.
    """
    name = canonical(name)
    if name in _built_in():
        built_in: Scorer = importlib.import_module(f"{folder.__name__}.{name}").SCORER
        return built_in
    point = _plugins()[name]
    with boundary(UsageError, f"load the metric '{name}' from {point.value}", "repair or remove that package"):
        found = point.load()
        made: Scorer = found() if isinstance(found, type) else found
    missing = [part for part in ("direction", "needs", "score", "aggregate") if not hasattr(made, part)]
    if missing:
        raise UsageError(
            f"the metric '{name}' from {point.value} lacks {', '.join(missing)}", "see domain/protocols.py"
        )
    return made


def _built_in() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(folder.__path__)]


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
