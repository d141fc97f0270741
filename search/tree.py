"""Tree search over what a recipe is, with Bayesian search inside over what it is set to.

Decisions, such as the kind of adapter or the plan of stages, form a tree that is searched by UCT with progressive
widening. Inside the branch it comes to, the rest is searched by a model of all trials that knows where branches have
settings in common, what rungs say of ends, what a trial costs and what has broken; or by any other sampler of Optuna's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler

from tunewright.search.acquisition import EVEN, NEAR_BEST, NEAR_DEFAULT, Corner, improvement
from tunewright.search.branch import Branches, Visit
from tunewright.search.decision import DecisionTree, Leaf, ObservedTree, Path, leaf_at, path_of
from tunewright.search.evidence import BRANCH, PARENT, Evidence, gather
from tunewright.search.kernel import Floats
from tunewright.search.known import Known
from tunewright.search.model import Model
from tunewright.search.pace import Pace
from tunewright.search.prior import Guesses, Leaning, holds
from tunewright.search.prospect import Prospects, some_leaves

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

NEAR_GUESS = 64
"""Candidates around what is guessed, where something is."""
_HARDLY = 0.1
"""Of a setting's range: recipes that differ by less in every setting are taken for the same."""
_LEAVES = 16
"""Branches that are looked into where no tree is searched, if there are more."""


class TreeSampler(BaseSampler):  # type: ignore[misc]  # Optuna's types are not read here, see pyproject.toml
    """Chooses decisions by UCT and the rest by expected improvement for its cost.

    Trials may report intermediate values: a model learns from them, whether or not the trial is complete. A running
    trial that has reported is learned from too, and counts as a visit of its branch. A trial that was pruned past a
    limit (``Trial.set_constraint`` above zero) counts against its branch; a failed one does not.

    Args:
        tree: the decisions of the space, or names of categorical parameters that are decisions, in the order in which
            the objective asks for them, before all others.
        inner: makes the sampler of a branch's other settings; by default the model does.
        shared: parameter -> coordinate, where ``tree`` is names; see ``DecisionTree.coordinate``.
        pace: how far trials are at the steps that they report and at their ends, where ``tree`` is names.
        joint: without a tree: every branch may be chosen at any time, by expected improvement alone.
        looks: branches that are looked into; the idea that promises most is taken.
        exploration: see ``Branches``.
        widening: see ``Branches``.
        cost_weight: 0 looks for improvement, 1 for improvement per second, where trials tell their cost.
        n_startup_trials: trials around the defaults before the model is asked, where nothing is known from earlier.
        earlier: what other studies found, see ``Evidence.origin``.
        kinship: how alike they are, from 0 to 1.
        guesses: of parameters, which count ever less as trials are measured.
        known: what another sampler of this ``tree`` has worked out, to which this one adds.
        seed: of everything random.
    """

    def __init__(
        self,
        tree: DecisionTree | Sequence[str],
        *,
        inner: Callable[[], BaseSampler] | None = None,
        shared: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        joint: bool = False,
        looks: int = 4,
        exploration: float = 0.5,
        widening: tuple[float, float] = (1.0, 0.7),
        cost_weight: float = 1.0,
        n_startup_trials: int = 4,
        earlier: Sequence[Evidence] = (),
        kinship: float = 1.0,
        guesses: Guesses | None = None,
        known: Known | None = None,
        seed: int | None = None,
    ) -> None:
        self._given = tree
        self._shared, self._pace = shared, pace
        self._inner = inner
        self._joint = joint
        self._looks = looks
        self._exploration, self._widening = exploration, widening
        self._cost_weight = cost_weight
        self._startup = n_startup_trials
        self._earlier, self._kinship = tuple(earlier), kinship
        self._guesses, self._known = guesses, known
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._chosen: dict[int, dict[str, Any]] = {}

    def reseed_rng(self) -> None:
        """See ``BaseSampler``."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The settings of the branch that was chosen, decisions among them."""
        self._raise_error_if_multi_objective(study)
        known = self._known
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        tree = (
            self._given
            if not isinstance(self._given, Sequence)
            else ObservedTree(self._given, others, self._shared, self._pace)
        )
        if not tree.parameters():
            return {}
        found = gather(
            others, maximise=study.direction.name == "MAXIMIZE", pace=tree.pace, said=known.said if known else None
        )
        model = Model(tree, [*found, *self._earlier], kinship=self._kinship, known=known.rows if known else None)
        measured = sum(not one.origin and (one.faulty or bool(one.seen)) for one in model.found)
        leaning = self._guesses.after(measured) if self._guesses is not None else None
        leaf, reason, params = self._idea(tree, model, leaning)
        parent = Corner(tree, leaf, model).parent()
        study._storage.set_trial_system_attr(trial._trial_id, BRANCH, reason)
        study._storage.set_trial_system_attr(trial._trial_id, PARENT, parent)
        self._chosen = {trial.number: {**dict(leaf.path), **params}}
        return {**leaf.decided, **leaf.spaces}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What was chosen with the branch; what else is asked for is drawn evenly."""
        chosen = self._chosen.pop(trial.number, {})
        return {
            name: chosen[name] if name in chosen else self.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What no trial of this branch was asked before: as guessed, or else drawn evenly."""
        self._raise_error_if_multi_objective(study)
        guess = self._guesses.found.get(param_name) if self._guesses is not None else None
        if guess is not None and holds(param_distribution, guess.value):
            return guess.value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _idea(self, tree: DecisionTree, model: Model, leaning: Leaning | None) -> tuple[Leaf, str, dict[str, Any]]:
        if self._joint:
            return self._anywhere(tree, model, leaning)
        informed = model.fitted and self._inner is None
        prospects = (
            Prospects(tree, model, self._rng, cost_weight=self._cost_weight, leaning=leaning) if informed else None
        )
        lean = _lean(tree, leaning) if leaning is not None else None
        branches = Branches(
            tree,
            _visits(tree, model),
            worth=prospects.worth if prospects is not None else None,
            exploration=self._exploration,
            widening=self._widening,
            lean=lean,
        )
        promise = prospects.promise if prospects is not None else lean or (lambda path: 0.0)
        tried = []
        for descent in branches.shortlist(promise, self._looks if informed else 1):
            leaf = leaf_at(tree, descent.path)
            tried.append((leaf, descent.reason, *self._inside(tree, model, leaf, leaning)))
        leaf, reason, params, _ = max(tried, key=lambda one: one[3])
        return leaf, reason, params

    def _anywhere(self, tree: DecisionTree, model: Model, leaning: Leaning | None) -> tuple[Leaf, str, dict[str, Any]]:
        """The best idea of all branches, or of some where there are many."""
        leaves = [leaf_at(tree, path) for path in some_leaves(tree, model, self._rng, _LEAVES)]
        tried = [(leaf, *self._inside(tree, model, leaf, leaning)) for leaf in leaves]
        leaf, params, _ = max(tried, key=lambda one: one[2])
        return leaf, "the best of all branches", params

    def _inside(
        self, tree: DecisionTree, model: Model, leaf: Leaf, leaning: Leaning | None
    ) -> tuple[dict[str, Any], float]:
        """Parameters of the branch, and what they promise."""
        if not leaf.spaces:
            return {}, 0.0
        corner = Corner(tree, leaf, model, leaning)
        if self._inner is not None:
            return _asked(self._inner(), corner, model, leaf), 0.0
        if (len(model.found) < self._startup and not self._earlier) or not model.fitted:
            return corner.params(self._start(corner, len(model.found), leaning)), 0.0
        points = corner.candidates(self._rng, even=EVEN, near_default=NEAR_DEFAULT, near_best=NEAR_BEST)
        if leaning is not None:
            points = np.concatenate([points, corner.guessed(self._rng, NEAR_GUESS, exact=True)])
        rows = corner.rows(points)
        promised = improvement(model, model.expect(rows), cost_weight=self._cost_weight) + corner.leaned(points)
        best = _fresh(promised, rows, model.own_rows)
        return corner.params(points[best or 0]), float(promised[best]) if best is not None else -math.inf

    def _start(self, corner: Corner, number: int, leaning: Leaning | None) -> Floats:
        """(settings,) a point while nothing is known of any."""
        # Defaults and guesses may be poor, and all that is like them too: every second idea is drawn evenly.
        if not number % 2:
            drawn = corner.even(self._rng, 1)
        elif leaning is None:
            drawn = corner.defaults(self._rng, 1)
        else:
            drawn = corner.guessed(self._rng, 1, exact=number == 1)
        return np.asarray(drawn[0])


