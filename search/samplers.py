"""Any sampler of Optuna by name, and ours. Optuna's own classes are looked through, so a new one needs no line here."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import UsageError, boundary, unknown_name
from tunewright.domain.prior import Prior
from tunewright.domain.task import Goal
from tunewright.search.own import build_own, own_samplers

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tunewright.search.basis import Basis

NEEDS = {"cmaes": "cmaes", "gp": "torch"}
"""Packages that Optuna does not bring."""
WITHOUT = {
    "grid": "it needs its grid written out; 'bruteforce' walks every point of the space",
    "partialfixed": "it needs values to hold; leave those settings out of the search instead",
}
"""Samplers that cannot be built from a space alone, and what to do instead."""

SHOWN = {"tpe": 250}
"""Trials shown at most, so that the time for an idea is bounded. With 250 TPE still learns from the same 25 good ones
as with more (a tenth, at most 25). What it misses are the oldest of the others, which it would weigh least."""


def samplers() -> dict[str, str]:
    """Name -> one line about it, for every sampler that a study can use."""
    theirs = {
        name: _first_line(kind) + (f" Needs the package {NEEDS[name]}." if name in NEEDS and not _has(name) else "")
        for name, kind in sorted(_classes().items())
        if name not in WITHOUT
    }
    return own_samplers() | theirs


def sampler_name(name: str) -> str:
    """The one spelling of ``name``: lower case, without ``Sampler``; ours with their dash.

    Raises:
        UnknownNameError: Optuna has no such sampler.
        UsageError: it cannot be used here; the message says why.
    """
    plain = _plain(name)
    known = _classes()
    ours = {_plain(own): own for own in own_samplers()}
    if plain in ours:
        _must_have(ours[plain].partition("-")[2], name)
        return ours[plain]
    if plain not in known:
        raise unknown_name("sampler", name, own_samplers().keys() | known.keys() - WITHOUT.keys())
    if plain in WITHOUT:
        raise UsageError(f"sampler '{name}' cannot be used for a study", WITHOUT[plain])
    _must_have(plain, name)
    return plain


def build_sampler(
    name: str,
    basis: Basis,
    *,
    seed: int,
    trials: int,
    cost_weight: float = 1.0,
    goals: Sequence[Goal] = (),
    priors: Sequence[Prior] = (),
) -> BaseSampler:
    """The sampler ``name``, seeded, with a start-up and a population that suit a study of ``trials`` trials.

    Optuna's own defaults (10 random trials first, generations of 50) are made for hundreds of trials: a study of
    twelve would be a random search.

    Args:
        basis: what ours go by; others are asked about the space's settings one by one.
        cost_weight: how much ours mind what an idea costs: 0 not at all, 1 in proportion.
        goals: besides the score, that ours weigh it against; others look at the score alone.
        priors: best guesses of settings, for ours; others know nothing of them.
    """
    name, startup = sampler_name(name), startup_trials(trials)
    if name in own_samplers():
        return build_own(name, basis, seed=seed, cost_weight=cost_weight, goals=goals, priors=priors, trials=trials)
    kind = _classes()[name]
    wanted: dict[str, Any] = {
        "seed": seed,
        "n_startup_trials": startup,
        "population_size": max(4, min(50, trials // 4)),
        # Dimensions under conditions are modelled jointly, each group with its own.
        "group": True,
        "multivariate": True,
        # What runs already counts as bad, so that a batch is not one idea many times.
        "constant_liar": True,
        "warn_independent_sampling": False,
        "warn_asynchronous_seeding": False,
    }
    taken = inspect.signature(kind).parameters
    with boundary(UsageError, f"build the sampler '{name}'"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ExperimentalWarning for `group`: chosen on purpose
        return kind(**{option: value for option, value in wanted.items() if option in taken})


def startup_trials(trials: int) -> int:
    """Trials drawn at random before a model of the space is trusted: a quarter, from 4 to 10."""
    return max(4, min(10, trials // 4))


def shown_trials(name: str) -> int | None:
    """How many trials the sampler ``name`` is shown at most; None for all, as generations and sequences need them."""
    return SHOWN.get(name)


def _classes() -> dict[str, type[BaseSampler]]:
    import optuna

    return {
        _plain(name): kind
        for name, kind in vars(optuna.samplers).items()
        if inspect.isclass(kind) and issubclass(kind, optuna.samplers.BaseSampler) and not name.startswith("Base")
    }


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "").removesuffix("sampler")


def _first_line(kind: type) -> str:
    lines = (inspect.getdoc(kind) or "").strip().splitlines()
    # `text <address>`__ and ``text`` of reStructuredText become text.
    return re.sub(r"`+([^`<]+?)(?:\s*<[^>]*>)?`+_*", r"\1", lines[0]) if lines else kind.__name__


def _must_have(plain: str, asked: str) -> None:
    if plain in NEEDS and not _has(plain):
        package = NEEDS[plain]
        raise UsageError(f"sampler '{asked}' needs the package '{package}'", f"install it: pip install {package}")


def _has(name: str) -> bool:
    return find_spec(NEEDS[name]) is not None
