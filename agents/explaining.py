"""Where a trial's gain or loss came from. Facts are code's; a language model may say what they come to, and each of its
sentences has to cite facts that have its numbers, else it is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tunewright.agents.judging import read_items
from tunewright.agents.prompt import concerning, render
from tunewright.agents.reflection.check import unsupported
from tunewright.agents.reflection.grade import rung_noise
from tunewright.domain import event as ev
from tunewright.domain.errors import BrainError, BudgetError, DataError
from tunewright.domain.finding import Fact, Sentence
from tunewright.domain.outcome import Completed, Item, Verdict
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study
from tunewright.tools.analysis.gains import Part, flips, malformed, mean_length, parts, wrong_ids

ROLE = "evaluator"
_EACH = 3
"""Slices that are told on each side."""
_MOST = 5
"""Sentences of an explanation."""
_LABELS = 100
_LONGER = 1.2
"""Times as long on average, from where on answers are called longer."""


_UP = {
    "better": "The gain came most from",
    "worse": "The loss was softened by",
    "undecided": "It won most on",
}
_DOWN = {
    "better": "The gain was held back by",
    "worse": "The loss came most from",
    "undecided": "It lost most on",
}


class SentenceAnswer(BaseModel):
    """One sentence of the explanation."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    says: str = Field(min_length=1, max_length=300, description="One sentence; its numbers are copied from the facts.")
    cites: list[str] = Field(min_length=1, max_length=6, description="Ids of the facts it rests on, such as f2.")


class ExplanationAnswer(BaseModel):
    """Where the gain or loss came from."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sentences: list[SentenceAnswer] = Field(max_length=_MOST, description="The weightiest first; may be empty.")


def explain(
    study: Study,
    folder: Path,
    verdict: Verdict,
    brain: Brain | None,
    warn: Callable[[str], None] = lambda message: None,
) -> ev.Explained:
    """The explanation of a verdict. A language model is asked only where the trial is better beyond noise.

    Args:
        folder: the study's.
        brain: of the evaluator; None for the rules.
        warn: is told in one line what was of no use.

    Raises:
        PauseError: a language model cannot be reached.
    """
    facts = facts_of(study, folder, verdict)
    sentences, by = by_rules(facts, verdict), "rules"
    if brain is not None and verdict.answer == "better":
        said = _asked(study, facts, verdict, brain, warn)
        if said:
            sentences, by = said, brain.name
    return ev.Explained(trial=verdict.trial, against=verdict.against, facts=tuple(facts), sentences=sentences, by=by)


def facts_of(study: Study, folder: Path, verdict: Verdict) -> list[Fact]:
    """What code can say of a verdict, numbered. Rows that cannot be read leave the verdict's own numbers alone."""
    assert study.task is not None
    told: list[tuple[str, str]] = [("gain", f"{verdict.trial} is {verdict.says()}")]
    try:
        mine, theirs = read_items(folder, verdict.trial), read_items(folder, verdict.against)
    except DataError:
        mine, theirs = [], []
    sign = study.task.metric.sign
    changed = flips(mine, theirs, sign=sign)
    if changed is not None:
        told.append(
            (
                "gain",
                f"{changed.won} rows are right now that {verdict.against} had wrong, and {changed.lost} are wrong now "
                f"that it had right, of {changed.rows}",
            )
        )
    told += [("slice", one.says()) for one in _slices(study, folder, mine, theirs)]
    told += _forgotten(study, folder, mine, sign)
    told += _overfitted(study, verdict)
    told += _lengths(study, verdict, mine, theirs)
    labels = study.task.labels if study.task.format == "label" else ()
    bad, before = malformed(mine, labels), malformed(theirs, labels)
    if bad or before:
        told.append(("form", f"{bad} answers have no valid form, {before} of {verdict.against}"))
    return [Fact(id=f"f{number}", topic=topic, says=says) for number, (topic, says) in enumerate(told, start=1)]


def by_rules(facts: Sequence[Fact], verdict: Verdict) -> tuple[Sentence, ...]:
    """The facts as sentences, the gain first, then what it came from."""
    found = [Sentence(says=f"{facts[0].says}.", cites=(facts[0].id,))]
    slices = [one for one in facts if one.topic == "slice"]
    up, down = ([one for one in slices if sign in one.says] for sign in ("(+", "(-"))
    for ones, said in ((up, _UP[verdict.answer]), (down, _DOWN[verdict.answer])):
        if ones:
            found.append(Sentence(says=f"{said} {ones[0].says}.", cites=(ones[0].id,)))
    for topic in ("forgetting", "overfitting", "length", "form"):
        found += [Sentence(says=f"{_capital(one.says)}.", cites=(one.id,)) for one in facts if one.topic == topic][:1]
    return tuple(found[:_MOST])


