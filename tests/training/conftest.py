"""Jobs for the tiny model, as a sandbox would find them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.job import CodeIdentity, DataIdentity, Limits, Rungs, SplitIdentity, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.recipe import Recipe
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import trial_event
from tunewright.tools.models.resolve import Found

NO_RUNGS = Rungs()
WORDS = {"sky": ("blue", "cloud", "rain"), "sea": ("wave", "salt", "fish"), "sun": ("warm", "gold", "noon")}


@dataclass(frozen=True)
class JobFolder:
    folder: Path
    model: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def argv(self) -> list[str]:
        return [str(self.folder), "--model", str(self.model)]

    def result(self) -> JobResult:
        return JobResult.model_validate_json((self.out / "result.json").read_text())

    def events(self, kind: str) -> list[Any]:
        lines = (self.out / "events.jsonl").read_text().splitlines()
        return [event for line in lines if (event := trial_event.validate_json(line)).kind == kind]

    def curve(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.out / "curve.jsonl").read_text().splitlines()]


def rows(count: int, sources: tuple[str, ...] = ("a",)) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        label = sorted(WORDS)[number % 3]
        text = f"{WORDS[label][number // 3 % 3]} {number}"
        source = sources[number % len(sources)]
        made.append({"id": f"{number:016x}", "source": source, "input": text, "target": label, "meta": {}})
    return made


def stage(adapter: dict[str, Any] | None = None, **optimisation: Any) -> dict[str, Any]:
    given = {"lr": 3e-3, "batch_size": 4, "steps": 6, "precision": "fp32", **optimisation}
    return {"adapter": adapter or {"kind": "lora", "rank": 4}, "optimisation": given}


@pytest.fixture
def make_job(write_job: Callable[..., JobFolder], tmp_path: Path) -> Callable[..., JobFolder]:
    """``write_job`` for folders of this test."""
    return lambda name="job", *stages, **given: write_job(tmp_path / name, *stages, **given)


@pytest.fixture(scope="session")
def write_job(tiny: Found) -> Callable[..., JobFolder]:
    """Writes a job into a folder that is not there yet. ``own`` are training rows instead of those above."""

    def make(
        folder: Path,
        *stages: dict[str, Any],
        own: Sequence[Mapping[str, Any]] = (),
        train: int = 30,
        val: int = 9,
        rungs: Rungs = NO_RUNGS,
        task: dict[str, Any] | None = None,
        limits: dict[str, Any] | None = None,
        seed: int = 1,
        sources: tuple[str, ...] = ("a",),
    ) -> JobFolder:
        (folder / "in").mkdir(parents=True)
        identities = {}
        for split, count in (("train", train), ("val", val)):
            made = own if own and split == "train" else rows(count, sources)
            text = "".join(json.dumps(row) + "\n" for row in made)
            (folder / "in" / f"{split}.jsonl").write_text(text)
            identities[split] = SplitIdentity(digest=hashlib.sha256(text.encode()).hexdigest(), rows=len(made))
        given = {
            "model": "tiny",
            "sources": tuple(DataSource(path=f"{s}.jsonl", name=s) for s in sources),
            "format": "label",
            "input_field": "input",
            "target_field": "target",
            "metric": Metric(name="accuracy"),
            "labels": tuple(sorted(WORDS)),
        }
        spec = TrialSpec(
            id="t0",
            study="test",
            task=TaskSpec.model_validate({**given, **(task or {})}),
            model=tiny.identity,
            limits=Limits.model_validate({"wall_s": 300, "memory_gib": 4, "threads": 1, **(limits or {})}),
            code=CodeIdentity(version="0", digest="0"),
            sandbox="process",
            recipe=Recipe.model_validate({"seed": seed, "stages": list(stages) or [stage()]}),
            data=DataIdentity(train=identities["train"], val=identities["val"], test=identities["val"]),
            rungs=rungs,
        )
        (folder / "spec.json").write_text(spec.model_dump_json())
        return JobFolder(folder, tiny.path)

    return make
