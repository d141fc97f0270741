"""The plan of a study: by rules, and where a language model is in use, with what of its answer code lets stand.

The model says what to search and why. How many trials there are, how long they are and what is kept back is worked out
by the same code as without it, from what was measured: it can ask for no more than the budget has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tunewright.agents import toolbox
from tunewright.agents.feasibility import excess
from tunewright.agents.forecasting import Price
from tunewright.agents.planner.answer import CostAnswer, PlanAnswer
from tunewright.agents.planner.beliefs import Beliefs, lessons_put_to_the_test
from tunewright.agents.planner.changes import Misfit, Revision
from tunewright.agents.planner.edit import edited
from tunewright.agents.planner.question import plan_prompt
from tunewright.agents.planner.wider import Wider, what_is_added
from tunewright.agents.planning import Fidelity, Sizing, make_plan
from tunewright.agents.reading import ROLE
from tunewright.agents.size_limit import too_large
from tunewright.domain.budget import Cost
from tunewright.domain.change import Change
from tunewright.domain.errors import BrainError, BudgetError, UsageError
from tunewright.domain.job import Rungs
from tunewright.domain.precedent import Kin
from tunewright.domain.proposal import Outlook, Plan
from tunewright.domain.protocols import Brain
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes
from tunewright.search.own import unused_priors

TOOLS = frozenset({"data_profile", "sample_rows", "method_card", "search_lessons"})
"""Those that have something to say before the first trial."""
_ROUNDS = 3
"""Of calls before the answer: each is billed the whole question again."""
_LONGEST = 200
"""Characters of what a model says in one note."""


class MakeSpace(Protocol):
    """Makes the space of a study; see ``forecasting.make_space``."""

    def __call__(
        self, study: Study, epochs: Sequence[float], default: float, *, price: Price, wishes: Wishes | None
    ) -> Space: ...


@dataclass(frozen=True)
class Planner:
    """Plans a study whose base model has been measured.

    Args:
        price: forecasts a recipe that is measured at the given rungs.
        make_space: the space of trials of given lengths, under the brief's wishes or wider ones.
        check: raises ``UsageError`` for a recipe whose methods or settings do not exist or do not go together.
        kin: earlier studies that the search begins from.
        sized: how the same study was sized before.
        now: seconds since the epoch.
    """

    price: Price
    make_space: MakeSpace
    check: Callable[[Recipe], None]
    kin: Sequence[Kin] = ()
    sized: Sizing | None = None
    now: float | None = None

    def plan(
        self,
        study: Study,
        brain: Brain | None,
        *,
        folder: Path | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> Plan:
        """The plan, by a language model if it gives one that fits the budget, else by rules.

        Args:
            folder: the study's, for tools to look at; None: the model answers without tools.
            warn: is told in one line why the model's answer is not in the plan.

        Raises:
            BudgetError: not even one short trial and the sealed test fit.
            UsageError: there are too few rows to train on.
        """
        rules = self._by_rules(study)
        if brain is None:
            return rules
        tools = [one for one in toolbox.for_study(study, folder) if one.name in TOOLS] if folder is not None else []
        try:
            answer = brain.converse(ROLE, plan_prompt(study, rules), PlanAnswer, tools, rounds=_ROUNDS)
        except (BrainError, BudgetError) as error:
            warn(f"the study was planned by rules instead of {brain.name}: {error.message}")
            return self._by_rules(study)  # anew: the question took time and tokens of the budget
        try:
            return self._by_model(study, rules, answer, brain.name)
        except (BudgetError, UsageError) as error:
            warn(f"the study was planned by rules instead of {brain.name}: its plan cannot be kept: {error.message}")
            return self._by_rules(study)

    def _by_rules(self, study: Study) -> Plan:
        plan = self._made(study)
        return plan.model_copy(
            update={"hypotheses": lessons_put_to_the_test(study, plan.space), "outlook": Outlook(says=in_short(plan))}
        )

    def _by_model(self, study: Study, rules: Plan, answer: PlanAnswer, by: str) -> Plan:
        misfit = self._misfit(study)
        length = rules.epochs or 1.0
        wider = Wider(study, lambda wishes: self._space(study, [length], length, wishes), misfit)
        added = {at: wider.take(change) for at, change in enumerate(answer.changes) if what_is_added(change)}
        wishes = wider.wishes if wider.wishes != study.wishes else None
        base = self._made(study, wishes=wishes).space if wishes is not None else rules.space
        revision = Revision(study, base, misfit)
        for at, change in enumerate(answer.changes):
            if at in added:
                cites, notes = revision.cited(change.cites)
                revision.note(change, added[at][0], [*added[at][1], *notes], cites)
            else:
                revision.take(change)
        fidelity = Fidelity(answer.fidelity.length, answer.fidelity.first_look)
        plan = self._made(study, wishes=wishes, revision=revision, fidelity=fidelity)
        beliefs = Beliefs()
        beliefs.guess(plan.space, answer.priors)
        beliefs.suppose(plan.space, answer.hypotheses)
        assumed = [f"assumed: {said}" for one in answer.assumptions if (said := _line(one))]
        unused = unused_priors(plan.sampler) if beliefs.priors else ""
        return plan.model_copy(
            update={
                "priors": tuple(beliefs.priors.values()),
                "changes": (*revision.done, *_slower(fidelity), *beliefs.notes),
                "hypotheses": tuple(beliefs.suppositions),
                "outlook": Outlook(says=_line(answer.summary, 400), gain=answer.expected_gain, cost=_cost(answer)),
                "notes": (*plan.notes, *assumed, *([unused] if unused else [])),
                "by": by,
            }
        )

    def _made(
        self,
        study: Study,
        *,
        wishes: Wishes | None = None,
        revision: Revision | None = None,
        fidelity: Fidelity | None = None,
    ) -> Plan:
        def make(study: Study, epochs: Sequence[float], default: float) -> Space:
            space = self._space(study, epochs, default, wishes)
            return edited(space, revision.edits) if revision is not None else space

        return make_plan(
            study,
            price=self.price,
            make_space=make,
            kin=self.kin,
            fidelity=fidelity or Fidelity(),
            sized=self.sized,
            now=self.now,
        )

    def _space(self, study: Study, epochs: Sequence[float], default: float, wishes: Wishes | None) -> Space:
        return self.make_space(study, epochs, default, price=self.price, wishes=wishes)

    def _misfit(self, study: Study) -> Misfit:
        def misfit(recipe: Recipe) -> str:
            try:
                self.check(recipe)
                forecast = self.price(study, recipe, Rungs())
            except UsageError as error:
                return error.message
            if excess(study, forecast.memory_gib.low) is not None:
                return f"it needs {forecast.memory_gib.low:.2f} GiB or more"
            return too_large(study, forecast)

        return misfit


def in_short(plan: Plan) -> str:
    """The plan in a sentence, as rules say it."""
    kinds = next(
        (len(one.options) for one in plan.space.dimensions if one.name == "adapter" and one.kind == "choice"), 1
    )
    length = f" of {plan.epochs:g} epochs by default" if plan.epochs else ""
    adapters = "one adapter" if kinds == 1 else f"{kinds} adapters"
    return f"at most {plan.trials[1]} trials{length} over {adapters}, each with its own learning rates"


def _slower(fidelity: Fidelity) -> list[Change]:
    """What the lengths of trials were changed by."""
    said = []
    if fidelity.length < 1:
        said.append(f"trials of {100 * fidelity.length:.0f} % of the longest that fits")
    if fidelity.first_look > 0:
        said.append(f"no look before {100 * fidelity.first_look:.0f} % of a trial")
    return [Change(said="; ".join(said), fate="applied")] if said else []


def _cost(answer: PlanAnswer) -> Cost | None:
    said: CostAnswer = answer.expected_cost
    if said == CostAnswer():
        return None
    return Cost(
        wall_s=60 * (said.wall_minutes or 0.0),
        device_s=3600 * (said.device_hours or 0.0),
        usd=said.usd or 0.0,
        llm_tokens=said.llm_tokens or 0,
    )


def _line(text: str, most: int = _LONGEST) -> str:
    """On one line, cut."""
    said = " ".join(text.split())
    return said if len(said) <= most else said[: most - 3].rstrip() + "..."
