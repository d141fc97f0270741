"""What a study's run says at its end."""

from __future__ import annotations

import pytest
from tests.studies import finished

from tunewright.tracking.entry import ending_tags, job_tags, study_metrics


def test_the_run_has_the_claims_the_noise_floor_and_whose_each_repeat_is() -> None:
    study = finished()
    assert study.finished is not None and study.finished.winner is not None
    winner, tags = study.finished.winner, ending_tags(study)
    assert tags["tunewright.winner"] == winner
    for against, name in (("base", "base"), ("t0", "default")):
        assert (
            tags[f"tunewright.claim.{name}"].startswith(f"{winner} is ")
            and f"{against} by" in tags[f"tunewright.claim.{name}"]
        )
    assert "seeds move a score by 0.006" in tags["tunewright.noise"]
    assert tags["tunewright.search.ended"] == study.search_ended
    assert "tunewright.front" not in tags, "the brief has one goal"
    metrics = study_metrics(study)
    assert (metrics["noise/seed_sd"], metrics["noise/half_width"]) == (0.006, 0.034)
    assert metrics["gain/base_low"] < metrics["gain/base"] < metrics["gain/base_high"]
    assert metrics["gain/default"] == pytest.approx(study.finished.verdicts[1].gain)
    repeat = job_tags(study, "c1")
    assert (repeat["tunewright.repeats"], repeat["tunewright.repeats.run"]) == (winner, study.runs[winner])


def test_a_study_without_an_end_claims_nothing() -> None:
    study = finished()
    study.finished = None
    assert ending_tags(study) == {}
    assert not [name for name in study_metrics(study) if name.startswith(("noise", "gain"))]
