"""A longer bill has to be earned, where the user says so."""

from __future__ import annotations

import pytest
from tests import stories

from tunewright.agents.brief.text import Text
from tunewright.agents.brief.worth import read_rate
from tunewright.agents.worth import not_worth
from tunewright.domain import event as ev
from tunewright.domain.outcome import Verdict
from tunewright.domain.study import Study
from tunewright.domain.task import Wishes


def told(rate: float, *, seconds: float, shared_s: float = 0.0, gain: float = 0.02) -> tuple[Study, Verdict]:
    """Two trials, the second longer and better; what the brief asks for is known."""
    story = stories.Story(space=stories.space(), task=stories.task())
    understood = next(one for one in story.events if isinstance(one, ev.Understood))
    story.tell(understood.model_copy(update={"wishes": Wishes(least_gain_per_hour=rate)}))
    story.propose([stories.planned(story)])
    story.propose([stories.planned(story)])
    for job, score, took, shared in (("t0", 0.8, 60.0, 0.0), ("t1", 0.8 + gain, seconds, shared_s)):
        story.launch(job)
        story.complete(job, score, seconds=took, shared_s=shared)
    verdict = Verdict(
        trial="t1", against="t0", answer="better", gain=gain, low=0.01, high=0.03, rows=304, method="exact"
    )
    return story.study, verdict


def test_a_gain_below_the_rate_is_not_taken() -> None:
    study, verdict = told(1.0, seconds=60 + 360)  # 0.02 for a tenth of an hour: 0.2 an hour
    assert "0.2 an hour; the brief asks for 1 an hour" in not_worth(study, verdict)


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 4000.0), (0.1, 420.0), (5.0, 60.0), (5.0, 30.0)])
def test_what_earns_its_bill_or_has_none_is_taken(rate: float, seconds: float) -> None:
    assert not_worth(*told(rate, seconds=seconds)) == ""


def test_what_another_trial_paid_is_on_the_bill() -> None:
    assert not_worth(*told(1.0, seconds=60, shared_s=360)) != ""


def test_against_the_base_model_there_is_no_bill() -> None:
    study, verdict = told(1.0, seconds=4000)
    assert not_worth(study, verdict.model_copy(update={"against": "base"})) == ""


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ("A longer recipe must gain at least 2 points per extra hour.", 0.02),
        ("only if it gains 1.5 % per hour", 0.015),
        ("take it only if it gains 0.1 an hour", 0.1),
        ("At most 30 minutes.", 0.0),
        ("at most 3 dollars per hour", 0.0),
    ],
)
def test_words(words: str, rate: float) -> None:
    assert read_rate(Text(words)) == pytest.approx(rate)
