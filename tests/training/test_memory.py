"""What keeps memory low: it changes no number where it says so, and is refused where it cannot be had."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.objective import StopAfter
from tests.training.conftest import stage

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Memory, Recipe
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import adapter, adapters, check_recipe

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
SAME = ({"checkpoint_every": 1}, {"checkpoint_every": 2}, {"offload": True}, {"compact": True})
"""What changes no bit."""


def lean(kind: str = "lora", memory: dict[str, Any] | None = None, **optimisation: Any) -> dict[str, Any]:
    known = adapter(kind).Config.model_fields
    settings = {name: value for name, value in (("rank", 4), ("dropout", 0.2)) if name in known}
    return {**stage({"kind": kind, **settings}, **optimisation), "memory": memory or {}}


def left(job: Any) -> tuple[Any, ...]:
    """What must be the same of two jobs."""
    result = job.result()
    return job.curve(), result.adapter_digest, result.measurement.value, result.measurement.low


def test_each_is_the_same_to_the_bit(make_job: Make) -> None:
    plain = make_job("plain", lean())
    assert main(plain.argv) == CODES["done"]
    for number, memory in enumerate(SAME):
        job = make_job(f"job{number}", lean(memory=memory))
        assert main(job.argv) == CODES["done"]
        assert left(job) == left(plain), memory


@pytest.mark.parametrize("kind", [kind for kind in adapters() if adapter(kind).recomputes])
def test_all_together_are_the_same_for_every_adapter(make_job: Make, kind: str) -> None:
    plain, job = (
        make_job("plain", lean(kind, steps=4)),
        make_job("job", lean(kind, {"checkpoint_every": 1, "offload": True, "compact": True}, steps=4)),
    )
    assert main(plain.argv) == main(job.argv) == CODES["done"]
    assert left(job) == left(plain)
