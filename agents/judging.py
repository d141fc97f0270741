"""Two jobs compared by the items that both have scored. Numbers come from code; nobody reports them."""

from __future__ import annotations

from pathlib import Path

from tunewright.domain.errors import DataError
from tunewright.domain.outcome import Item, Verdict
from tunewright.domain.study import Study


def judge(study: Study, folder: Path, trial: str, against: str) -> Verdict:
    """The paired comparison of two jobs on the rows both have scored, corrected for nothing."""
    from tunewright.tools.evaluation.registry import scorer
    from tunewright.tools.evaluation.statistics import compare

    assert study.task is not None
    mine, theirs, metric = read_items(folder, trial), read_items(folder, against), study.task.metric
    return compare(mine, theirs, metric=metric, scorer=scorer(metric.name), trial=trial, against_name=against)


def read_items(folder: Path, job: str) -> list[Item]:
    """The scored rows that a job left.

    Raises:
        DataError: the file is gone or damaged; its scores cannot be judged.
    """
    path = folder / "trials" / job / "out" / "items.jsonl"
    try:
        return [Item.model_validate_json(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"the per-item scores of {job} cannot be read from {path}", "restore the file") from error
