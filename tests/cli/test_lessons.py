"""``tunewright lessons``: what is listed, of whom, and anew from the journals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.studies import told

from tunewright import app
from tunewright.cli import lessons as lessons_
from tunewright.domain.errors import UnknownNameError
from tunewright.settings import Settings
from tunewright.tracking.journal import Journal


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one study that has learned something, and no file of lessons yet."""
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    with Journal(tmp_path / "studies" / "route-01") as journal:
        for one in told(trials=4).events:
            journal.append(one)
    return tmp_path


def test_they_are_made_anew_listed_and_told_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lessons_.lessons(None, rebuild=False, json=False) == 0
    assert "no lessons" in capsys.readouterr().out
    assert lessons_.lessons("route-01", rebuild=True, json=True) == 0
    (one,) = json.loads(capsys.readouterr().out)["lessons"]
    assert one["id"].startswith("l-") and (one["helpful"], one["harmful"]) == (2, 0)
    assert lessons_.lessons(None, rebuild=False, json=False) == 0
    assert one["id"] in capsys.readouterr().out


def test_an_unknown_study_is_refused(home: Path) -> None:
    with pytest.raises(UnknownNameError):
        app.lessons("route-02", settings=Settings(home=home))
