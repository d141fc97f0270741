"""The space that a study searches, put together from what its methods declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Json
from tunewright.domain.recipe import PLAN_ARROW, Memory, Objective
from tunewright.domain.space import Choice, Condition, Dimension, Simplex, Space, StagePlan
from tunewright.tools.training.depth import dimensions as depth
from tunewright.tools.training.depth.check import deepens, federates, transferring
from tunewright.tools.training.dimension import shared
from tunewright.tools.training.memory import dimensions as levers
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import goes_with
from tunewright.tools.training.registry import objective as find_objective

_WANTED_BATCH = 16
_PROMPTS = (2, 4, 8)
"""Prompts a step of reinforcement learning, each with several answers, beside the rows a step elsewhere."""
_LR = ".optimisation.lr"
EVERYTHING, GIVEN = "all", "given"
"""The selection that leaves no row out, and the policy that takes the recipe's own weights."""
KEPT = (0.5, 0.25, 0.75)
"""Shares of the rows that are searched, the default first."""

Plan = tuple[str, ...]
"""Objectives of a recipe's stages, in turn."""


@dataclass(frozen=True)
class Wanted:
    """What a space is to hold."""

    adapters: Sequence[str]
    """Kinds of adapter; the first is the default."""
    sources: Sequence[str]
    """Names of the data sources of the task's own rows; weights are searched if there are several."""
    mixed: Sequence[str] | None = None
    """Objectives that learn from those; all of them if it is not said."""
    plans: Sequence[Plan] = (("sft",),)
    """Plans of stages to choose from; the first is the default."""
    max_rank: int | None = None
    """No rank above it."""
    epochs: Sequence[float] = (1.0, 2.0, 3.0)
    """Lengths of a recipe to choose from, in epochs of supervised training."""
    default_epochs: float | None = None
    """The default's length; the longest if it is not said."""
    batch_sizes: Sequence[int] = (8, 16, 32)
    """Rows per step to choose from."""
    compress: Sequence[float] = ()
    """Shares of the update's energy to keep after training, the default first; none is searched if empty."""
    own: bool = True
    """Whether the objectives' own settings are searched; they stay at their defaults otherwise."""
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Objective -> settings that are not searched, such as its rewards."""
    selectors: Sequence[str] = ()
    """Kinds of selection to choose from, the default first; every row is trained on if empty."""
    keep: float | None = None
    """The share of the rows that a selection keeps; searched if it is not said."""
    mixes: Sequence[str] = ()
    """Kinds of mix policy to choose from, the default first; the weights themselves are searched if empty."""
    replay: float = 0.0
    """Share of an epoch's rows that come from sources of general data."""
    depths: Sequence[int] = ()
    """Numbers of depths that supervised stages go through, the default first; the whole model throughout if empty."""
    clients: int = 1
    """Simulated clients that supervised stages are trained by."""
    alpha: float | None = None
    """Of the Dirichlet distribution by which the clients' rows differ; they are alike if it is not said."""
    memory: Memory | None = None
    """What keeps the default's memory low, where memory binds; then other values are searched too."""
    gpus: int = 0
    """Of a trial."""
    seed: int = 0
    """Of every recipe; it is never searched."""


def recipe_space(wanted: Wanted) -> Space:
    """Stages, adapter, its settings and learning rates, objectives' settings, schedule, batch sizes, lengths, mix, and
    what keeps memory low where it binds.

    Every recipe of one length costs about the same: a plan of two stages gives half of the length to each, and an
    objective whose steps cost more takes fewer of them.

    Raises:
        UnknownNameError: no such adapter or objective.
        UsageError: no adapter, length or batch size is given, or none of the adapters can be trained by the plans.
    """
    if not wanted.adapters or not wanted.epochs or not wanted.batch_sizes:
        raise UsageError("a space needs at least one adapter, one length and one batch size")
    return _Builder(wanted).space()


