"""A home with studies in it, written by the real journal from told stories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.stories import Story, space, task

from tunewright.domain import event as ev
from tunewright.domain.proposal import Idea
from tunewright.tracking.journal import Journal


@pytest.fixture
def home(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, named by the environment; the working directory is beside it."""
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(cache))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def write(home: Path) -> Callable[[Sequence[ev.Event]], str]:
    """Writes a study's events into the home; its name."""

    def write(events: Sequence[ev.Event]) -> str:
        assert isinstance(events[0], ev.StudyCreated)
        with Journal(home / "studies" / events[0].study) as journal:
            for one in events:
                journal.append(one)
        return events[0].study

    return write


@pytest.fixture
def story() -> Story:
    """A study whose plan is approved and whose base model is measured."""
    made = Story(space=space(), task=task())
    made.launch("base", role="base")
    made.complete("base", 0.118, seconds=14.0)
    return made


@pytest.fixture
def plan_waits() -> list[ev.Event]:
    """A study whose plan waits for review; its last process has let it go."""
    made = Story(name="plan-01", space=space(), task=task())
    events = made.events[:-1]
    asked = ev.ReviewAsked(at=made.now, targets=("plan",))
    return [*events, asked, ev.SessionClosed(at=made.now, reason="waits for review")]


@pytest.fixture
def batch(story: Story) -> Story:
    """The story with three proposals that wait for review."""
    default = space().default()
    dora = {name: value for name, value in default.items() if name != "lr.lora"} | {"adapter": "dora", "lr.dora": 4e-4}
    ideas = [
        Idea(recipe=space().build(default), origin="default", reason="the yardstick"),
        Idea(recipe=space().build(dora), origin="sampler", reason="tpe: unexplored"),
        Idea(recipe=space().build(default | {"rank": 16}), origin="sampler", reason="tpe: unexplored"),
    ]
    story.propose(ideas, approve=False)
    story.tell(ev.ReviewAsked(at=story.tick(), targets=("t0", "t1", "t2")))
    return story
