"""What a model believes of the settings, as a plan keeps it: best guesses and hypotheses, held against the space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tunewright.agents.planner.answer import HypothesisAnswer, PriorAnswer, ResultAnswer, SettingAnswer
from tunewright.agents.planner.changes import named
from tunewright.domain.change import Change
from tunewright.domain.frozen import Json
from tunewright.domain.prior import Prior
from tunewright.domain.proposal import Refutation, Supposition
from tunewright.domain.space import Choice, Dimension, Float, Int, Simplex, Space, among, is_number
from tunewright.domain.study import Study

RULES_SUPPOSITIONS = 3
"""Recalled lessons that a plan by rules puts to the test."""


@dataclass
class Beliefs:
    """What is kept of an answer's beliefs, and a note for each that is not."""

    priors: dict[str, Prior] = field(default_factory=dict)
    suppositions: list[Supposition] = field(default_factory=list)
    notes: list[Change] = field(default_factory=list)

    def guess(self, space: Space, answers: Sequence[PriorAnswer]) -> None:
        """Takes best guesses in: the first of a dimension, put back into its range."""
        for answer in answers:
            said, reason = f"guess {answer.name.strip()[:60]} {_said(answer.value)}", answer.reason.strip()
            kept, notes = False, [] if named(space, answer.name) else ["nothing of that name is searched"]
            for one in named(space, answer.name):
                value, note = _held(one, answer.value)
                taken = value is not None and one.name not in self.priors
                if taken:
                    self.priors[one.name] = Prior(name=one.name, value=value, weight=answer.confidence, reason=reason)
                kept |= taken
                notes += [note] if note else [] if taken else ["another guess of it stands"]
            if notes:
                fate = "repaired" if kept else "dropped"
                made = {"said": said, "fate": fate, "note": "; ".join(dict.fromkeys(notes)), "reason": reason}
                self.notes.append(Change.model_validate(made))

    def suppose(self, space: Space, answers: Sequence[HypothesisAnswer]) -> None:
        """Takes hypotheses in; one whose settings are not searched, or whose test cannot be made, is kept in words."""
        for answer in answers:
            settings, note = _settings(space, answer.settings)
            test = _test(answer.test) if settings is not None else None
            if answer.test is not None and test is None:
                why = note or "a gain is over base or t0, and a value is a number"
                made = {"said": f"test: {answer.claim.strip()}", "fate": "repaired", "note": f"kept in words: {why}"}
                self.notes.append(Change.model_validate(made))
            self.suppositions.append(
                Supposition(claim=answer.claim, settings=settings or {}, refuted_if=answer.refuted_if, test=test)
            )


def lessons_put_to_the_test(study: Study, space: Space) -> tuple[Supposition, ...]:
    """The hypotheses of a plan by rules: that what recalled lessons advise gains something here."""
    paths = {one.path for one in space.dimensions}
    recalled = [study.insights.memory[id] for id in study.insights.recalled or ()]
    useful = [one for one in recalled if one.lesson.advice and not one.dropped and paths >= one.lesson.advice.keys()]
    return tuple(
        Supposition(
            claim=f"after {one.id}: {one.lesson.claim}",
            settings=one.lesson.advice,
            refuted_if="no trial with its settings is better than t0",
            test=Refutation(quantity="gain", relation="<=", value=0.0, trial="t0"),
        )
        for one in useful[:RULES_SUPPOSITIONS]
    )


def _held(dimension: Dimension, value: Json) -> tuple[Json, str]:
    """The value as the dimension holds it, or None; and why it is another or none."""
    if isinstance(dimension, Float | Int) and is_number(value):
        near = min(max(value, dimension.low), dimension.high)
        near = round(near) if isinstance(dimension, Int) else float(near)
        return near, "" if near == value else f"{near:g} is the nearest that {dimension.name} has"
    if isinstance(dimension, Choice) and len(dimension.options) > 1 and among(value, dimension.options):
        return next(one for one in dimension.options if among(value, (one,))), ""
    if isinstance(dimension, Simplex) and isinstance(value, list) and len(value) == len(dimension.parts):
        total = sum(value) if all(is_number(one) and one >= 0 for one in value) else 0.0
        return ([one / total for one in value], "") if total > 0 else (None, "weights are numbers above 0")
    only = isinstance(dimension, Choice) and len(dimension.options) == 1
    return None, f"{dimension.name} is {dimension.says()}" + (" and nothing else" if only else "")


def _settings(space: Space, answers: Sequence[SettingAnswer]) -> tuple[dict[str, Json] | None, str]:
    """Recipe path -> value; None, and why, where one of them is nothing that is searched."""
    found: dict[str, Json] = {}
    for answer in answers:
        value = next((one for one in named(space, answer.name) if one.holds(answer.value)), None)
        if value is None:
            return None, f"no trial has {answer.name.strip()[:60]} {_said(answer.value)}"
        found[value.path] = answer.value
    return found, ""


def _test(answer: ResultAnswer | None) -> Refutation | None:
    if answer is None or not is_number(answer.value) or (answer.quantity == "gain" and answer.trial is None):
        return None
    return Refutation.model_validate(answer.model_dump())


def _said(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one:g}" for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)[:60]
