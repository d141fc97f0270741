"""The house stands: links are links, point home, and every folder they name is a package."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("agents", "tools", "sandbox", "search", "tracking")


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_linked_into_the_package(room: str) -> None:
    link = ROOT / "src" / "tunewright" / room
    assert link.is_symlink(), f"{link} must be a link; on Windows clone with core.symlinks=true"
    assert link.readlink() == Path("../..") / room
    assert link.resolve() == ROOT / room
    assert (link / "__init__.py").is_file()


def test_no_room_is_importable_from_the_top() -> None:
    """`agents` is the import name of another package: ours is reached as tunewright.agents only."""
    configured = (ROOT / "pyproject.toml").read_text()
    assert "package-dir" not in configured
    assert 'where = ["src"]' in configured


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not broken


def test_what_ci_calls_can_be_run() -> None:
    scripts = sorted((ROOT / ".ci").iterdir())
    assert scripts and [str(one) for one in scripts if not os.access(one, os.X_OK)] == []


def test_no_file_outgrows_its_purpose() -> None:
    """Past 400 lines a file holds two things (docs/architecture.md)."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in (*ROOMS, "src", "tests", "benchmarks", "examples")
        for path in (ROOT / room).rglob("*.py")
        if not path.is_symlink() and (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
