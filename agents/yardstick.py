"""The best trial's scores, row by row, beside those of a trial whose end is being scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewright.agents.judging import read_items
from tunewright.domain.errors import DataError
from tunewright.domain.outcome import Completed, Item, Measurement, PartialScore
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Scorer
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Scored


class Yardstick:
    """What candidates of one study are measured against; each trial's items are read once.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[float, ...]] = {}

    def pair(self, study: Study, job: str, scores: Sequence[float], of: int) -> Paired | None:
        """The first rows of ``job`` beside the best trial's; None if there is nothing to compare with.

        So it is if no trial has been scored on all of these rows yet, if its items are gone, or if the metric does not
        follow the mean of the items' scores: macro F1 over some rows says little of it over all.
        """
        best = study.best()
        if best is None or best.id == job or _scorer(study) is None or not scores:
            return None
        theirs = self._scores(best.id)
        assert isinstance(best.outcome, Completed) and best.outcome.result.measurement is not None
        if len(theirs) != of or best.outcome.result.measurement.rows != of:
            return None
        return Paired(against=best.id, mine=tuple(scores), others=theirs)

    def partial(self, study: Study, paired: Paired, *, step: int, seconds: float) -> PartialScore:
        """What a trial that is stopped with ``paired`` has scored, and what it would have."""
        from tunewright.tools.evaluation.statistics import metric_interval

        scorer = _scorer(study)
        assert scorer is not None, "what was paired has a metric that follows the mean"
        items = _items(paired.mine)
        low, high = metric_interval(items, scorer)
        estimate = scorer.aggregate(_items([paired.estimate]))  # it depends on the mean alone
        measurement = Measurement(
            value=scorer.aggregate(items), rows=paired.rows, step=step, seconds=seconds, low=low, high=high
        )
        return PartialScore(measurement=measurement, of=paired.of, against=paired.against, estimate=estimate)

    def _scores(self, job: str) -> tuple[float, ...]:
        if job not in self._known:
            try:
                self._known[job] = tuple(item.score for item in read_items(self._folder, job))
            except DataError:
                self._known[job] = ()
        return self._known[job]


class Scoring:
    """The scores of one attempt, as its job tells them."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._step = -1

    def take(self, one: Scored) -> list[float]:
        """All so far; nothing if some are missing, which no later event mends."""
        if one.first == 0:
            self._scores, self._step = [], one.step
        if one.step != self._step or one.first != len(self._scores) or one.first + len(one.scores) > one.of:
            self._step = -1
            return []
        self._scores += one.scores
        return self._scores


def _scorer(study: Study) -> Scorer | None:
    """Of the study's metric, if that follows the mean of the items' scores."""
    from tunewright.tools.evaluation.registry import scorer
    from tunewright.tools.evaluation.scorer import follows_mean

    found = scorer(study.task.metric.name) if study.task is not None else None
    return found if found is not None and follows_mean(found) else None


def _items(scores: Sequence[float]) -> list[Item]:
    return [Item(id=str(number), score=score, prediction="", target="") for number, score in enumerate(scores)]
