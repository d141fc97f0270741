"""What the brief rewards: "reward exact match", "rewarded by the regular expression `answer: (.*)`"."""

from __future__ import annotations

from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.naming import ordered, spelling
from tunewright.agents.brief.text import Text, like
from tunewright.domain.frozen import Json
from tunewright.domain.recipe import PLAN_ARROW, Reward
from tunewright.domain.task import TaskSpec, Wishes

_VERB = like(r"\breward(?:s|ed|ing)\b(?![-_ ]*(?:model|accurac))|\breward(?=[ ]+(?!and\b|or\b|model|accurac)\w)")
_QUOTED = like(r"(?:[ ]|[:=]|of|for|that|with|the|pattern|criterion)*(?P<mark>[`\"'])(?P<said>[^\n]+?)(?P=mark)")


def claim_verbs(text: Text) -> None:
    """Claims "reward" where it is what is to be done, and no model."""
    for match in text.find(_VERB):
        text.claim(*match.span())


def read_rewards(text: Text, menu: Menu) -> tuple[Reward, ...]:
    """The rewards that the brief names, in its order, with what stands in quotes after a name. Claims both."""
    found: dict[str, tuple[int, dict[str, Json]]] = {}
    for kind in ordered(menu.rewards):
        for match in text.find(spelling(kind, menu.rewards[kind])):
            settings: dict[str, Json] = {}
            end = match.end()
            said = _QUOTED.match(text.rest, end) if kind in menu.quoted else None
            if said is not None:
                settings[menu.quoted[kind]] = text.raw[said.start("said") : said.end("said")]
                end = said.end()
            if kind not in found or settings:
                found[kind] = (match.start(), settings)
            text.claim(match.start(), end)
    kinds = sorted(found, key=lambda kind: found[kind][0])
    return tuple(Reward.model_validate({"kind": kind, **found[kind][1]}) for kind in kinds)


def rewarded(wishes: Wishes, task: TaskSpec, menu: Menu) -> tuple[Wishes, tuple[str, ...]]:
    """The wishes with a reward where a plan needs one and none is named, and a note that says so: the reward model that
    every such plan trains before, or what is measured, or the right answer.

    Raises:
        UsageError: a reward that is named does not fit the task, or lacks what it needs.
    """
    from tunewright.tools.training.scoreboard import check_rewards

    plans = [plan.split(PLAN_ARROW) for plan in wishes.plans]
    rolling = [plan for plan in plans if menu.rolling.intersection(plan)]
    if not rolling:
        return wishes, ()
    if wishes.rewards:
        check_rewards(wishes.rewards, task)
        return wishes, ()
    usual = "label" if task.format == "label" else "exact_match"
    kind = task.metric.name if task.metric.name in menu.rewards else usual
    if all(_judges_first(plan, menu) for plan in rolling):
        kind = "reward_model"
    note = f"no reward is named; '{kind}' is taken"
    return wishes.model_copy(update={"rewards": (Reward(kind=kind),)}), (note,)


def _judges_first(plan: list[str], menu: Menu) -> bool:
    """Whether a reward model is trained before the first stage that needs one."""
    first = min(at for at, kind in enumerate(plan) if kind in menu.rolling)
    return "reward" in plan[:first]
