"""What the report is made of: progress, curves, slices, gains, the tree, ticks."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from tests.stories import Story, planned, space, task
from tests.studies import finished

from tunewright.domain import event as ev
from tunewright.domain.outcome import Item
from tunewright.tools.analysis.answer import answer, gain_shares
from tunewright.tools.analysis.charts import best_so_far
from tunewright.tools.analysis.curves import losses, progress, rungs, thinned
from tunewright.tools.analysis.slices import confusions, label_scores, worst_items
from tunewright.tools.analysis.svg import Axis, Line, Mark, chart, spread


def item(id: int, target: str, prediction: str, score: float = 0.0) -> Item:
    return Item(id=f"{id:016x}", score=score, prediction=prediction, target=target)


def test_best_so_far_begins_at_the_base_model_and_never_falls() -> None:
    steps = progress(finished(trials=20))
    best = [step.best for step in steps if step.best is not None]
    assert best == sorted(best)
    assert best[0] >= 0.118
    assert [step.clock_s for step in steps] == sorted(step.clock_s for step in steps)
    pruned = next(step for step in steps if step.status == "pruned")
    assert pruned.score == 0.31, "a pruned trial is where it was last seen"


def test_best_so_far_falls_where_less_is_better() -> None:
    story = Story(space=space(), task=task(direction="min"))
    for score in (2.0, 1.5, 1.8, float("nan"), 1.2):
        (job,) = story.propose([planned(story)])
        story.run(job, score)
    assert [step.best for step in progress(story.study)] == [2.0, 1.5, 1.5, 1.5, 1.2]
    assert "nan" not in best_so_far(story.study)


def test_the_clock_of_the_chart_leaves_out_waiting_for_a_person() -> None:
    story = Story(space=space(), task=task())
    (job,) = story.propose([planned(story)], approve=False)
    story.tell(ev.ReviewAsked(at=story.tick(), targets=(job,)))
    story.tick(100_000)
    story.decide(job)
    story.run(job, 0.7)
    (step,) = progress(story.study)
    assert 60 < step.clock_s < 120


def test_a_torn_curve_is_thinned_up_to_the_tear(tmp_path: Path) -> None:
    out = tmp_path / "trials" / "t0" / "out"
    out.mkdir(parents=True)
    good = "".join(f'{{"step": {i}, "loss": {1 / i}}}\n' for i in range(1, 1001))
    (out / "curve.jsonl").write_text(good + '{"step": 1001, "lo')
    points = losses(tmp_path, "t0")
    assert 100 < len(points) <= 160
    assert points[-1][0] <= 1000
    assert losses(tmp_path, "t1") == []


def test_thinning_keeps_the_mean() -> None:
    points = [(float(i), float(i % 7)) for i in range(700)]
    kept = thinned(points, 100)
    assert len(kept) == 100
    assert sum(y for _, y in kept) / 100 == pytest.approx(3.0)
    assert thinned(points[:50], 100) == points[:50]


def test_rungs_end_with_the_final_score() -> None:
    study = finished()
    assert [step for step, _ in rungs(study.jobs["t0"])] == [25, 75, 225]
    assert [step for step, _ in rungs(study.jobs["t2"])] == [25, 75]


def test_confusions_are_counted_and_shown_with_three_examples() -> None:
    items = [item(i, "refund", "returns") for i in range(5)] + [item(9, "returns", "refund"), item(10, "a", "a")]
    found = confusions(items, {f"{i:016x}": f"text {i}" for i in range(4)})
    assert [(pair.target, pair.prediction, pair.count) for pair in found] == [
        ("refund", "returns", 5),
        ("returns", "refund", 1),
    ]
    assert [example.input for example in found[0].examples] == ["text 0", "text 1", "text 2"]
    assert found[1].examples[0].input == "", "an input that is not on disk"


def test_labels_are_worst_first() -> None:
    items = [item(1, "a", "a"), item(2, "b", "a"), item(3, "c", "a"), item(4, "c", "x")]
    assert [(label.label, label.right, label.rows) for label in label_scores(items)] == [
        ("c", 0, 2),
        ("b", 0, 1),
        ("a", 1, 1),
    ]


def test_the_worst_items_are_the_low_ones_or_the_high_ones() -> None:
    items = [item(i, "t", "p", score=i) for i in range(5)]
    assert [example.score for example in worst_items(items, {}, "max", 2)] == [0, 1]
    assert [example.score for example in worst_items(items, {}, "min", 2)] == [4, 3]


def test_long_texts_are_cut() -> None:
    (pair,) = confusions([item(1, "a", "b")], {f"{1:016x}": "x" * 5000})
    assert len(pair.examples[0].input) == 280


def test_the_gain_is_shared_out_and_adds_up() -> None:
    study = finished(trials=9)
    shares = gain_shares(study)
    winner, base = study.jobs["t1"].score, study.jobs["base"].score
    assert winner is not None and base is not None
    assert sum(shares.values()) == pytest.approx(winner - base)
    assert shares["planner"] == 0.0, "named though it gained nothing"
    assert gain_shares(finished(winner=False)) == {}


def test_what_is_spent_stands_beside_its_cap() -> None:
    study = finished(trials=9)
    bars = {bar.name: bar for bar in answer(study).bars}
    assert bars["Trials"].spent == "8" and bars["Trials"].cap == "11"
    assert bars["Device time"].share is None
    assert "LLM tokens" not in bars, "neither capped nor spent"


@pytest.mark.parametrize(
    ("low", "high", "unit"),
    [(0, 1, 1), (0.83, 0.8301, 1), (0, 1800, 60), (5, 5, 1), (-3, 1e9, 1), (0, 1e-9, 1), (0, 37, 1)],
)
def test_ticks_are_few_round_and_inside(low: float, high: float, unit: float) -> None:
    axis = Axis("x", *spread([low, high]), unit=unit)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 11
    assert all(axis.low - 1e-9 <= tick <= axis.high + abs(axis.high) * 1e-9 + 1e-12 for tick in ticks)


def test_ticks_are_written_so_that_they_differ() -> None:
    axis = Axis("x", 0.43, 0.53)
    assert len({axis.says(tick) for tick in axis.ticks()}) == len(axis.ticks())
    assert Axis("x", 0, 225).says(50) == "50"


def test_labels_do_not_lie_on_each_other_and_the_winner_keeps_its() -> None:
    marks = [Mark((1 + i / 100, 0.5), "completed", "", f"t{i}") for i in range(9)]
    drawn = chart("n", "d", Axis("x", 0, 9), Axis("y", 0, 1), marks=[*marks, Mark((1.05, 0.5), "winner", "", "t9")])
    assert re.findall(r">(t\d)<", drawn) == ["t9"]
    assert drawn.count("<circle") == 10


def test_charts_hold_no_number_that_is_none() -> None:
    points = [(0.0, float("nan")), (1.0, float("inf")), (2.0, 1.0), (3.0, 2.0)]
    low, high = spread([y for _, y in points])
    assert math.isfinite(low) and math.isfinite(high)
    axes = Axis("x", 0, 3), Axis("y", low, high)
    drawn = chart("n", "d", *axes, lines=[Line(points, "best")], marks=[Mark((2, 1), "winner", "<b>", "<i>")])
    assert not re.search(r"nan|inf", drawn)
    assert "<b>" not in drawn and "&lt;b&gt;" in drawn
    assert "<i>" not in drawn
