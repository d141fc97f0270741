"""The overfitting critic: was a trial better before its end, and did its training loss go on falling meanwhile."""

from __future__ import annotations

from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.levers import LENGTH
from tunewright.agents.reflection.rules import KIND
from tunewright.domain.finding import Finding
from tunewright.domain.lesson import Check, Lesson
from tunewright.domain.outcome import Completed
from tunewright.tools.analysis.curves import losses
from tunewright.tools.analysis.words import number_words

ROLE = "critic.overfitting"


def find(case: Case) -> Finding | None:
    """Fewer passes: as many as its best rung had."""
    trial = case.newest("overfitted")
    peak = _peak(case, trial) if trial is not None else None
    if trial is None or peak is None:
        return None
    step, value, end = peak
    mine = case.by_id[trial]
    lever = case.lever(trial, LENGTH)
    shorter = lever.times(step / end) if lever is not None else None
    kind = mine.get(KIND)
    length = f"{number_words(mine.get(lever.path))} {_word(lever.path)}" if lever is not None else "so many steps"
    claim = f"{length} overfit {kind} ({trial}): {value:.3f} at step {step}, {mine.score or 0:.3f} at the end"
    quantities = [KIND, "score", f"rung.{step}", *([lever.path] if lever is not None else [])]
    evidence = case.cite((trial,), *quantities)
    return Finding(
        by=ROLE,
        trials=(trial,),
        says=f"{claim}{_loss(case, trial, step)}",
        cause="too many passes",
        evidence=evidence,
        weight=0.85,
        edits={lever.path: shorter} if lever is not None and shorter is not None else {},
        parent=trial if trial == case.study.incumbent or (case.grades[trial].gain or -1) > 0 else None,
        lesson=Lesson(
            claim=claim,
            evidence=evidence,
            supporting=(trial,),
            confidence=0.5,
            check=Check(rule="overfits", about={"adapter": kind, "path": lever.path, "value": mine.get(lever.path)}),
            advice={lever.path: shorter} if shorter is not None else {},
        )
        if lever is not None
        else None,
    )


def facts(case: Case) -> list[str]:
    """Best rung and end of each trial, and how far its training loss fell."""
    found = []
    for trial in case.shown:
        peak = _peak(case, trial)
        if peak is not None:
            step, value, end = peak
            found.append(f"{trial}: best rung {value:.3f} at step {step} of {end}{_loss(case, trial, step)}")
    return found or ["no trial under discussion has a rung and an end to compare"]


def _peak(case: Case, trial: str) -> tuple[int, float, int] | None:
    """Step and score of the best rung, and the last step."""
    job = case.study.jobs[trial]
    final = job.outcome.result.measurement if isinstance(job.outcome, Completed) else None
    rungs = [one for one in job.measurements if final is not None and 0 < one.step < final.step]
    best = max(rungs, key=lambda one: case.sign * one.value, default=None)
    return (best.step, best.value, final.step) if best is not None and final is not None else None


def _loss(case: Case, trial: str, since: int) -> str:
    """How far the training loss fell after a step, where its curve is on disk."""
    curve = losses(case.folder, trial)
    before = [loss for step, loss in curve if step <= since]
    after = [loss for step, loss in curve if step > since]
    if not before or not after:
        return ""
    return f"; its training loss went from {before[-1]:.3f} to {after[-1]:.3f} meanwhile"


def _word(path: str) -> str:
    return "epochs" if path.endswith("epochs") else "steps"


CRITIC = Critic(ROLE, "critic_overfitting", find, facts)
