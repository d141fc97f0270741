"""Names the winner of a study, or says why there is none. docs/decisions/0014 and 0015 say why it is done so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.claim import claims
from tunewright.agents.domains import uneven
from tunewright.agents.judging import read_items
from tunewright.agents.limit import barred
from tunewright.agents.repeat import Scores, finalists, repeated, scored
from tunewright.agents.worth import not_worth
from tunewright.domain.goal import by_goals, measured
from tunewright.domain.outcome import Failed, Item, Noise, Verdict
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import quantity_amount, quantity_name


@dataclass(frozen=True)
class Ending:
    """How a study ends."""

    winner: str | None
    reason: str
    verdicts: tuple[Verdict, ...] = ()
    noise: Noise | None = None


def ending(study: Study, folder: Path) -> Ending:
    """The winner with the claims that may be made of it, or the reason why there is none.

    Raises:
        DataError: the items of one that may win, or of the base model, cannot be read.
    """
    decision = study.decisions.get("plan")
    if decision is not None and decision.action == "reject":
        return Ending(None, f"the plan was rejected: {decision.reason}")
    done = scored(study)
    if not done:
        return Ending(
            None, (study.search_ended or "no trial was run") if not study.trials else "no trial was completed"
        )
    if done.keys() <= study.barred.keys():
        first = next(iter(done))
        return Ending(None, f"no trial stays within the limits of the brief: {first}: {study.barred[first]}")
    scores = Scores(study, folder)
    return _Crowning(study, folder, scores, finalists(study, scores)).ending()


class _Crowning:
    """One choice among those that may win.

    Args:
        chosen: the finalists.
    """

    def __init__(self, study: Study, folder: Path, scores: Scores, chosen: Sequence[str]) -> None:
        self._study, self._folder = study, folder
        self._out = dict(study.barred)
        """Trials that may not win -> why."""
        self._claims = claims(study, scores, chosen)
        self._default = self._claims.default
        fresh = [trial for trial in chosen if repeated(study, trial)]
        self._rivals = [trial for trial in (fresh or chosen) if trial != self._default and self._held(trial)]

    def ending(self) -> Ending:
        won = self._by_goals() if self._study.task and self._study.task.goals else self._by_score()
        if won is not None:
            winner, why = won
            return Ending(winner, f"{why}{self._seeds(winner)}", self._said(winner), self._claims.noise)
        within = [trial for trial in self._claims.recipes if trial not in self._out]
        best = max(self._rivals or within or self._claims.recipes, key=self._claims.score)
        verdict = self._claims.verdicts[best, "base"]
        fresh = len(repeated(self._study, best))
        seen = f", on {_fresh(fresh)}" if fresh else ""
        why = f"no trial is better than the base model beyond noise; the best, {best}{seen}, is {verdict.says()}"
        return Ending(None, why, self._said(best), self._claims.noise)

    def _by_score(self) -> tuple[str, str] | None:
        """The best mean among those that beat base and default; else the default, which is the simplest; else, where
        the default itself does not beat the base model, the best of those that do."""
        default, beat = self._default, self._claims.better
        good = sorted((t for t in self._rivals if beat(t, "base")), key=self._claims.score, reverse=True)
        for trial in good:
            if default is not None and beat(trial, default):
                dear = not_worth(self._study, self._claims.verdicts[trial, default]) or self._uneven(trial, default)
                if not dear:
                    return trial, "better than the base model and than the default recipe beyond noise"
                self._out[trial] = dear
        if default is not None and default not in self._out and beat(default, "base"):
            return default, f"the default recipe, better than the base model beyond noise{self._nothing_better()}"
        if not good:
            return None
        return good[0], f"better than the base model beyond noise; {self._no_default()}"

    def _by_goals(self) -> tuple[str, str] | None:
        """Of those that beat the base model and are not told apart from the best of them, the first by the goals."""
        assert self._study.task is not None
        goals, done, able = self._study.task.goals, scored(self._study), list(self._rivals)
        if self._default is not None and self._default not in self._out:
            able.insert(0, self._default)
        able = [trial for trial in able if self._claims.better(trial, "base")]
        if not able:
            return None
        best = max(able, key=self._claims.score)
        near = sorted(
            (trial for trial in able if trial == best or not self._claims.apart(trial, best)),
            key=lambda trial: (trial != self._default, -self._claims.score(trial)),
        )
        winner, goal = by_goals(goals, {trial: done[trial] for trial in near})[0], goals[0]
        if len(near) == 1:
            return winner, "better than the base model beyond noise, and no other is as good"
        way = "smallest" if goal.direction == "min" else "largest"
        value = measured(done[winner], goal.quantity)
        said = "" if value is None else f" ({quantity_amount(goal.quantity, value)})"
        return winner, (
            f"better than the base model beyond noise, and of {len(near)} that are not told apart the one with the "
            f"{way} {quantity_name(goal.quantity)}{said}"
        )

    def _held(self, trial: str) -> bool:
        """Whether its fresh seeds went well, and stay within limits on groups where there are such."""
        failed = [
            job.outcome.fault
            for job in self._study.confirmations
            if job.proposal == trial and isinstance(job.outcome, Failed)
        ]
        own = [fault for fault in failed if fault.kind in ("config", "memory")]
        if own:
            self._out[trial] = f"failed on a fresh seed: {own[0].message}"
        elif repeated(self._study, trial):
            items = self._mean_items(trial)
            self._out[trial] = barred(self._study, self._folder, trial, items) or uneven(
                self._study, self._folder, trial, "base", items
            )
        return not self._out.get(trial)

    def _uneven(self, trial: str, default: str) -> str:
        items = self._mean_items(trial) if repeated(self._study, trial) else None
        return uneven(self._study, self._folder, trial, default, items)

    def _mean_items(self, trial: str) -> list[Item]:
        """Each row's score averaged over the fresh seeds."""
        runs = [{item.id: item for item in read_items(self._folder, job.id)} for job in repeated(self._study, trial)]
        shared = [id for id in runs[0] if all(id in run for run in runs)]
        return [
            runs[0][id].model_copy(update={"score": sum(run[id].score for run in runs) / len(runs)}) for id in shared
        ]

    def _nothing_better(self) -> str:
        others = [trial for trial in scored(self._study) if trial != self._default]
        if not others:
            return ""
        best = max((t for t in self._rivals or others if t in self._claims.recipes), key=self._claims.score)
        if self._out.get(best):
            return f"; {best} is not taken: {self._out[best]}"
        return f"; the search found nothing better than it beyond noise ({best} is not told apart from it)"

    def _no_default(self) -> str:
        if self._default is None:
            return "the default recipe has no score to compare with"
        if self._out.get(self._default):
            return f"the default recipe is out: {self._out[self._default]}"
        return "the default recipe is not"

    def _seeds(self, winner: str) -> str:
        fresh = repeated(self._study, winner)
        if not fresh:
            return "; not confirmed on a fresh seed"
        return f"; {_fresh(len(fresh))}: {', '.join(f'{job.score:.3f}' for job in fresh)}"

    def _said(self, trial: str) -> tuple[Verdict, ...]:
        """The claims about the winner; where that is the default, also the best rival's against it."""
        found = self._claims.of(trial)
        if trial == self._default and self._rivals:
            best = max(self._rivals, key=self._claims.score)
            found += (self._claims.verdicts[best, trial],)
        return found


def _fresh(count: int) -> str:
    return f"{count} fresh seed{'' if count == 1 else 's'}"
