"""What a finished study leaves for later ones, and which of them a new one is begun from: in memory and in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stories import Story, play, space, surface, task

from tunewright.domain import event as ev
from tunewright.domain.precedent import TaskFeatures, likeness
from tunewright.search.random import RandomStrategy
from tunewright.tracking.memory import MemoryTracker
from tunewright.tracking.mlflow import MlflowTracker
from tunewright.tracking.precedent import FILE, features_of, kin_of, precedent_of
from tunewright.tracking.tracker import StudyTracker


@pytest.fixture(params=["memory", "sqlite"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StudyTracker]:
    if request.param == "memory":
        yield MemoryTracker()
    else:
        yield MlflowTracker(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)


def finished(name: str, trials: int, *, metric: str = "accuracy", direction: str = "max") -> Story:
    made = task(direction=direction).model_copy(
        update={"metric": task(direction=direction).metric.model_copy(update={"name": metric})}
    )
    story = Story(name=name, space=space(), task=made)
    story.launch("base", role="base")
    story.complete("base", 0.1)
    sign = 1 if direction == "max" else -1
    play(story, RandomStrategy(seed=4).ask, trials=trials, score=lambda recipe: sign * surface(recipe))
    story.tell(ev.Finished(at=story.tick(), winner="t1", reason="confirmed"))
    return story


def test_a_study_leaves_its_trials_as_gains_over_the_default(tracker: StudyTracker, tmp_path: Path) -> None:
    story = finished("route-01", 50)
    tracker.start_study(story.study, tmp_path / "studies" / "route-01")
    tracker.finish_study(story.study, [])
    later = Story(name="route-02", space=space(), task=task()).study
    (kin,) = kin_of(tracker.store, later)
    assert kin.precedent.study == "route-01" and kin.precedent.run and 0.8 < kin.likeness <= 1
    gains = [one.gain for one in kin.precedent.found]
    assert len(gains) == 32 and gains == sorted(gains, reverse=True)
    default = story.study.jobs["t0"].score
    assert default is not None
    best, worst = (pick(job.score or 0.0 for job in story.study.trials) for pick in (max, min))
    assert gains[0] == pytest.approx(best - default) and gains[-1] == pytest.approx(worst - default)


def test_where_less_is_better_a_gain_is_what_is_saved() -> None:
    found = precedent_of(finished("loss-01", 8, metric="loss", direction="min").study, "run")
    assert found is not None and max(one.gain for one in found.found) >= 0
    assert found.found[0].gain == max(one.gain for one in found.found)


def test_of_many_studies_the_three_most_alike_are_taken_and_other_metrics_never(
    tracker: StudyTracker, tmp_path: Path
) -> None:
    for number in range(5):
        story = finished(f"route-{number:02}", 3 + number)
        tracker.start_study(story.study, tmp_path / "studies" / story.study.name)
        tracker.finish_study(story.study, [])
    other = finished("loss-01", 4, metric="loss", direction="min")
    tracker.start_study(other.study, tmp_path / "studies" / "loss-01")
    tracker.finish_study(other.study, [])
    kin = kin_of(tracker.store, Story(name="route-99", space=space(), task=task()).study)
    assert len(kin) == 3 and all(one.precedent.features.metric == "accuracy" for one in kin)
    unfinished = Story(name="route-50", space=space(), task=task())
    tracker.start_study(unfinished.study, tmp_path / "studies" / "route-50")
    assert len(kin_of(tracker.store, unfinished.study)) == 3


def test_a_damaged_or_missing_file_is_as_if_the_study_were_not_there(tracker: StudyTracker, tmp_path: Path) -> None:
    story = finished("route-01", 4)
    run = tracker.start_study(story.study, tmp_path / "studies" / "route-01")
    tracker.store.write(run, FILE, '{"study": 3}')
    assert kin_of(tracker.store, story.study) == ()


def test_a_study_without_trials_or_default_says_nothing() -> None:
    story = Story(space=space(), task=task())
    assert features_of(story.study) is not None
    assert precedent_of(story.study, "run") is None


def test_likeness_is_one_for_the_same_and_a_third_for_ten_times_the_rows() -> None:
    one = TaskFeatures(format="label", metric="accuracy", labels=9, rows=1000, model="a", parameters=10**8, base=0.1)
    assert likeness(one, one) == 1.0
    assert likeness(one, one.model_copy(update={"rows": 10_000})) == pytest.approx(0.368, abs=1e-3)
    assert likeness(one, one.model_copy(update={"labels": 99})) == pytest.approx(0.368, abs=1e-3)
    other = one.model_copy(update={"model": "b"})
    assert likeness(one, other) == likeness(other, one) == pytest.approx(0.819, abs=1e-3)
    assert likeness(one, one.model_copy(update={"metric": "loss"})) == 0.0
