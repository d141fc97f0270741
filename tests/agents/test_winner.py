"""The winner is one against noise: who is trained again, who wins, and what is said where nobody does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.agents.race import Array, Race

from tunewright.agents.limit import group_excess
from tunewright.domain.budget import Budget
from tunewright.domain.outcome import Verdict
from tunewright.domain.task import Constraint, Goal

N = 300
EASE = np.random.default_rng(0).random(N)
SMALL = Constraint(quantity="adapter_bytes", relation="<=", value=5e6)


def right(share: float, *, luck: int = 0, flips: float = 0.02) -> Array:
    """Right on the easiest ``share`` of the rows, a few of them flipped by the luck of a seed."""
    rng = np.random.default_rng(luck)
    flipped = rng.random(N) < flips
    return ((share > EASE) ^ flipped).astype(float)


def verdict(race: Race, trial: str, against: str) -> Verdict:
    (found,) = [one for one in race.ending().verdicts if (one.trial, one.against) == (trial, against)]
    return found


def test_a_trial_that_beats_base_and_default_on_fresh_seeds_wins(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    for number, share in enumerate((0.6, 0.75, 0.5)):
        race.trial(right(share, luck=number))
    assert race.chosen() == ["t1"]
    for luck in (11, 12):
        race.fresh("t1", right(0.75, luck=luck))
        race.fresh("t0", right(0.6, luck=10 + luck))
    end = race.ending()
    assert end.winner == "t1"
    assert "than the default recipe" in end.reason and "2 fresh seeds: 0." in end.reason
    for against, gain in (("base", 0.53), ("t0", 0.14)):
        found = verdict(race, "t1", against)
        assert (found.answer, found.seeds, found.comparisons, found.rows) == ("better", 2, 5, N)
        assert found.gain == pytest.approx(gain, abs=0.03)
        assert 0 < found.low < found.gain < found.high and found.p is not None and found.p < 0.05
    assert end.noise is not None and end.noise.seed_sd is not None
    assert 0 < end.noise.seed_sd < 0.02 and end.noise.repeats == 4 and 0 < end.noise.half_width < 0.06


def test_luck_on_the_searchs_seed_wins_nothing_and_the_default_does(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    race.trial(right(0.6))
    race.trial(right(0.75, luck=1))
    race.fresh("t1", right(0.61, luck=2))
    end = race.ending()
    assert end.winner == "t0"
    assert "the search found nothing better than it beyond noise (t1 is not told apart from it)" in end.reason
    assert "not confirmed on a fresh seed" in end.reason
    assert [(one.trial, one.against, one.answer) for one in end.verdicts] == [
        ("t0", "base", "better"),
        ("t1", "t0", "undecided"),
    ]


def test_where_nothing_beats_the_base_there_is_no_winner_and_nothing_is_trained_again(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.5))
    race.trial(right(0.47, luck=1))
    race.trial(right(0.47, luck=4))
    assert (race.chosen(), race.due()) == ([], [])
    end = race.ending()
    assert end.winner is None
    assert "no trial is better than the base model beyond noise; the best, t" in end.reason
    assert all(one.answer == "undecided" and one.low <= 0 <= one.high for one in end.verdicts)


def test_a_finalist_that_does_not_hold_against_the_base_does_not_win(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.5))
    race.trial(right(0.5, luck=1))
    race.trial(right(0.6, luck=2))
    race.fresh("t1", right(0.51, luck=3))
    end = race.ending()
    assert end.winner is None
    assert "t1, on 1 fresh seed, is not told apart from base" in end.reason


def test_at_most_three_that_the_items_do_not_tell_apart_are_finalists_best_first(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    for number, share in enumerate((0.6, 0.74, 0.65, 0.75, 0.755, 0.745)):
        race.trial(right(share, luck=number, flips=0.0 if share == 0.65 else 0.05))
    best = sorted((-(race.story.study.jobs[t].score or 0), t) for t in ("t1", "t3", "t4", "t5"))
    assert race.chosen() == [trial for _, trial in best[:3]]


def test_seeds_go_round_and_what_the_plan_kept_comes_first(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    for number, share in enumerate((0.6, 0.74, 0.75, 0.3, 0.3, 0.3, 0.3)):
        race.trial(right(share, luck=number))
    first, second = race.chosen()
    assert race.due() == [
        ("c1", first, 1, True),
        ("c2", second, 1, True),
        ("c3", "t0", 1, False),
        ("c4", first, 2, False),
        ("c5", second, 2, False),
        ("c6", "t0", 2, False),
        ("c7", first, 3, False),
    ], "as many as the search had trials"


def test_without_a_cap_on_time_no_more_than_the_plan_is_trained(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2), budget=Budget(trials=12))
    for number in range(8):
        race.trial(right(0.6 + 0.15 * (number == 3), luck=number))
    assert race.due() == [("c1", "t3", 1, True), ("c2", "t0", 1, True)]


def test_a_recipe_that_fails_on_a_fresh_seed_does_not_win(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    race.trial(right(0.6))
    race.trial(right(0.8, luck=1))
    race.fresh("t1", right(0.8, luck=2))
    race.story.launch("c2", role="confirm", proposal="t1")
    race.story.fail("c2", "config", "the loss is not a number")
    end = race.ending()
    assert end.winner == "t0"
    assert "t1 is not taken: failed on a fresh seed: the loss is not a number" in end.reason


def test_a_default_without_a_score_is_no_yardstick(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2))
    race.trial(right(0.6))
    race.trial(right(0.8, luck=1))
    race.story.study.jobs["t0"].outcome = None
    race.fresh("t1", right(0.8, luck=2))
    end = race.ending()
    assert end.winner == "t1" and "the default recipe has no score" in end.reason
    assert [one.against for one in end.verdicts] == ["base"]


def test_less_is_better_of_a_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.exponential(1.0, N) + 1
    race = Race(tmp_path, hard * 2, direction="min")
    race.trial(hard)
    race.trial(hard * 0.7 + rng.normal(0, 0.05, N))
    race.fresh("t1", hard * 0.7 + rng.normal(0, 0.05, N))
    end = race.ending()
    assert end.winner == "t1"
    assert [one.gain > 0 for one in end.verdicts] == [True, True]


def test_a_trial_beyond_a_limit_is_no_finalist_and_does_not_win(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2), constraints=[SMALL])
    race.trial(right(0.6))
    race.trial(right(0.9, luck=1), adapter_bytes=9_000_000)
    assert race.chosen() == []
    assert race.ending().winner == "t0"
    race = Race(tmp_path / "all", right(0.2), constraints=[SMALL])
    race.trial(right(0.6), adapter_bytes=9_000_000)
    end = race.ending()
    assert end.winner is None
    assert "t0: adapter 9 MB, more than the 5 MB that the brief allows" in end.reason


def test_a_label_that_loses_beyond_noise_bars_a_trial_and_by_chance_does_not(tmp_path: Path) -> None:
    limit = Constraint(quantity="label_loss", relation="<=", value=0.02)
    base = right(0.15)
    base[:75:5] = 1.0  # fifteen rows of one label
    race = Race(tmp_path, base, constraints=[limit])
    race.trial(right(0.6, luck=1))
    spoilt = right(0.9, luck=2)
    spoilt[::5] = 0.0  # every row of it
    race.trial(spoilt)
    chance = right(0.9, luck=3)
    chance[:15:5] = 0.0  # three rows of it
    race.trial(chance)
    assert race.chosen() == ["t2"]
    race.fresh("t2", spoilt)
    end = race.ending()
    assert end.winner == "t0"
    assert "label billing loses" in end.reason


def test_a_goal_picks_the_smallest_of_those_that_the_metric_does_not_tell_apart(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2), goals=[Goal(quantity="adapter_bytes")])
    race.trial(right(0.75), adapter_bytes=3_000_000)
    race.trial(right(0.76, luck=1), adapter_bytes=2_000_000)
    race.trial(right(0.75, luck=2), adapter_bytes=100_000)
    race.trial(right(0.5, luck=3), adapter_bytes=1_000)
    assert set(race.chosen()) <= {"t0", "t1", "t2"} and "t2" in race.chosen()
    for trial in race.chosen():
        race.fresh(trial, right(0.75, luck=10))
    end = race.ending()
    assert end.winner == "t2"
    assert "the smallest adapter (100 kB)" in end.reason


@pytest.mark.parametrize(("gain", "most", "least"), [(0.0, 3, 0), (0.5, 40, 25)])
def test_whole_studies_of_alike_recipes_crown_the_default_and_of_one_better_recipe_that(
    tmp_path: Path, gain: float, most: int, least: int
) -> None:
    """From the items on disk to the winner: 40 studies of eight recipes, each right on items of its own."""
    rng, rounds, won = np.random.default_rng(4), 40, 0
    for study in range(rounds):
        ability = rng.normal(0.5, 1, 150) + rng.normal(0, 0.3, (8, 150))
        ability[5] += gain
        runs = [(one + rng.normal(0, 0.2, (4, 150)) > 0).astype(float) for one in ability]
        race = Race(tmp_path / str(study), np.zeros(150))
        for scores in runs:
            race.trial(scores[0])
        for _, trial, seed, _ in race.due():
            race.fresh(trial, runs[int(trial[1:])][seed])
        winner = race.ending().winner
        assert winner is not None, "every recipe beats a base that is never right"
        won += winner != "t0"
    low, high = stats.binomtest(won, rounds).proportion_ci()
    assert least <= won <= most, f"{won} of {rounds}, {low:.3f} to {high:.3f}"


def test_a_goal_and_the_claim_against_the_default_agree_on_what_is_told_apart(tmp_path: Path) -> None:
    race = Race(tmp_path, right(0.2), goals=[Goal(quantity="adapter_bytes")])
    race.trial(right(0.6), adapter_bytes=1_000)
    for number in range(4):
        race.trial(right(0.645, luck=number + 1), adapter_bytes=50_000)
    for trial in race.chosen():
        race.fresh(trial, right(0.645 if trial != "t0" else 0.6, luck=20 + int(trial[1:])))
    end = race.ending()
    against = [one.answer for one in end.verdicts if one.against == "t0"]
    assert (end.winner == "t0") == (against[-1] == "undecided")


def test_the_search_is_told_by_how_much_a_label_loses_and_that_chance_passes_no_limit(tmp_path: Path) -> None:
    limit = Constraint(quantity="label_loss", relation="<=", value=0.02)
    base = right(0.15)
    base[:75:5] = 1.0  # fifteen rows of one label
    race = Race(tmp_path, base, constraints=[limit])
    spoilt, chance = right(0.9, luck=2), right(0.9, luck=3)
    spoilt[::5] = 0.0  # every row of it
    chance[:15:5] = 0.0  # three rows of it
    race.trial(spoilt)
    race.trial(chance)
    lost, unlucky = (group_excess(race.study, race.folder, trial) for trial in ("t0", "t1"))
    assert [race.study.jobs[trial].group_excess for trial in ("t0", "t1")] == [lost, unlucky], "it is written down"
    assert lost is not None and lost > 1
    assert unlucky is not None and unlucky <= 0
    unlimited = Race(tmp_path / "free", base)
    unlimited.trial(spoilt)
    assert group_excess(unlimited.study, unlimited.folder, "t0") is None
