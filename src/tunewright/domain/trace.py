"""What the agents did, as trees of spans: a view of a study's journal and recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import model_validator

from tunewright.domain.frozen import Frozen, Json

SpanKind = Literal["AGENT", "CHAIN", "CHAT_MODEL", "TOOL", "TASK", "EVALUATOR"]
"""MLflow's words: an agent's work; steps; a call of a model; of a tool; a job; a judgement."""


class Usage(Frozen):
    """What a call of a model took."""

    tokens: int
    answered: int | None = None
    """Those of the answer, where the server tells them apart."""
    usd: float = 0.0


class Span(Frozen):
    """One thing that was done."""

    id: str
    """Unique in its trace; the same however often the trace is made."""
    parent: str | None = None
    name: str
    kind: SpanKind
    start: float
    """Seconds since the epoch."""
    end: float
    inputs: Json = None
    outputs: Json = None
    facts: dict[str, Json] = {}
    usage: Usage | None = None
    model: str = ""
    error: str = ""
    """Why it failed; nothing if it did not."""


class Trace(Frozen):
    """One piece of work: of an agent that a model answers for, or of the study on one job.

    Made again from the same facts it is the same, so that it can be written again without doubling.
    """

    id: str
    """Unique in its study."""
    name: str
    spans: tuple[Span, ...]
    """The root first; a parent before its children."""
    jobs: tuple[str, ...] = ()
    """What it was about."""
    role: str = ""
    """The agent's; empty where several had a part in it."""
    prompt: str = ""
    """``NAME@VERSION`` of the prompt's file."""

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        known: set[str] = set()
        for span in self.spans:
            if span.id in known or (span.parent is None) != (not known) or (known and span.parent not in known):
                raise ValueError(f"span '{span.id}' of trace '{self.id}' is no part of one tree")
            known.add(span.id)
        if not known:
            raise ValueError(f"trace '{self.id}' has no span")
        return self

    @property
    def root(self) -> Span:
        return self.spans[0]


def spanning(trace: Sequence[Span]) -> tuple[float, float]:
    """From the earliest start to the latest end."""
    return min(span.start for span in trace), max(span.end for span in trace)
