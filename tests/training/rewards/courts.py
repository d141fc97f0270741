"""Courts, answers and foreign rewards for tests."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.recipe import Reward
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.reward import Answers, Court
from tunewright.tools.training.scoreboard import open_rewards


def task(**changes: Any) -> TaskSpec:
    """A task of prompts and completions."""
    given = {
        "model": "m",
        "sources": (DataSource(path="d.jsonl", name="d"),),
        "format": "completion",
        "input_field": "q",
        "target_field": "a",
        "metric": Metric(name="exact_match"),
    }
    return TaskSpec.model_validate({**given, **changes})


def answers(texts: Sequence[str], *targets: str, meta: Sequence[Mapping[str, Any]] = ()) -> Answers:
    """Answers to rows with these targets; with one target it is everybody's. The rows' ids are r0, r1, ..."""
    wanted = targets * len(texts) if len(targets) == 1 else targets or ("",) * len(texts)
    metas = list(meta) * len(texts) if len(meta) == 1 else list(meta) or [{}] * len(texts)
    rows = [
        Row(id=f"r{number}", source="d", input=f"question {number}", target=target, meta=dict(own))
        for number, (target, own) in enumerate(zip(wanted, metas, strict=True))
    ]
    return Answers([row["input"] for row in rows], list(texts), rows)


def scores(kind: str, given: Answers, court: Court | None = None, **settings: Any) -> list[float]:
    """What one reward gives, by the way that a training takes."""
    with open_rewards([Reward.model_validate({"kind": kind, **settings})], court or Court(task())) as board:
        return board(given).parts[kind]


def foreign(folder: Path, kind: str, body: str, attributes: str = "") -> None:
    """Installs a package with a reward whose judge is ``body``, the lines of a function of ``answers``."""
    info = folder / f"{kind}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tunewright.rewards]\n{kind} = {kind}_reward:METHOD\n")
    code = f"""
from tunewright.tools.training.reward import RewardMethod

class Foreign(RewardMethod):
    kind = {kind!r}
    summary = "a test"
    source = "a test"
{textwrap.indent(textwrap.dedent(attributes), "    ")}
    def patience(self, settings, answers):
        return 0.5

    def open(self, settings, court):
        def judge(answers):
{textwrap.indent(textwrap.dedent(body), "            ")}
        return judge

METHOD = Foreign()
"""
    (folder / f"{kind}_reward.py").write_text(code)
