"""The report: Markdown and one self-contained HTML page with the same facts, from the journal and the study's files.

What it shows of the data is untrusted: the page escapes everything, and the Markdown defuses markup. The sealed
test is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.path import label
from tunewright.domain.plain import visible
from tunewright.domain.study import Study
from tunewright.tools.analysis import charts
from tunewright.tools.analysis.answer import answer
from tunewright.tools.analysis.configuration import Table, configuration, day
from tunewright.tools.analysis.front import front_table
from tunewright.tools.analysis.learning import lesson_rows, meetings
from tunewright.tools.analysis.lineage import WHOLE, tree
from tunewright.tools.analysis.questions import question_rows
from tunewright.tools.analysis.receipt import receipt_lines, receipt_rows
from tunewright.tools.analysis.runs import forecasts, origins, reviews, runs
from tunewright.tools.analysis.slices import confusions, label_scores, read_inputs, read_items, worst_items
from tunewright.tools.analysis.words import number_words

TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    study: Study,
    folder: Path,
    *,
    importance: Mapping[str, float],
    facts: Mapping[str, str] | None = None,
    sections: Sequence[Table] = (),
) -> tuple[Path, Path]:
    """Writes ``report.md`` and ``report.html`` into ``folder``; may be called at any time, also on an unfinished study.

    Args:
        folder: the study's: ``data/val.jsonl`` and ``trials/<job>/out/`` are read where they are there.
        importance: setting -> share of the score's variance, as ``search.importance`` gives it.
        facts: what else is known of machine and sandbox, for the appendix.
        sections: what else the team said, and whether it was right.

    Returns:
        The two files, Markdown first.
    """
    page = _page(study, folder, importance, facts or {}) | {"sections": sections}
    markdown, html = folder / "report.md", folder / "report.html"
    folder.mkdir(parents=True, exist_ok=True)
    _replace(markdown, _environment(escape=False).get_template("report.md").render(page))
    _replace(html, _environment(escape=True).get_template("report.html").render(page))
    return markdown, html


def _page(study: Study, folder: Path, importance: Mapping[str, float], facts: Mapping[str, str]) -> dict[str, Any]:
    best = study.jobs.get(study.finished.winner or "") if study.finished else None
    best = best or study.best()
    items = read_items(folder, best.id) if best else []
    labelled = study.task is not None and study.task.format == "label"
    inputs = read_inputs(folder) if items else {}
    direction = study.task.metric.direction if study.task else "max"
    return {
        "study": study,
        "answer": answer(study),
        "questions": question_rows(study),
        "metric": study.task.metric.name if study.task else "score",
        "begun": day(study.created.at) if study.created else "",
        "progress_chart": charts.best_so_far(study),
        "loss_chart": charts.loss_chart(study, folder),
        "rung_chart": charts.rung_chart(study),
        "tree": tree(study),
        "tree_folded": len(study.proposals) > WHOLE,
        "front": front_table(study),
        "runs": runs(study),
        "origins": origins(study),
        "receipt": receipt_lines(study),
        "receipt_rows": receipt_rows(study),
        "forecasts": forecasts(study),
        "importance": list(importance.items()),
        "scored": sum(job.score is not None for job in study.trials),
        "best": best.id if best else "",
        "wrong": sum(item.prediction != item.target for item in items) if labelled else 0,
        "items": len(items),
        "confusions": confusions(items, inputs) if labelled else [],
        "labels": label_scores(items) if labelled else [],
        "worst": [] if labelled else worst_items(items, inputs, direction),
        "lessons": lesson_rows(study),
        "meetings": meetings(study),
        "reviews": reviews(study),
        "steered": [(job.id, said) for job in study.trials for said in job.steered if said.action != "continue"],
        "configuration": configuration(study, facts),
    }


def _environment(*, escape: bool) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {"plain": _plain, "label": label, "number": number_words}
    return environment


def _shown(value: Any) -> Any:
    """What others wrote, with its control characters shown; ``Markup`` stays ``Markup``."""
    if hasattr(value, "__html__"):
        return type(value)(visible(str(value)))
    return visible(value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    """One line of text that Markdown shows as it is, inside a table too."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