def explanation_prompt(study: Study, facts: Sequence[Fact], verdict: Verdict) -> str:
    """The question to a language model. Names of slices are data, so facts are quoted."""
    return render("explain", task=study.task, trial=verdict.trial, against=verdict.against, facts=facts)


def _asked(
    study: Study, facts: Sequence[Fact], verdict: Verdict, brain: Brain, warn: Callable[[str], None]
) -> tuple[Sentence, ...]:
    try:
        prompt = concerning(explanation_prompt(study, facts, verdict), verdict.trial)
        answer = brain.structured(ROLE, prompt, ExplanationAnswer)
    except (BrainError, BudgetError) as error:
        warn(f"no explanation from {brain.name}: {error.message}")
        return ()
    known = {one.id: one for one in facts}
    kept: list[Sentence] = []
    for one in answer.sentences:
        missing = [id for id in one.cites if id not in known]
        wrong = [f"there is no fact {missing[0]}"] if missing else []
        wrong = wrong or unsupported(one.says, [known[id].says for id in one.cites])
        if wrong:
            warn(f"a sentence of {brain.name} on {verdict.trial} was dropped: {wrong[0]}")
        else:
            kept.append(Sentence(says=one.says, cites=tuple(dict.fromkeys(one.cites))))
    return tuple(kept)


def _slices(study: Study, folder: Path, mine: Sequence[Item], theirs: Sequence[Item]) -> list[Part]:
    """Those that add most to the difference, and those that take most away."""
    from tunewright.tools.data.rows import load_rows

    assert study.task is not None
    if not mine or not theirs:
        return []
    try:
        rows = load_rows(folder / "data" / "val.jsonl")
    except DataError:
        rows = []
    found = parts(
        mine,
        theirs,
        {row["id"]: row["input"] for row in rows},
        sign=study.task.metric.sign,
        labelled=study.task.format == "label" and len(study.task.labels) <= _LABELS,
        sources={row["id"]: row["source"] for row in rows},
    )
    won = [one for one in reversed(found) if one.gain > 0][:_EACH]
    lost = [one for one in found if one.gain < 0][:_EACH]
    return won + lost


def _forgotten(study: Study, folder: Path, mine: Sequence[Item], sign: float) -> list[tuple[str, str]]:
    """Rows that the untouched model has right and this one wrong."""
    try:
        base = read_items(folder, "base")
    except DataError:
        return []
    changed = flips(mine, base, sign=sign)
    if changed is None or not changed.lost:
        return []
    knew = changed.rows - len(wrong_ids(base, sign))
    return [("forgetting", f"{changed.lost} of the {knew} rows that the untouched model has right are wrong now")]


def _overfitted(study: Study, verdict: Verdict) -> list[tuple[str, str]]:
    assert study.task is not None
    job = study.jobs[verdict.trial]
    final = job.outcome.result.measurement if isinstance(job.outcome, Completed) else None
    rungs = [one for one in job.measurements if final is not None and 0 < one.step < final.step]
    if final is None or not rungs:
        return []
    sign, eps = study.task.metric.sign, (verdict.high - verdict.low) / 2
    best = max(rungs, key=lambda one: sign * one.value)
    if sign * (best.value - final.value) <= rung_noise(eps, final, best):
        return []
    return [
        (
            "overfitting",
            f"it was better on the way: {best.value:.3f} at step {best.step}, {final.value:.3f} at the end",
        )
    ]


def _lengths(study: Study, verdict: Verdict, mine: Sequence[Item], theirs: Sequence[Item]) -> list[tuple[str, str]]:
    if verdict.at_equal_length is None or not mine or not theirs:
        return []
    own, other = mean_length(mine), mean_length(theirs)
    gain, low, high = verdict.at_equal_length
    longer = own > _LONGER * other or other > _LONGER * own
    said = f"answers are {own:.0f} characters long on average, those of {verdict.against} {other:.0f}"
    equal = f"at equal length the gain is {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
    return [("length", f"{said}; {equal}" if longer else equal)]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
