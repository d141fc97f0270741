"""What doctor says of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.app import health
from tunewright.settings import Settings, load
from tunewright.tools.models.capacity import largest


def memory_line(settings: Settings) -> health.Check:
    return next(one for one in health.doctor(settings=settings) if one.name == "memory")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load().model_copy(update={"home": tmp_path})


def test_doctor_names_the_largest_recipe_that_fits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no driver to ask for a GPU
    said = memory_line(settings)
    assert said.ok and not said.needed
    assert f"{health.trial_memory_gib():.1f} GiB for a trial" in said.detail
    best = largest(health.trial_memory_gib(), computed="bf16") or largest(health.trial_memory_gib())
    assert any(one.model in said.detail for one in best)


def test_a_gpus_memory_is_what_its_driver_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: one" || printf "81559\\n24576\\n"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    said = memory_line(settings)
    assert "24.0 GiB for a GPU" in said.detail and "compact" not in said.detail


def test_doctor_says_whether_ray_is_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def line() -> health.Check:
        return next(one for one in health.doctor(settings=settings) if one.name == "ray")

    there = line()
    assert there.ok and there.detail.startswith("Ray 2") and not there.needed
    find = health.importlib.util.find_spec
    monkeypatch.setattr(health.importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    missing = line()
    assert not missing.ok and "tunewright[ray]" in missing.hint and not missing.needed