class _Builder:
    """Collects dimensions; what leaves no choice goes into the stages' template."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.plans = list(dict.fromkeys(wanted.plans))
        self.objectives = list(dict.fromkeys(kind for plan in self.plans for kind in plan))
        self.single = len(self.plans) == 1 and len(self.plans[0]) == 1
        self.kinds = _able(wanted.adapters, self.plans, wanted.depths, wanted.clients)
        self.dimensions: list[Dimension] = []
        self.fixed: dict[str, Json] = {}
        """Path -> what every recipe has there."""

    def space(self) -> Space:
        if len(self.plans) > 1:
            names = tuple(PLAN_ARROW.join(plan) for plan in self.plans)
            stages = tuple(self._stages(plan) for plan in self.plans)
            self.dimensions.append(
                StagePlan(name="plan", path="stages", options=names, default=names[0], stages=stages)
            )
        self._choose("adapter", f"{self.every}.adapter.kind", self.kinds, self.kinds[0])
        self.dimensions += self._adapters_own()
        self._compression()
        self._carrying()
        for kind in self.objectives:
            self._of_objective(kind)
        self._choose("schedule", f"{self.every}.optimisation.schedule", ("cosine", "linear", "constant"), "cosine")
        self._batches()
        self._memory()
        self._depth()
        for plan in self.plans:
            self._lengths(plan)
        self._selection()
        self._mix()
        template: dict[str, Json] = {"seed": self.wanted.seed, "stages": self._stages(self.plans[0])}
        return Space(template=self._filled(template), dimensions=tuple(map(self._filled_plan, self.dimensions)))

    @property
    def every(self) -> str:
        """The path of all stages."""
        return "stages.0" if self.single else "stages.*"

    def of(self, *objectives: str) -> str:
        """The path of the stages that train by these objectives."""
        return "stages.0" if self.single else f"stages.@{'|'.join(objectives)}"

    def where(self, plans: Iterable[Plan]) -> tuple[Condition, ...]:
        """The condition that one of the plans is chosen."""
        chosen = tuple(PLAN_ARROW.join(plan) for plan in plans)
        return () if len(chosen) == len(self.plans) else (Condition(name="plan", values=chosen),)

    def using(self, kind: str) -> tuple[Condition, ...]:
        """The condition that the plan has a stage of this objective."""
        return self.where(plan for plan in self.plans if kind in plan)

    def _stages(self, plan: Plan) -> list[Json]:
        return [
            {
                "objective": {"kind": kind, **self.wanted.settings.get(kind, {})},
                "data": {"replay": self.wanted.replay} if self.wanted.replay else {},
                "adapter": {},
                "optimisation": {},
            }
            for kind in plan
        ]

    def _filled(self, document: dict[str, Json]) -> dict[str, Json]:
        from tunewright.domain import path as paths

        for path, value in self.fixed.items():
            try:
                document = paths.put(document, path, value)
            except KeyError:  # a plan without a stage of this objective
                continue
        return document

    def _filled_plan(self, dimension: Dimension) -> Dimension:
        if not isinstance(dimension, StagePlan):
            return dimension
        stages = tuple(self._filled({"stages": one})["stages"] for one in dimension.stages)
        return dimension.model_copy(update={"stages": stages})

    def _choose(
        self, name: str, path: str, options: Sequence[Json], default: Json, when: tuple[Condition, ...] = ()
    ) -> None:
        """A dimension where there is a choice, else a line of the template."""
        if len(options) > 1:
            self.dimensions.append(Choice(name=name, path=path, options=tuple(options), default=default, when=when))
        elif all(condition.name == "plan" for condition in when):
            self.fixed[path] = options[0]
        else:
            self.dimensions.append(Choice(name=name, path=path, options=tuple(options), default=default, when=when))

    def _adapters_own(self) -> list[Dimension]:
        """What the adapters declare, but for their learning rates."""

        def declared(kind: str) -> list[Dimension]:
            method = find_adapter(kind)
            own = [one for one in method.dimensions(self.every, max_rank=self.wanted.max_rank) if _LR not in one.path]
            return [*([_placement(self.every, method.placements)] if len(method.placements) > 1 else []), *own]

        return shared(self.kinds, declared, "adapter")

    def _compression(self) -> None:
        able = [kind for kind in self.kinds if find_adapter(kind).compresses]
        options = list(dict.fromkeys(self.wanted.compress))
        if not options or not able:
            return
        when = () if able == self.kinds else (Condition(name="adapter", values=tuple(able)),)
        path = f"stages.{0 if self.single else -1}.adapter.compress"  # of the last stage alone
        self._choose("compress", path, options, options[0], when)

    def _carrying(self) -> None:
        """Whether a later stage goes on with the adapter: a choice where the adapter can be merged too."""
        for kind in self.objectives:
            plans = [plan for plan in self.plans if kind in plan[1:] and _policy(plan[plan.index(kind) - 1])]
            ways: dict[tuple[str, ...], list[str]] = {}
            for name in self.kinds if plans else ():
                method = find_adapter(name)
                can = (("continue", method.continues), ("merge", method.mergeable))
                ways.setdefault(tuple(way for way, able in can if able), []).append(name)
            for options, names in ways.items():
                whose = () if len(names) == len(self.kinds) else (Condition(name="adapter", values=tuple(names)),)
                name = f"carry.{kind}" + (f".{names[0]}" if whose else "")
                self._choose(name, f"{self.of(kind)}.carry", options, options[0], (*self.where(plans), *whose))

    def _of_objective(self, kind: str) -> None:
        """Learning rates of every adapter under it, and its own settings."""
        method, when = find_objective(kind), self.using(kind)
        for name in self.kinds:
            rate = find_adapter(name).learning_rate(self.of(kind), method.lr_scale)
            named = rate.name if len(self.objectives) == 1 else f"{rate.name}.{kind}"
            whose = () if len(self.kinds) == 1 else (Condition(name="adapter", values=(name,)),)
            why = "; ".join(part for part in (rate.why, method.lr_source) if part)
            self.dimensions.append(rate.model_copy(update={"name": named, "when": (*when, *whose), "why": why}))
        said = self.wanted.settings.get(kind, {})
        for own in method.dimensions(self.of(kind)) if self.wanted.own else ():
            if own.path.rpartition(".")[2] not in said:
                self.dimensions.append(own.model_copy(update={"when": (*when, *own.when)}))

    def _batches(self) -> None:
        rolling = [kind for kind in self.objectives if find_objective(kind).family == "reinforcement"]
        others = [kind for kind in self.objectives if kind not in rolling]
        sizes = sorted(set(self.wanted.batch_sizes))
        nearest = min(sizes, key=lambda size: abs(size - _WANTED_BATCH))
        if others:
            plans = [plan for plan in self.plans if set(plan) & set(others)]
            path = f"{self.of(*others) if rolling else self.every}.optimisation.batch_size"
            self._choose("batch_size", path, sizes, nearest, self.where(plans))
        if rolling:
            plans = [plan for plan in self.plans if set(plan) & set(rolling)]
            path = f"{self.of(*rolling)}.optimisation.batch_size"
            self._choose("prompts", path, _PROMPTS, _PROMPTS[1], self.where(plans))

    def _memory(self) -> None:
        if self.wanted.memory is None:
            return
        aims = [find_objective(kind) for kind in self.objectives]
        methods = [find_adapter(kind) for kind in self.kinds]
        narrows = not self.wanted.own and all(aim.narrows(Objective(kind=aim.kind)) for aim in aims)
        able = {
            "checkpoint_every": [one.kind for one in methods if one.recomputes],
            "base_bits": [one.kind for one in methods if one.trains_adapter and not one.reads_weights],
        }
        whole = self.single and not self.wanted.depths  # else layers are fused, or merged into, as they are
        for one in levers(self.every, self.wanted.memory, gpus=self.wanted.gpus, single=whole, narrows=narrows):
            kinds = able.get(one.name, self.kinds)
            if kinds:
                when = () if kinds == self.kinds else (Condition(name="adapter", values=tuple(kinds)),)
                self.dimensions.append(one.model_copy(update={"when": when}))

    def _depth(self) -> None:
        """Progressive depth and clients, of the stages that can be trained so."""
        depths, clients = list(dict.fromkeys(self.wanted.depths)), self.wanted.clients
        depth.check_data(clients, self.wanted.mixes, self.wanted.replay, self.wanted.selectors)
        if depths:
            where, when = self._learning("progressive depth", deepens)
            kinds = [kind for kind in self.kinds if transferring(find_adapter(kind)) is None]
            self.dimensions += depth.growth(where, depths, when, kinds if kinds != self.kinds else ())
        if clients > 1:
            where, when = self._learning("clients", federates)
            fixed = depth.fixed(clients, self.wanted.alpha)
            self.fixed |= {f"{where}.depth.{name}": value for name, value in fixed.items()}
            factors = [kind for kind in self.kinds if find_adapter(kind).exports_lora]
            self.dimensions += depth.federation(where, when, factors, every=factors == self.kinds)

    def _learning(self, how: str, able: Callable[[ObjectiveMethod], bool]) -> tuple[str, tuple[Condition, ...]]:
        """Path of the stages whose objectives are able to be trained so, and the condition that there are any."""
        aims = [kind for kind in self.objectives if able(find_objective(kind))]
        if not aims:
            raise UsageError(
                f"{how} cannot train {', '.join(self.objectives)}",
                "name a supervised objective, such as sft, or leave it out",
            )
        where = self.every if aims == self.objectives else self.of(*aims)
        return where, self.where(plan for plan in self.plans if set(plan) & set(aims))

    def _lengths(self, plan: Plan) -> None:
        """Each stage's share of the recipe's length, in epochs of its own."""
        default = self.wanted.default_epochs or max(self.wanted.epochs)
        for kind in plan:
            cost = find_objective(kind).step_cost * len(plan)
            own = {length: _two_digits(length / cost) for length in sorted(set(self.wanted.epochs))}
            name = "epochs" if self.single else f"epochs.{PLAN_ARROW.join(plan)}.{kind}".replace(" ", "")
            options = list(dict.fromkeys(own.values()))
            path, when = f"{self.of(kind)}.optimisation.epochs", self.where([plan])
            if len(options) > 1 or when:
                self.dimensions.append(
                    Choice(name=name, path=path, options=tuple(options), default=own[default], when=when)
                )
            else:
                self.fixed[path] = options[0]

    def _selection(self) -> None:
        kinds = list(dict.fromkeys(self.wanted.selectors))
        if not kinds:
            return
        from tunewright.tools.training.registry import selector as find_selector

        base = f"{self.every}.data.selection"
        self._choose("selector", f"{base}.kind", kinds, kinds[0])
        choosing = [kind for kind in kinds if kind != EVERYTHING]
        some = () if choosing == kinds else (Condition(name="selector", values=tuple(choosing)),)
        if choosing:
            shares = KEPT if self.wanted.keep is None else (self.wanted.keep,)
            self._choose("keep", f"{base}.keep", shares, shares[0], some)
        self.dimensions += shared(kinds, lambda kind: find_selector(kind).dimensions(self.every), "selector")

    def _mix(self) -> None:
        parts, kinds = tuple(self.wanted.sources), list(dict.fromkeys(self.wanted.mixes)) or [GIVEN]
        learning = [kind for kind in self.objectives if self.wanted.mixed is None or kind in self.wanted.mixed]
        if len(parts) < 2 or not learning or self.wanted.clients > 1:
            return
        where = self.every if learning == self.objectives else self.of(*learning)
        using = self.where(plan for plan in self.plans if set(plan) & set(learning))
        if kinds != [GIVEN]:
            from tunewright.tools.training.registry import mix_policy as find_mix

            self._choose("mix_policy", f"{where}.data.policy.kind", kinds, kinds[0], using)
            own = shared(kinds, lambda kind: find_mix(kind).dimensions(where), "mix_policy")
            self.dimensions += [one.model_copy(update={"when": (*using, *one.when)}) for one in own]
        if GIVEN in kinds:
            when = () if kinds == [GIVEN] else (Condition(name="mix_policy", values=(GIVEN,)),)
            even = tuple([round(1 / len(parts), 6)] * (len(parts) - 1))
            path, default = f"{where}.data.weights", (*even, 1 - sum(even))
            self.dimensions.append(Simplex(name="mix", path=path, parts=parts, default=default, when=(*using, *when)))


def _able(kinds: Sequence[str], plans: Sequence[Plan], depths: Sequence[int], clients: int) -> list[str]:
    """The adapters that every stage of every plan can train, at its depths and by its clients, and that let the next
    stage follow.

    Raises:
        UsageError: there are none.
    """
    fitting = [kind for kind in dict.fromkeys(kinds) if all(_fits(kind, plan) for plan in plans)]
    found = depth.able(fitting, depths, clients)
    if not found:
        said = ", ".join(PLAN_ARROW.join(plan) for plan in plans) if not fitting else "progressive depth or clients"
        raise UsageError(f"none of {', '.join(kinds)} can be trained by {said}", "name lora among the adapters")
    return found


def _fits(kind: str, plan: Plan) -> bool:
    method = find_adapter(kind)
    followed = any(_policy(objective) for objective in plan[:-1])
    return all(goes_with(method, find_objective(one)) for one in plan) and (
        not followed or method.continues or method.mergeable
    )


def _policy(objective: str) -> bool:
    found: ObjectiveMethod = find_objective(objective)
    return found.trains_policy


def _two_digits(length: float) -> float:
    return float(f"{length:.2g}")


def _placement(stage: str, options: tuple[str, ...]) -> Choice:
    return Choice(
        name="placement",
        path=f"{stage}.adapter.placement",
        options=options,
        default=options[0],
        why="every linear layer is the safe choice: LoRA Without Regret",
    )
