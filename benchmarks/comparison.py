"""Adapters side by side on one real task: one study that tries each once at its defaults, told as a table.

The task is ``examples/routing`` (750 messages, 20 topics); every trial sees the same rows in the same order for the
same number of steps. Equal steps and default settings: a first impression of each method on small data, and no
verdict on what it reaches when its own settings are searched.

    python benchmarks/comparison.py [--model smollm2-135m] [--minutes 60] [--kinds lora dora ...] [--write FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import tunewright as tw
from tunewright.domain.event import StudyOptions
from tunewright.domain.outcome import Completed
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.settings import Settings
from tunewright.tools.analysis.words import size_words
from tunewright.tools.training.registry import adapters

DATA = Path(__file__).parents[1] / "examples" / "routing" / "data" / "messages.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--kinds", nargs="*", default=adapters())
    parser.add_argument("--write", type=Path, help="a Markdown file to write the table to")
    given = parser.parse_args()
    kinds = ", ".join(given.kinds)
    brief = (
        f"Teach {given.model} to route the messages in {DATA} (field label) to their topic. Maximise accuracy. "
        f"Adapters: {kinds}. At most {given.minutes} minutes and {len(given.kinds)} trials."
    )
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        summary = tw.run(brief, options=StudyOptions(review="never", pruner="none"), settings=settings, observer=say)
        text = table(tw.load(summary.study, settings=settings), given.model)
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


def say(one: object) -> None:
    """A line for every event that a person would want to see while it runs."""
    print(type(one).__name__, getattr(one, "job", ""), flush=True)


def table(study: Study, model: str) -> str:
    """Markdown: every trial, best first; what could not run, with its reason."""
    assert study.base is not None and study.task is not None and study.data is not None
    done = sorted(
        (job for job in study.trials if isinstance(job.outcome, Completed)), key=lambda job: -(job.score or 0)
    )
    steps = {job.outcome.result.steps for job in done if isinstance(job.outcome, Completed)}
    lines = [
        "# Adapters on one task",
        "",
        f"`benchmarks/comparison.py`: {model} on `examples/routing` ({study.data.train.rows} training rows, "
        f"{study.data.val.rows} in val, {len(study.task.labels)} topics), {min(steps, default=0)} steps each at the "
        "method's default settings and learning rate, one seed. The untouched model scores "
        f"{study.base.score or 0:.3f}. Intervals are 95 %: most neighbours in this table are not told apart by it.",
        "",
        "| adapter | accuracy on val | 95 % | trained parameters | on disk | seconds a step | peak GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [row(study, job) for job in done]
    failed = [job for job in study.trials if job not in done]
    rejected = [
        (study.recipe_of(name), decision) for name, decision in study.decisions.items() if decision.action == "reject"
    ]
    if failed or rejected:
        lines += ["", "Not in the table:", ""]
        lines += [f"- {kind_of(study, job.id)}: {why(job)}" for job in failed]
        lines += [f"- {one.idea.recipe.stages[0].adapter.kind}: {decision.reason}" for one, decision in rejected]
    return "\n".join(lines) + "\n"


def row(study: Study, job: JobRecord) -> str:
    assert isinstance(job.outcome, Completed) and job.outcome.result.measurement is not None
    result, found = job.outcome.result, job.outcome.result.measurement
    cells = (
        kind_of(study, job.id),
        f"{found.value:.3f}",
        f"{found.low:.3f} to {found.high:.3f}" if found.low is not None and found.high is not None else "",
        f"{result.trainable_parameters:,}",
        size_words(result.adapter_bytes),
        f"{result.train_s / max(1, result.steps):.2f}",
        f"{result.peak_memory_gib:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def kind_of(study: Study, job_id: str) -> str:
    return study.recipe_of(job_id).recipe.stages[0].adapter.kind


def why(job: JobRecord) -> str:
    fault = getattr(job.outcome, "fault", None)
    return fault.message if fault is not None else getattr(job.outcome, "reason", "not finished")


if __name__ == "__main__":
    main()
