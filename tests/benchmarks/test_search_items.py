"""The benchmark of evaluation items counts what the program's rule spares, and sees when it spares too much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunewright.search.wilcoxon import WilcoxonRule


@pytest.fixture
def items(bench: Any) -> Any:
    return bench("items")


class Ends:
    """Recorded ends: a good third, and the rest far behind."""

    task = "made up"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        chances = np.where(np.arange(60) % 3 == 0, 0.75, 0.35)[:, None]
        self.rights = (rng.random((60, 200)) < chances).astype(np.float64)


def test_items_are_spared_and_the_same_trial_wins(items: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "trained", lambda table: table.rights)
    ends = Ends()
    found = items.spared(ends, studies=8, trials=12)
    assert found.same == 1.0 and found.lost == 0.0 and 0.2 < found.items < 0.7
    assert abs(found.bias) < 0.05 and found.error < 0.08
    assert items.spared(ends, studies=8, trials=12) == found
    assert found.line().startswith("made up")

    class Reckless(WilcoxonRule):
        def behind(self, mine: Any, theirs: Any, *, maximise: bool) -> bool:
            return True

    reckless = items.spared(ends, studies=8, trials=12, rule=Reckless())
    assert reckless.items > found.items and reckless.same < 1.0 and reckless.lost > 0.0


def test_every_training_of_a_table_that_did_not_fail_is_drawn_from(items: Any) -> None:
    table = items.load("concept")
    ends = items.trained(table)
    assert ends.shape[1] == table.rows["val"] and 0 < len(ends) <= 2 * 1296
    assert set(np.unique(ends)) <= {0.0, 1.0}
