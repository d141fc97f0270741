"""The last block of a study: the answer, what it is worth, what it cost, and what to type next."""

from __future__ import annotations

import shlex

from tunewright.cli import words
from tunewright.cli.crash import censor
from tunewright.cli.line import LABEL, Line
from tunewright.domain.outcome import Completed
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary
from tunewright.domain.suppositions import standings
from tunewright.settings import Settings
from tunewright.tools.analysis.answer import claims, gain_shares, measurement_of
from tunewright.tools.analysis.front import front_table
from tunewright.tools.analysis.receipt import price_lines
from tunewright.tools.analysis.words import mix_words, recipe_words


def closing_lines(study: Study, summary: Summary, settings: Settings) -> list[Line]:
    """The finishing block; if nothing won, it says so in the same place and names no winner."""
    lines = _answer(study, summary) + _worth(study)
    lines.append(Line(words.spent_of(summary.spent, summary.budget), "spent"))
    report = settings.studies / study.name / "report.html"
    if report.is_file():
        lines.append(Line(str(report), "report"))
    if summary.winner and summary.best_run_id:
        lines.append(Line(f"tunewright reproduce {summary.best_run_id}", "again"))
        lines.append(Line(f"tunewright export {summary.best_run_id} ./{study.name}{_size(study, summary)}", "use"))
    return [*lines, Line(_where_runs_are(settings.mlflow_uri), "runs")]


def _where_runs_are(uri: str) -> str:
    """A server has its own page; a store needs one opened on it. Passwords stay off the screen."""
    uri = censor(uri, {})
    return uri if uri.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def _answer(study: Study, summary: Summary) -> list[Line]:
    if summary.winner is None:
        lines = [Line(f"none: {words.labelled(summary.reason)}", "winner", tone="bad")]
        if summary.best_trial is not None and summary.best_score is not None:
            head = f"{_run(study, summary.best_trial)}: {summary.best_score:.3f} on val"
            lines.append(Line(f"{head}{_against_base(summary)}", "best run"))
        return lines
    lines = [Line(f"{_run(study, summary.winner)}: {words.labelled(summary.reason)}", "winner", tone="good")]
    test, base = measurement_of(study.jobs.get("test")), summary.base_test_score
    if test is not None:
        beside = f"; base model {base:.3f}" if base is not None else ""
        lines.append(Line(f"{words.measured(test)} (read once, sealed until now){beside}", "test"))
    else:
        lines.append(Line("not read: the budget did not cover it", "test", tone="warn"))
    return lines


def _worth(study: Study) -> list[Line]:
    """The claims, how far chance moves a score, what it is trained on, and where the gain comes from, on validation
    data."""
    if study.finished is None:
        return []
    lines = _block("claims", [words.labelled(claim) for claim in claims(study)])
    if study.finished.noise is not None:
        lines.append(Line(study.finished.noise.says(), "noise"))
    supposed = [f"{one.supposition.claim.rstrip('.')}: {one.says()}" for one in standings(study)]
    lines += _block("supposed", [words.labelled(one) for one in supposed])
    winner, price = study.jobs.get(study.finished.winner or ""), _block("receipt", price_lines(study))
    if winner is None or winner.score is None:
        return lines + price
    mix = mix_words(study.recipe_of(winner.id).recipe, study.task) if study.task else ""
    gain = gain_words(study, winner)
    lines += [Line(mix, "mix")] if mix else []
    lines += [Line(gain, "gain")] if gain else []
    return lines + price + _front(study)


def _front(study: Study) -> list[Line]:
    """What else there is to choose from, where the brief has several goals."""
    table = front_table(study)
    if table is None:
        return []
    names = table.head[2:]
    said = [
        f"{words.labelled(row[0])}   " + ", ".join(f"{n} {v}" for n, v in zip(names, row[2:], strict=True))
        for row in table.rows
    ]
    return _block("front", said)


def _block(label: str, texts: list[str]) -> list[Line]:
    return [Line(text, indent=LABEL) if at else Line(text, label) for at, text in enumerate(texts)]


def gain_words(study: Study, winner: JobRecord) -> str:
    """``+0.721 on val = default 0.655, sampler 0.066``: each step of the best so far is its origin's doing."""
    base, task, shares = study.base.score if study.base else None, study.task, gain_shares(study)
    if base is None or task is None or winner.score is None or not shares:
        return ""
    said = [f"{origin} {share:.3f}" for origin, share in shares.items()]
    unused = "" if study.options.asks_models else " (no model in use)"
    return f"{task.metric.gain(winner.score, base):+.3f} on val = {', '.join(said)}{unused}"


def _against_base(summary: Summary) -> str:
    return f"; base model {summary.base_score:.3f}" if summary.base_score is not None else ""


def _run(study: Study, job: str) -> str:
    return f"{words.label(job)} {recipe_words(study.recipe_of(job).recipe)}"


def _size(study: Study, summary: Summary) -> str:
    outcome = study.jobs[summary.winner].outcome if summary.winner else None
    size = outcome.result.adapter_bytes if isinstance(outcome, Completed) else 0
    return f"   (PEFT folder, {words.file_size(size)})" if size else ""
