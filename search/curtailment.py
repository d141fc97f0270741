"""Ends the scoring of a trial that cannot win any more: it is compared with the best trial, item by item.

Every scheduler that stops or pauses does so, beside what it decides at rungs.
"""

from __future__ import annotations

from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Steering
from tunewright.domain.study import Study
from tunewright.search.wilcoxon import WilcoxonRule


class Curtailing:
    """The part of a ``Scheduler`` that is asked while a trial's end is scored."""

    rule = WilcoxonRule()

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        """See ``Scheduler.compare``. The yardstick is scored whole, and so is whatever is no trial of the search.

        With further goals too: of trials that are not told apart any may win there.
        """
        assert study.task is not None, "a trial has a task"
        where = f"{paired.rows} of {paired.of} rows"
        if study.jobs[job].role != "trial" or job == study.default:
            return Steering(action="continue", reason="only trials of the search are stopped early, not the yardstick")
        if study.task.goals:
            return Steering(action="continue", reason="one that scores a little less may win by the other goals")
        if not self.rule.behind(paired.mine, paired.theirs, maximise=study.task.metric.direction == "max"):
            return Steering(action="continue", reason=f"not behind {paired.against} on {where}")
        mine, theirs = (sum(side) / paired.rows for side in (paired.mine, paired.theirs))
        said = f"mean item score {mine:.3g} against {theirs:.3g}, paired test p < {self.rule.p:g}"
        return Steering(action="stop", reason=f"behind {paired.against} on {where}: {said}")
