"""Several domains: the mean gain over them with a weight on the worst decides, where the brief asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agents.briefs import read, write
from tests.agents.race import Array, Race
from tests.stories import LABELS

from tunewright.agents.brief.domain import read_worst_weight
from tunewright.agents.brief.text import Text
from tunewright.agents.domains import domain_kind, domain_table, uneven
from tunewright.domain import event as ev
from tunewright.domain.goal import domain_worth
from tunewright.domain.task import Constraint, Wishes

N = 300
LOST = slice(0, None, 5)
"""The rows of one label of five."""


def right(share: float) -> Array:
    """Right on so many rows of each label."""
    at = np.arange(N) // len(LABELS)
    return (at < share * N / len(LABELS)).astype(float)


def race(folder: Path, base: Array, weight: float | None, **more: object) -> Race:
    found = Race(folder, base, **more)  # type: ignore[arg-type]  # its own
    understood = next(one for one in found.story.events if isinstance(one, ev.Understood))
    found.story.tell(understood.model_copy(update={"wishes": Wishes(worst_weight=weight)}))
    return found


def spread(up: float, down: float) -> Array:
    """Right on ``up`` of the rows of every label but the first, and on ``down`` of that."""
    found = right(up)
    found[LOST] = right(down)[LOST]
    return found


@given(gains=st.lists(st.floats(-1, 1), min_size=1, max_size=6), weight=st.floats(0, 5))
def test_the_worth_is_the_mean_and_never_more(gains: list[float], weight: float) -> None:
    worth, mean = domain_worth(gains, weight), sum(gains) / len(gains)
    assert worth <= mean + 1e-9 and (min(gains) < 0 or worth == pytest.approx(mean))
    assert domain_worth(gains, weight + 1) <= worth + 1e-9


@pytest.mark.parametrize(("weight", "taken"), [(None, True), (0.0, True), (1.0, True), (4.0, False)])
def test_a_trial_that_gains_over_rows_is_not_best_where_its_worst_domain_costs_more(
    tmp_path: Path, weight: float | None, taken: bool
) -> None:
    found = race(tmp_path, right(0.4), weight)
    trial = found.trial(spread(0.7, 0.3))  # four domains gain 0.3, one loses 0.1: 0.22 on average
    assert (found.study.incumbent == trial) is taken
    assert ("by domains" in found.study.barred.get(trial, "")) is not taken
    assert (found.ending().winner == trial) is taken


def test_a_trial_that_raises_the_mean_and_breaks_the_guard_is_not_best(tmp_path: Path) -> None:
    guard = Constraint(quantity="label_loss", relation="<=", value=0.02)
    found = race(tmp_path, right(0.4), 0.0, constraints=[guard])
    trial = found.trial(spread(0.9, 0.2))
    assert found.study.incumbent == "base" and f"label {LABELS[0]} loses 0.200" in found.study.barred[trial]
    assert found.study.verdicts[-1].answer == "better" and found.study.best() is None
    assert found.trial(right(0.6)) == found.study.incumbent


def test_the_next_has_to_be_worth_more_than_the_incumbent_over_domains(tmp_path: Path) -> None:
    found = race(tmp_path, right(0.4), 2.0)
    even = found.trial(right(0.6))  # 0.2 in each
    richer = found.trial(spread(0.8, 0.32))  # 0.307 on average, less twice 0.067
    assert found.study.incumbent == even and found.study.verdicts[-1].answer == "better"
    assert "+0.200" in found.study.barred[richer] and f"worst: {LABELS[0]} -0.067" in found.study.barred[richer]
    assert uneven(found.study, tmp_path, even, "base") == ""


def test_the_report_shows_each_domain_the_worst_first(tmp_path: Path) -> None:
    found = race(tmp_path, right(0.4), 0.5)
    found.trial(spread(0.7, 0.5))
    table = domain_table(found.study, tmp_path)
    assert table is not None and table.rows[0] == (LABELS[0], "+0.100")
    assert table.rows[-1] == ("mean, less 0.5 times the worst loss", "+0.260")
    assert domain_kind(found.study) == "label"
    assert domain_table(race(tmp_path / "rows", right(0.4), None).study, tmp_path / "rows") is None


@pytest.mark.parametrize(
    ("words", "weight"),
    [
        ("Maximise the mean over domains.", 1.0),
        ("It should gain across all its domains.", 1.0),
        ("Every domain counts the same.", 1.0),
        ("Average accuracy over the sources, the worst domain counts twice.", 2.0),
        ("Mean over domains; the worst domain counts half.", 0.5),
        ("Weigh the worst domain by 1.5.", 1.5),
        ("The worst source counts 3 times.", 3.0),
        ("No domain may lose more than 2 points.", None),
        ("At most 30 minutes and 12 trials.", None),
        ("Teach it to tell domains apart.", None),
    ],
)
def test_what_a_brief_says_of_domains(words: str, weight: float | None) -> None:
    assert read_worst_weight(Text(words)) == weight


def test_a_brief_with_domains_is_understood_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rows", "more"):
        rows = [{"text": f"{name} {number}", "label": ("yes", "no")[number % 2]} for number in range(40)]
        write(tmp_path / f"{name}.jsonl", rows)
    reading = read(
        "Teach tiny to label rows.jsonl and more.jsonl (field label). Mean over domains, the worst domain counts "
        "twice, and no domain may lose more than 2 points. 3 trials."
    )
    assert reading.wishes.worst_weight == 2.0 and reading.unused == ()
    assert reading.task.constraints == (Constraint(quantity="source_loss", relation="<=", value=0.02),)
    said = " ".join(line.text for line in reading.understood)
    assert "the mean gain over domains counts, less 2 times what the worst loses" in said
