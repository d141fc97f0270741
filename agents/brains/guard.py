"""May the language model be asked: the same caps as for trials, looked at before every call."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.brief import spoken_budget
from tunewright.agents.brief.answers import words_of
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.study import Study

_UNLIMITED = float("inf")

Guard = Callable[[int, float | None], None]
"""Is given the tokens and the dollars that the next call may cost, None for an unknown price. Raises BudgetError
if the budget does not cover it."""


def budget_guard(study: Callable[[], Study]) -> Guard:
    """Guards a study's budget; while the brief is being read, the one that its words name."""

    def guard(tokens: int, usd: float | None) -> None:
        now = study()
        budget = _budget(now)
        if budget is None:
            return
        if budget.usd is not None and usd is None:
            raise BudgetError(
                "the price of the language model is not known, so a dollar budget cannot be kept",
                "name a model whose price litellm knows, or give the budget in tokens instead of dollars",
            )
        keep = now.plan.keep if now.plan is not None else Cost()
        taken = now.spent() + now.reserved() + keep
        short = budget.shortfalls(taken, Cost(llm_tokens=tokens, usd=usd or 0.0))
        if short:
            raise BudgetError("the budget does not cover a call to the language model: " + "; ".join(short))

    return guard


def _budget(now: Study) -> Budget | None:
    if now.budget is not None or now.brief is None:
        return now.budget
    return spoken_budget(words_of(now))


def time_left(study: Callable[[], Study]) -> Callable[[], float]:
    """Seconds that a study's budget leaves for a call; while the brief is being read, the one that its words name."""

    def left() -> float:
        now = study()
        budget = _budget(now)
        if budget is None or budget.wall_s is None:
            return _UNLIMITED
        keep = now.plan.keep.wall_s if now.plan is not None else 0.0
        return budget.wall_s - now.spent().wall_s - keep

    return left
