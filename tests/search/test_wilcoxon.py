"""Worse beyond chance on the same items: what is clearly behind is, what is as good never."""

from __future__ import annotations

import random

import pytest
from tests.stories import Story, planned, space, task

from tunewright.domain.goal import Goal
from tunewright.domain.paired import Paired, looks
from tunewright.domain.trial_event import Scored, trial_event
from tunewright.sandbox.tail import LINE_BYTES
from tunewright.search.curtailment import Curtailing
from tunewright.search.pruning import open_scheduler, pruners
from tunewright.search.wilcoxon import LEAST_ROWS, WilcoxonRule


def drawn(share: float, rows: int = 100, seed: int = 0) -> list[float]:
    return [float(random.Random(f"{seed}:{row}").random() < share) for row in range(rows)]


@pytest.mark.parametrize("maximise", [True, False])
def test_behind_is_what_is_clearly_worse_in_either_direction(maximise: bool) -> None:
    rule, good, bad = WilcoxonRule(), drawn(0.8), drawn(0.4, seed=1)
    if not maximise:
        good, bad = ([3.0 - score for score in side] for side in (good, bad))
    assert rule.behind(bad, good, maximise=maximise)
    assert not rule.behind(good, bad, maximise=maximise)
    assert not rule.behind(bad, bad, maximise=maximise), "all ties"
    assert not rule.behind(bad[: LEAST_ROWS - 1], good[: LEAST_ROWS - 1], maximise=maximise), "too few rows"
    # Losses: a little worse on nearly every row is worse too, and one outlier is not.
    losses = [1.0 + row / 100 for row in range(100)]
    worse = [loss + (0.01 if maximise is False else -0.01) * (row % 5 != 0) for row, loss in enumerate(losses)]
    assert rule.behind(worse, losses, maximise=maximise)
    outlier = [losses[0] + (50 if not maximise else -50), *losses[1:]]
    assert not rule.behind(outlier, losses, maximise=maximise)


def test_as_good_or_better_on_these_items_is_never_behind() -> None:
    """Whatever p is: also where one wins narrowly, by few large gains over many small losses."""
    eager = WilcoxonRule(p=1.0)
    for seed in range(30):
        mine, theirs = drawn(0.6, 60, seed), drawn(0.6, 60, seed + 100)
        assert eager.behind(mine, theirs, maximise=True) is (sum(mine) < sum(theirs))
    assert not eager.behind([5.0] + [0.9] * 39, [0.0] + [1.0] * 39, maximise=True)
    with pytest.raises(ValueError, match="scores of 2 items cannot be paired with those of 3"):
        eager.behind([1.0, 1.0], [1.0, 1.0, 1.0], maximise=True)


def test_every_scheduler_but_none_stops_what_cannot_win_and_says_why() -> None:
    story = Story(space=space(), task=task())
    (t0,), (t1,) = (story.propose([planned(story, origin=who)]) for who in ("default", "planner"))
    story.launch("base", role="base")
    story.launch(t0)
    story.complete(t0, 0.8)
    story.launch(t1)
    paired = Paired(against=t0, mine=tuple(drawn(0.4, 120, 1)), others=tuple(drawn(0.8, 300)))
    for name in pruners():
        answer = open_scheduler(name).compare(story.study, t1, paired)
        assert answer.action == ("continue" if name == "none" else "stop") and answer.reason, name
    answer = Curtailing().compare(story.study, t1, paired)
    assert answer.reason.startswith("behind t0 on 120 of 300 rows: ")
    for spared in ("base", t0):
        assert Curtailing().compare(story.study, spared, paired).action == "continue"
    turned = Paired(against=t0, mine=paired.theirs, others=paired.mine + paired.others[120:])
    assert Curtailing().compare(story.study, t1, turned).action == "continue"
    assert story.study.task is not None
    story.study.task = story.study.task.model_copy(update={"goals": (Goal(quantity="adapter_bytes"),)})
    assert Curtailing().compare(story.study, t1, paired).action == "continue", "a smaller one may win"


def test_looks_are_a_tenth_apart_and_take_no_small_bites() -> None:
    for rows in range(1, 1500):
        places = looks(rows)
        assert places[-1] == rows and list(places) == sorted(set(places))
        assert len(places) == 1 or (places[0] >= max(60, rows / 10) and len(places) <= 11)
    assert looks(89) == (89,) and looks(300) == (60, 120, 180, 240, 300) and looks(2000)[:2] == (200, 400)


def test_an_estimate_takes_out_what_is_easy_about_the_rows_as_far_as_scores_go_together() -> None:
    others = (1.0,) * 60 + (0.0,) * 40
    alike = Paired(against="t0", mine=(1.0,) * 45 + (0.0,) * 5, others=others[:50] + others[50:])
    assert alike.estimate == pytest.approx(0.6), "the other is right on all of these rows, and it is behind there"
    assert Paired(against="t0", mine=alike.mine, others=others[:60] + (0.0,) * 240).estimate == pytest.approx(0.2)
    mixed = others[::2] + others[1::2]
    same = Paired(against="t0", mine=mixed[:50], others=mixed)
    assert same.estimate == pytest.approx(0.6)
    easy = (1.0,) * 40 + (0.0,) * 10 + (1.0,) * 20 + (0.0,) * 30
    behind = tuple(score * (row % 4 != 0) for row, score in enumerate(easy[:50]))
    found = Paired(against="t0", mine=behind, others=easy)
    assert sum(behind) / 50 == 0.6 and found.estimate == pytest.approx(0.6 - 0.75 * (0.8 - 0.6))
    unlike = Paired(against="t0", mine=tuple(1 - score for score in easy[:50]), others=easy)
    assert unlike.theirs == easy[:50] and unlike.estimate == pytest.approx(0.2), (
        "no more is taken out where the two go apart"
    )


def test_a_scored_event_is_one_line_that_is_read_back() -> None:
    one = Scored(step=12, first=60, of=5000, scores=tuple(-1e-300 * (1 + row / 7) for row in range(1000)))
    line = one.model_dump_json()
    assert len(line) < LINE_BYTES and trial_event.validate_json(line) == one
    for broken in ({"scores": [float("nan")]}, {"scores": []}, {"first": -1}):
        with pytest.raises(ValueError, match="validation error"):
            Scored.model_validate({**one.model_dump(), **broken})
