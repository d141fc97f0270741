"""The answer of a study: who won, what it is worth against the base model, where the gain came from, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewright.domain.budget import CURRENCIES
from tunewright.domain.outcome import Completed, Measurement
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary, summarise
from tunewright.tools.analysis.words import amount_words, mix_words, recipe_words, size_words

_UNITS = {"wall_s": "wall time", "device_s": "device time", "trials": "trials"}
_LABELS = {"winner": "", "no-winner": "best run: "}
CURRENCY_NAMES = {
    "wall_s": "Wall time",
    "device_s": "Device time",
    "usd": "US dollars",
    "llm_tokens": "LLM tokens",
    "trials": "Trials",
}


@dataclass(frozen=True)
class Bar:
    """One currency: spent, and of how much if it is capped."""

    name: str
    spent: str
    cap: str
    share: float | None
    """Of the cap; None where there is none."""
    unit: str = ""
    """What follows an amount in a sentence, where the amount does not say it itself."""


@dataclass(frozen=True)
class Answer:
    """What stands at the top of the report."""

    state: str
    """``winner``, ``no-winner``, or what keeps the study from its end."""
    headline: str
    reason: str
    label: str
    """What ``best`` is: the winner, the best so far, or the best run where nothing won."""
    best: str
    """The winner's recipe in words, or the best trial's where there is no winner."""
    figures: tuple[tuple[str, str, str], ...]
    """Label, number and small print, the most important first."""
    gain: tuple[tuple[str, str], ...] = ()
    """Where the gain over the base model came from: who, and how much."""
    claims: tuple[str, ...] = ()
    """What may be said of the winner, against the base model and the default: corrected for all comparisons."""
    noise: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    """What it is for, and what to type."""
    bars: tuple[Bar, ...] = field(default=())


def answer(study: Study) -> Answer:
    """The answer, from the journal alone."""
    summary = summarise(study)
    best = study.jobs.get(summary.winner or summary.best_trial or "")
    return Answer(
        state=summary.state,
        headline=_headline(study, summary, best),
        reason=summary.reason or study.search_ended or _unfinished(summary),
        label=_LABELS.get(summary.state, "best so far: "),
        best=recipe_words(study.recipe_of(best.id).recipe) if best else "",
        figures=tuple(_figures(study, summary, best)),
        gain=tuple((who, f"{share:+.3f}") for who, share in gain_shares(study).items()),
        claims=tuple(claims(study)),
        noise=summary.noise.says() if summary.noise is not None else "",
        commands=tuple(_commands(study, summary, best)),
        bars=tuple(_bars(study)),
    )


def gain_shares(study: Study) -> Mapping[str, float]:
    """Origin -> what its trials added to the best score, from the base model to the winner, on validation data.

    Each step of the best so far is its proposer's doing. Empty without a winner.
    """
    winner = study.jobs.get(study.finished.winner or "") if study.finished else None
    base, task = study.base.score if study.base else None, study.task
    if winner is None or winner.score is None or base is None or task is None:
        return {}
    shares, best = {"default": 0.0, "sampler": 0.0, "planner": 0.0}, base
    for job in study.trials:
        # A trial beyond the winner was not told apart from it, so it gained nothing.
        within = job.score is not None and task.metric.gain(winner.score, job.score) >= 0
        within = within and job.id not in study.barred
        if job.score is not None and within and task.metric.better(job.score, best):
            origin = study.recipe_of(job.id).idea.origin
            shares[origin] = shares.get(origin, 0.0) + task.metric.gain(job.score, best)
            best = job.score
    return shares


def claims(study: Study) -> list[str]:
    """Such as ``t4 is better than t0 by 0.046 [0.013, 0.079], 304 items, 2 fresh seeds``, the base model first."""
    said = [f"{one.trial} is {one.says()}" for one in study.finished.verdicts] if study.finished else []
    if not said or study.finished is None:
        return []
    counted = study.finished.verdicts[0].comparisons
    corrected = f" (corrected for {counted} comparisons)" if counted > 1 else ""
    return [*said[:-1], f"{said[-1]}{corrected}"]


def measurement_of(job: JobRecord | None) -> Measurement | None:
    """The final measurement of a completed job."""
    return job.outcome.result.measurement if job is not None and isinstance(job.outcome, Completed) else None


def _headline(study: Study, summary: Summary, best: JobRecord | None) -> str:
    if summary.state == "no-winner":
        return "There is no winner"
    if summary.state != "winner":
        return "The study has not ended" + (f"; {best.id} is the best so far" if best else "")
    test, base = measurement_of(study.jobs.get("test")), measurement_of(study.jobs.get("test-base"))
    if test is None:
        return f"{summary.winner} is the winner; the sealed test was not read"
    against = f", the base model {base.value:.3f}" if base is not None else ""
    return f"{summary.winner} wins: {summary.metric} {test.value:.3f} on the sealed test{against}"


def _unfinished(summary: Summary) -> str:
    waiting = f"it waits for a review of {', '.join(summary.waiting_for)}" if summary.waiting_for else summary.state
    return f"{waiting}; go on with: {summary.next}"


def _figures(study: Study, summary: Summary, best: JobRecord | None) -> list[tuple[str, str, str]]:
    metric = summary.metric or "score"
    figures: list[tuple[str, str, str]] = []
    test, base_test = measurement_of(study.jobs.get("test")), measurement_of(study.jobs.get("test-base"))
    if test is not None:
        small = f"{_interval(test)} on {test.rows} sealed items, read once"
        figures.append((f"Test {metric}", f"{test.value:.3f}", small))
    if base_test is not None:
        figures.append(("Base model, same test", f"{base_test.value:.3f}", _interval(base_test)))
    val, base = measurement_of(best), measurement_of(study.base)
    if val is not None and best is not None:
        figures.append(
            (f"Validation {metric} of {best.id}", f"{val.value:.3f}", f"{_interval(val)} on {val.rows} items")
        )
    if base is not None and base_test is None:
        figures.append(("Base model, validation", f"{base.value:.3f}", _interval(base)))
    if best is not None and isinstance(best.outcome, Completed) and best.outcome.result.adapter_bytes:
        size = best.outcome.result
        figures.append(("Adapter", size_words(size.adapter_bytes), f"{size.trainable_parameters:,} trained parameters"))
    mix = mix_words(study.recipe_of(best.id).recipe, study.task) if best is not None and study.task else ""
    if mix:
        figures.append(("Mix", mix, "shares of what it is trained on"))
    bars = _bars(study)
    if bars:
        figures.append(("Spent", bars[0].spent, _spent(bars[0], bars[1:])))
    return figures


def _spent(first: Bar, rest: list[Bar]) -> str:
    capped = f"of {first.cap} {first.unit}" if first.share is not None else first.unit
    return ", ".join(
        [capped, *(f"{bar.spent} of {bar.cap} {bar.unit}".strip() for bar in rest if bar.share is not None)]
    )


def _interval(measurement: Measurement) -> str:
    low, high = measurement.low, measurement.high
    return f"[{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""


def _commands(study: Study, summary: Summary, best: JobRecord | None) -> list[tuple[str, str]]:
    run = study.runs.get(best.id) if best else None
    if summary.state not in ("winner", "no-winner"):
        return [("go on", summary.next)]
    if run is None or best is None:
        return []
    if summary.winner is None:
        return [("reproduce the best run", f"tunewright reproduce {run}")]
    take = f"tunewright export {run} ./{study.name}"
    return [("reproduce it", f"tunewright reproduce {run}"), ("take it with you", take)]


def _bars(study: Study) -> list[Bar]:
    """Every capped currency; of the others, those that were spent."""
    spent, bars = study.spent(study.seen_at), []
    for name in CURRENCIES:
        cap, amount = getattr(study.budget, name, None), getattr(spent, name)
        if cap is not None or amount:
            said = amount_words(name, cap) if cap is not None else "no cap"
            share = amount / cap if cap else None
            bars.append(Bar(CURRENCY_NAMES[name], amount_words(name, amount), said, share, _UNITS.get(name, "")))
    return bars
