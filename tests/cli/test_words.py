"""Numbers for people: boundaries between units, and no false precision."""

from __future__ import annotations

import pytest

from tunewright.cli import words
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.event import ModelProbed, StudyOptions


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (52.4, "0:52"), (59.6, "1:00"), (1661, "27:41"), (3723, "1:02:03")]
)
def test_clock(seconds: float, said: str) -> None:
    assert words.clock(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.42, "0.4 s"), (14, "14 s"), (99.6, "2 min"), (240, "4 min"), (7199, "120 min"), (9000, "2.5 h")],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_parameters_never_lose_their_size() -> None:
    assert [words.parameters(n) for n in (950, 830_000, 134_515_008, 1_700_000_000)] == [
        "950",
        "830k",
        "134.5M",
        "1.7B",
    ]


def test_spent_names_every_cap_and_always_time_and_trials() -> None:
    spent = Cost(wall_s=760, device_s=700, usd=0.118, llm_tokens=1200, trials=3)
    assert words.spent_of(spent, Budget(wall_s=1800, trials=12)) == "12:40 of 30:00, 3 of 12 trials"
    assert words.spent_of(spent, Budget(usd=2)) == "12:40, $0.12 of $2.00, 3 trials"
    assert words.spent_of(spent, Budget(llm_tokens=5000)) == "12:40, 1,200 of 5,000 tokens, 3 trials"
    assert words.spent_of(spent, None) == "12:40, 3 trials"


def test_label_is_for_trials_only() -> None:
    assert [words.label(job) for job in ("t4", "t12", "base", "test", "c1")] == ["#4", "#12", "base", "test", "c1"]


def test_a_trial_has_one_name_on_the_screen() -> None:
    assert words.labelled("worse than t0 by 0.1 (t12, test, at0)") == "worse than #0 by 0.1 (#12, test, at0)"


def test_language_models() -> None:
    assert words.models(StudyOptions()) == "rules"
    assert words.models(StudyOptions(llm="a", llms={"reflection": "none"})) == "a; reflection by rules"
    assert words.ability(ModelProbed(model="a", form="plain", tools=False)) == (
        "a: its answers are text, read and checked here; it calls no functions"
    )
