"""Watching a study that another process runs: everything once, in order, until that process lets it go."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.stories import Story, space, task

from tunewright import app
from tunewright.domain import event as ev
from tunewright.domain.errors import UnknownNameError
from tunewright.domain.live import Live, Said
from tunewright.domain.trial_event import Progressed
from tunewright.settings import Settings
from tunewright.tracking.journal import Journal

WRITER = """
import json, pathlib, sys, time
from tunewright.domain.event import event
from tunewright.tracking.journal import Journal
folder, told = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
out = folder / "trials" / "base" / "out"
with Journal(folder) as journal:
    for line in told.read_text().splitlines():
        one = event.validate_json(line)
        if one.kind == "job-ended":
            out.mkdir(parents=True)
            with (out / "events.jsonl").open("a") as file:
                for step in (1, 2, 3):
                    file.write(json.dumps({"kind": "progressed", "step": step, "of": 3}) + chr(10))
                    file.flush()
                    time.sleep(0.4)
        journal.append(one)
"""


@pytest.fixture
def story() -> Story:
    made = Story(space=space(), task=task())
    made.launch("base", role="base")
    made.complete("base", 0.118)
    return made


def test_what_another_process_does_is_seen_once_and_in_order(tmp_path: Path, story: Story) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "told.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in story.events))
    folder = settings.studies / "route-01"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(tmp_path / "told.jsonl")])
    while not (folder / "journal.jsonl").is_file():
        assert writer.poll() is None
        time.sleep(0.02)
    seen: list[ev.Event | Live | Said] = []
    app.follow("route-01", settings=settings, observer=seen.append)
    assert writer.wait(30) == 0
    assert [one for one in seen if not isinstance(one, Live | Said)] == story.events
    steps = [one.event.step for one in seen if isinstance(one, Live) and isinstance(one.event, Progressed)]
    assert steps[:2] == [1, 2], "seen while it ran"
    assert len(steps) == len(set(steps))


def test_without_waiting_it_gives_what_is_there(tmp_path: Path, story: Story) -> None:
    settings = Settings(home=tmp_path)
    seen: list[object] = []
    with Journal(settings.studies / "route-01") as journal:
        for one in story.events:
            journal.append(one)
        app.follow("route-01", settings=settings, observer=seen.append, wait=False)
    assert seen == story.events


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown study 'route-01'"):
        app.follow("route-01", settings=Settings(home=tmp_path), observer=print)
