"""The cost critic: what did not fit, and what took more than it brought."""

from __future__ import annotations

from statistics import median

from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.levers import BATCH, LENGTH, RANK
from tunewright.domain.finding import Finding
from tunewright.tools.analysis.words import clock_words, number_words

ROLE = "critic.cost"
_DEAR = 1.5
"""Times the median cost of a trial, from where on one without a gain is called dear."""


def find(case: Case) -> Finding | None:
    """Half of what takes the memory, or a cheaper recipe that is not told apart."""
    return _memory(case) or _dear(case)


def facts(case: Case) -> list[str]:
    """What each trial took, in halves of what a trial usually takes: coarse, so that the same study asks the same."""
    usual = median(one.measured["seconds"] for one in case.facts) or 1.0
    return [
        f"{trial}: about {round(2 * case.by_id[trial].measured['seconds'] / usual) / 2:g} times the usual time; "
        f"{case.grades[trial].says(cost=False)}"
        for trial in case.shown
    ]


def _memory(case: Case) -> Finding | None:
    trial = case.newest("memory")
    if trial is None:
        return None
    for endings in (BATCH, RANK):
        lever = case.lever(trial, endings)
        half = lever.times(0.5) if lever is not None else None
        if lever is not None and half is not None:
            return Finding(
                by=ROLE,
                trials=(trial,),
                says=f"{trial} ran out of memory at {_word(lever.path)} {number_words(lever.value)}; "
                f"{number_words(half)} takes less",
                cause="does not fit into memory",
                evidence=case.cite((trial,), "fault", lever.path),
                weight=0.6,
                edits={lever.path: half},
                parent=trial,
            )
    return None


def _dear(case: Case) -> Finding | None:
    seconds = {one.id: one.measured["seconds"] for one in case.facts if one.score is not None}
    if len(seconds) < 3:
        return None
    usual = median(seconds.values())
    dear = [trial for trial in case.trials if seconds.get(trial, 0.0) > _DEAR * usual and not case.grades[trial].gained]
    if not dear:
        return None
    trial = max(dear, key=lambda id: seconds[id])
    lever = case.lever(trial, LENGTH)
    shorter = lever.times(usual / seconds[trial]) if lever is not None else None
    return Finding(
        by=ROLE,
        trials=(trial,),
        says=f"{trial} took {seconds[trial] / usual:.1f} times the usual {clock_words(usual)}, without a gain",
        cause="costs more than it brings",
        evidence=case.cite((trial,), "score", "seconds"),
        weight=0.2,
        edits={lever.path: shorter} if lever is not None and shorter is not None else {},
        parent=trial,
    )


def _word(path: str) -> str:
    return "batch" if path.endswith(BATCH) else "rank"


CRITIC = Critic(ROLE, "critic_cost", find, facts)
