"""The benchmark that counts how often forecasts hold runs, on the first of its tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SEARCH = Path(__file__).parents[2] / "benchmarks" / "search"


def test_four_in_five_of_what_is_measured_lies_inside_its_interval() -> None:
    command = [sys.executable, SEARCH / "intervals.py", "--tasks", "concept", "--sequences", "40"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0].split() == ["task", "finished", "time", "width", "memory", "width"] and len(said) == 8
    last = said[-1].replace(" to ", "-").replace("%", "").split()
    assert last[:2] == ["concept", "1-32"]
    time, memory = int(last[2]), int(last[4])
    # 200 draws of one in five have a standard deviation of 3 %; those of a sequence are not independent.
    assert 68 <= time <= 92 and 68 <= memory <= 94
