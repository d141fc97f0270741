"""Whole studies: a home of their own, one model cache for all, a data file that a rule has labelled."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import get_args

import pytest

from tunewright.domain.event import Event, JobEnded, JobLaunched, StudyOptions
from tunewright.domain.job_event import Role
from tunewright.settings import Settings
from tunewright.tools.models.resolve import Found

WORDS = ["amber", "brook", "cedar", "delta", "ember", "flint", "grove", "heath", "inlet", "jasper"]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> str:
    """One MLflow database for all."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


@pytest.fixture
def settings(tmp_path: Path, cache: Path, tiny: Found, store: str) -> Settings:
    return Settings(home=tmp_path / "home", cache=cache, tracking_uri=store)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """300 rows whose label stands in the text, so that a tiny model can learn it in a few steps."""
    rng = random.Random(3)
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for number in range(300):
            label = rng.choice(("yes", "no"))
            word = rng.choice(WORDS)
            file.write(json.dumps({"text": f"{label} {label} {word} {number}", "label": label}) + "\n")
    return path


@pytest.fixture
def brief(rows: Path) -> str:
    return f"Teach tiny to label {rows} (field label). Maximise accuracy. At most 10 minutes and 3 trials."


def most_at_once(told: Iterable[Event], roles: Collection[Role] = get_args(Role)) -> int:
    """How many jobs of these roles ran side by side at most."""
    running, most = set[str](), 0
    for one in told:
        if isinstance(one, JobLaunched) and one.role in roles:
            running.add(one.job)
        elif isinstance(one, JobEnded):
            running.discard(one.job)
        most = max(most, len(running))
    return most


def replayed(**changes: object) -> StudyOptions:
    """Options of a study in which nothing is trained."""
    return StudyOptions.model_validate({"review": "never", "sandbox": "replay", "threads": 2, **changes})
