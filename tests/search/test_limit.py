"""Every limit of a brief reaches the sampler as a share by which it is passed."""

from __future__ import annotations

import pytest
from tests.stories import Story, planned, space, task

from tunewright.domain import event as ev
from tunewright.domain.outcome import Verdict
from tunewright.domain.task import Constraint
from tunewright.search.history import History
from tunewright.search.limit import excess
from tunewright.search.standing import LIMITS, Standings


def judged(story: Story, trial: str, over: float | None) -> None:
    verdict = Verdict(
        trial=trial, against="base", answer="better", gain=0.1, low=0.05, high=0.15, rows=304, method="told"
    )
    story.tell(ev.Judged(at=story.tick(), verdict=verdict, incumbent=trial, group_excess=over))


@pytest.mark.parametrize(
    ("limit", "share"),
    [
        (Constraint(quantity="latency_s", relation="<=", value=0.005), 3.0 / 304 / 0.005 - 1),
        (Constraint(quantity="seconds", relation="<=", value=120.0), -0.5),
        (Constraint(quantity="train_s", relation=">=", value=102.0), 0.5),
        (Constraint(quantity="adapter_bytes", relation="<=", value=1_640_000), 0.5),
        (Constraint(quantity="label_loss", relation="<=", value=0.02), None),
    ],
)
def test_a_limit_on_anything_measured_is_told(limit: Constraint, share: float | None) -> None:
    story = Story(space=space(), task=task(constraints=(limit,)))
    (job,) = story.propose([planned(story)])
    assert excess(story.study, job) is None, "nothing is measured yet"
    story.run(job, 0.7)
    assert excess(story.study, job) == (None if share is None else pytest.approx(share))


def test_what_a_group_loses_is_told_once_the_trial_is_judged_and_the_worst_limit_counts() -> None:
    limits = (
        Constraint(quantity="label_loss", relation="<=", value=0.02),
        Constraint(quantity="adapter_bytes", relation="<=", value=4_920_000),
    )
    story = Story(space=space(), task=task(constraints=limits))
    told, history = Standings(), History(space())
    (job,) = story.propose([planned(story)])
    story.run(job, 0.7)

    def now() -> float:
        (entry,) = history.entries(story.study)
        trial = told.of(story.study, entry).as_trial(entry.point, space(), user_attrs={})
        return float(trial.constraints[LIMITS])

    assert now() == pytest.approx(-0.5)
    judged(story, job, 1.5)
    assert now() == pytest.approx(1.5), "a fact that came after the end"
    judged(story, job, -0.9)
    assert now() == pytest.approx(-0.5)
