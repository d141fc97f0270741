"""What the study itself costs per trial, with a trainer that does nothing: at trial 10 and at trial 500.

The replay sandbox writes a trial's files without training, so what is left between two trials is ours: search,
pricing, gates, journal, LangGraph, MLflow. Measured from the journal of one study: the median time from one
trial's end to the next one's, over 11 trials around each mark. Aim: at most 0.3 s at both, and flat (ratio near 1).

    python benchmarks/overhead.py [--trials 505]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
from pathlib import Path

import tunewright as tw
from tunewright.domain.event import StudyOptions
from tunewright.domain.study import Study
from tunewright.settings import Settings

AIM_S = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=505)
    trials: int = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.jsonl"
        rows.write_text("".join(json.dumps(_row(i)) + "\n" for i in range(400)))
        brief = f"Teach tiny to label {rows} (field label). Maximise accuracy. At most 20 hours and {trials} trials."
        home = Settings(home=Path(scratch) / "home", cache=Path(os.environ.get("TUNEWRIGHT_CACHE", scratch)))
        options = StudyOptions(review="never", sandbox="replay")
        summary = tw.run(brief, options=options, settings=home)
        between = seconds_between_ends(tw.load(summary.study, settings=home))
    report(between, trials)


def _row(i: int) -> dict[str, str]:
    return {"text": f"item {i} is {'even' if i % 2 == 0 else 'odd'}", "label": "yes" if i % 2 == 0 else "no"}


def seconds_between_ends(study: Study) -> list[float]:
    """From each trial's end to the next one's: nothing is trained, so all of it is the study's own."""
    ends = [job.ended_at or 0.0 for job in study.trials]
    return [later - earlier for earlier, later in itertools.pairwise(ends)]


def report(between: list[float], trials: int) -> None:
    early, late = (statistics.median(between[mark - 5 : mark + 6]) for mark in (10, trials - 6))
    print(f"at trial 10: {early:.3f} s; at trial {trials - 6}: {late:.3f} s; ratio {late / early:.2f}; aim {AIM_S} s")


if __name__ == "__main__":
    main()
