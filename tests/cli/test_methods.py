"""``tunewright methods``: what there is to choose from, for programs and for people."""

from __future__ import annotations

import json

import pytest

from tunewright.cli.door import run
from tunewright.tools.training.card import SHELVES
from tunewright.tools.training.registry import Shelf, kinds


@pytest.mark.parametrize("shelf", SHELVES)
def test_a_shelf_lists_all_its_methods_with_sources(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", shelf, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [shelf] and [one["kind"] for one in found[shelf]] == kinds(shelf)
    for one in found[shelf]:
        assert one["summary"] and one["source"] and one["about"], one["kind"]
        assert all(setting.keys() == {"name", "default", "about"} for setting in one["settings"])


def test_people_see_kind_summary_and_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["methods", "rewards"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "rewards" and len(shown) == 1 + len(kinds("rewards"))
    line = next(line for line in shown if line.split()[0] == "length")
    assert "soft punishment" in line and line.rstrip().endswith("arXiv 2503.14476")


def test_without_a_kind_every_shelf_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() > SHELVES.keys() and all("kind" in row for rows in found.values() for row in rows)