def _lean(tree: DecisionTree, leaning: Leaning) -> Callable[[Path], float]:
    """What is guessed of the last of some decisions, from -1 to 0."""
    options = tree.parameters()
    return lambda path: max(-1.0, leaning.of_decisions(path[-1:], options))


def _visits(tree: DecisionTree, model: Model) -> list[Visit]:
    """The trials in the tree, their worth from 0 to 1 over all of it; a recipe's own fault is worth 0."""
    own = [(one, w) for one, w in zip(model.found, model.worths, strict=True) if not one.origin]
    known = np.array([w for _, w in own if np.isfinite(w)])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    visits = []
    for one, worth in own:
        share: float | None = None
        if one.faulty:
            share = 0.0
        elif np.isfinite(worth):
            share = (float(worth) - low) / (high - low) if high > low else 0.5
        visits.append(Visit(path_of(tree, one.params), share))
    return visits


def _fresh(promised: Floats, rows: Floats, tried: Floats) -> int | None:
    """Which of (M, D) recipes promises most and is none of (N, D) trials, or hardly another: that would say the same
    once more. None where all were tried."""
    for index in np.argsort(-promised, kind="stable"):
        if not np.any(np.all(np.abs(tried - rows[index]) < _HARDLY, axis=1)):
            return int(index)
    return None


def _asked(sampler: BaseSampler, corner: Corner, model: Model, leaf: Leaf) -> dict[str, Any]:
    """What another sampler says of this branch alone, shown its trials and their expected ends."""
    import optuna

    study = optuna.create_study(direction="maximize", sampler=sampler)
    for index, one in enumerate(model.found):
        if np.isfinite(model.worths[index]) and not one.origin and corner.owns(index):
            point = {name: one.params[name] for name in leaf.spaces if name in one.params}
            if len(point) == len(leaf.spaces):
                study.add_trial(
                    optuna.trial.create_trial(
                        params=point, distributions=dict(leaf.spaces), value=float(model.worths[index])
                    )
                )
    return dict(study.ask(fixed_distributions=dict(leaf.spaces)).params)
