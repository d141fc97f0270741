"""The risk manager stands around a scheduler: it stops more and lets nothing go on that the other stopped."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.scheduler import SchedulerSuite, begun, reach, settled
from tests.stories import Story, planned

from tunewright.agents.risk.manager import STOP_LOSS, RiskManager, lines_at
from tunewright.domain import event as ev
from tunewright.domain.event import Style
from tunewright.domain.outcome import Measurement
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Promotion, Scheduler, Steering
from tunewright.domain.study import Study
from tunewright.search.pruning import NoScheduler, open_scheduler


class AroundMedian(RiskManager):
    def __init__(self) -> None:
        super().__init__(open_scheduler("median"))


class AroundPromising(RiskManager):
    def __init__(self) -> None:
        super().__init__(open_scheduler("promising"))


class TestAroundMedian(SchedulerSuite):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return AroundMedian()


class TestAroundPromising(SchedulerSuite):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return AroundPromising()


def played(style: Style = "balanced", *finals: float, direction: str = "max") -> Story:
    """A base, trials that scored so at their ends, 0.2 less at the first rung, and the best of them the incumbent."""
    story = begun(direction=direction)
    story.launch("base", role="base")
    story.complete("base", 0.05 if direction == "max" else 0.95)
    story.tell(ev.StyleChanged(at=story.tick(), style=style, reason="a test"))
    for final in finals or (0.5, 0.6, 0.7, 0.6, 0.8):
        settled(story, NoScheduler(), final if direction == "max" else 1 - final)
        story.judge(story.study.trials[-1].id, story.study.incumbent or "base")
    return story


@pytest.mark.parametrize("style", ["explore", "balanced", "exploit"])
def test_what_is_below_the_line_is_stopped_and_what_is_not_goes_on(style: Style) -> None:
    story = played(style)
    job, _ = reach(story, NoScheduler())
    lines = lines_at(story.study, job, story.measure(job, 25, 0.3))
    assert lines is not None and lines.incumbent == pytest.approx(0.6) and lines.sigma > 0.05
    assert lines.loss == pytest.approx(lines.incumbent - STOP_LOSS[style] * lines.sigma)
    manager = RiskManager(NoScheduler())
    below, above = (story.measure(job, 25, lines.loss + step) for step in (-0.01, 0.01))
    told = manager.decide(story.study, job, below)
    assert told.action == "stop" and "below the stop-loss" in told.reason and style in told.reason
    assert manager.decide(story.study, job, above).action == "continue"


def test_exploiting_is_stricter_than_exploring() -> None:
    lines = [lines_at(story.study, "t9", at(0.3)) for story in map(played, ("explore", "balanced", "exploit"))]
    losses = [one.loss for one in lines if one is not None]
    assert losses == sorted(losses) and len(set(losses)) == 3


def at(value: float, *, rows: int = 100, rung: int = 0) -> Measurement:
    return Measurement(value=value, rows=rows, step=(25, 75)[rung], rung=rung, seconds=1)


def test_where_less_is_better_what_is_above_the_line_is_stopped() -> None:
    story = played("balanced", direction="min")
    job, _ = reach(story, NoScheduler())
    manager = RiskManager(NoScheduler())
    assert manager.decide(story.study, job, story.measure(job, 25, 1.9)).action == "stop"
    assert manager.decide(story.study, job, story.measure(job, 25, 0.02)).action == "continue"


def test_sigma_is_never_below_the_noise_of_a_measurement() -> None:
    story = played("balanced", 0.8, 0.8, 0.8, 0.8)
    lines = lines_at(story.study, "t9", at(0.5))
    assert lines is not None and lines.sigma == pytest.approx(0.05), "of 100 rows, half of them right"


def test_without_an_incumbent_at_the_rung_or_on_other_rows_nothing_is_stopped() -> None:
    story = played("exploit")
    assert lines_at(story.study, "t9", at(0.01, rows=304)) is None
    nothing = begun()
    settled(nothing, NoScheduler(), 0.5, 0.6, 0.7)
    assert lines_at(nothing.study, "t9", at(0.01)) is None, "nobody beat the base model yet"


def test_far_above_and_no_longer_rising_waits_once_where_the_scheduler_may_pause() -> None:
    story = played("explore")
    job, _ = reach(story, NoScheduler(), 0.97)
    flat = story.measure(job, 75, 0.97)
    told = RiskManager(Fixed("continue", pauses=True)).decide(story.study, job, flat)
    assert told.action == "pause" and "no longer better" in told.reason
    assert RiskManager(NoScheduler()).decide(story.study, job, flat).action == "continue"
    story.tell(ev.JobPromoted(at=story.tick(), job=job, reason="go on"))
    assert RiskManager(Fixed("continue", pauses=True)).decide(story.study, job, flat).action == "continue"
    rising, _ = reach(story, NoScheduler(), 0.7)
    told = RiskManager(Fixed("continue", pauses=True)).decide(story.study, rising, story.measure(rising, 75, 0.99))
    assert told.action == "continue"


class Fixed:
    """A scheduler with one answer."""

    def __init__(self, action: str, *, pauses: bool = False) -> None:
        self.pauses, self._action = pauses, action

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        return Steering.model_validate({"action": self._action, "reason": "as it is"})

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        return Steering.model_validate({"action": self._action, "reason": "as it is"})

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        return Promotion(job="t1", reason="closing" if closing else "open")


@settings(max_examples=40, deadline=None)
@given(
    action=st.sampled_from(["continue", "pause", "stop"]),
    value=st.floats(0, 1),
    style=st.sampled_from(["explore", "balanced", "exploit"]),
    pauses=st.booleans(),
)
def test_what_the_other_ended_stays_ended_and_the_rest_is_the_others(
    action: str, value: float, style: Style, pauses: bool
) -> None:
    story, inner = played(style), Fixed(action, pauses=pauses)
    (job,) = story.propose([planned(story)])
    story.launch(job)
    manager = RiskManager(inner)
    told = manager.decide(story.study, job, story.measure(job, 25, value))
    assert told.action == action or (action == "continue" and told.action in ("stop", "pause")[: 1 + pauses])
    paired = Paired(against="t0", mine=(1.0,), others=(1.0, 0.0))
    assert manager.compare(story.study, job, paired) == inner.compare(story.study, job, paired)
    assert manager.promote(story.study, closing=True) == inner.promote(story.study, closing=True)
    assert manager.pauses is pauses
