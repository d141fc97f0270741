"""What tests of reading briefs share: the registries, the reader, a reading as flat names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.agents.brief import Reading, read_brief
from tunewright.agents.brief.naming import Naming
from tunewright.agents.known import menu
from tunewright.domain.task import Brief, Direction
from tunewright.tools.data.layout import inspect
from tunewright.tools.training.registry import naming

SCORERS: dict[str, Direction] = {
    "accuracy": "max",
    "contains": "max",
    "exact_match": "max",
    "json_valid": "max",
    "loss": "min",
    "macro_f1": "max",
    "perplexity": "min",
    "reasoning_gym": "max",
    "rouge_l": "max",
    "token_f1": "max",
}
ALIASES = ("smollm2-135m", "tiny")
ADAPTERS = {kind: Naming(*naming("adapters", kind)) for kind in ("lora", "dora", "rslora", "ia3", "full")}
TOPICS = ("billing", "refund", "delivery")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(text: str, source: Path | None = None) -> Reading:
    brief = Brief(text=text, source=str(source) if source else None)
    return read_brief(brief, look=inspect, aliases=ALIASES, scorers=SCORERS, menu=replace(menu(), adapters=ADAPTERS))


def facts(reading: Reading) -> dict[str, Any]:
    """A reading as flat names, with only the caps that are set."""
    task = reading.task
    caps = {name: cap for name, cap in reading.budget.model_dump().items() if cap is not None}
    return caps | {
        "model": task.model,
        "paths": [source.path for source in task.sources],
        "format": task.format,
        "fields": f"{task.input_field}>{task.target_field}",
        "metric": task.metric.name,
        "constraints": task.constraints,
        "adapters": reading.wishes.adapters,
        "without": reading.wishes.without,
        "max_rank": reading.wishes.max_rank,
    }


START = "Teach tiny to label rows.jsonl (field label). Maximise accuracy. "
