"""A server on loopback, named by the environment as litellm reads it, and a study with a budget to ask it from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.stories import Story, space, task
from tests.support.openai_server import OpenAiServer

from tunewright.agents.brains.guard import budget_guard
from tunewright.agents.brains.litellm import LitellmBrain
from tunewright.agents.brains.recording import Call
from tunewright.agents.brains.sending import Patience
from tunewright.domain.budget import Budget
from tunewright.domain.event import ModelAsked, ModelAsking
from tunewright.domain.study import Study

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiServer]:
    with OpenAiServer() as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@dataclass
class Asker:
    """A brain over a study in memory, whose waits are noted and not waited."""

    budget: Budget = field(default_factory=lambda: Budget(llm_tokens=1_000_000))
    waits: list[float] = field(default_factory=list)
    kept: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.story = Story(space=space(), task=task(), budget=self.budget)

    @property
    def study(self) -> Study:
        return self.story.study

    def keep(self, call: Call) -> str:
        self.kept.append(call)
        return call.content_digest

    def brain(self, tell: Callable[[Any], None] | None = None, **options: Any) -> LitellmBrain:
        patience = Patience(options.pop("timeout_s", 5.0), options.pop("patience_s", 60.0), sleep=self.waits.append)
        return LitellmBrain(
            options.pop("model", "openai/stub"),
            record=tell or self.story.tell,
            intend=tell or self.story.tell,
            guard=budget_guard(lambda: self.study),
            keep=self.keep,
            patience=patience,
            **options,
        )

    @property
    def asked(self) -> list[ModelAsked]:
        return [one for one in self.story.events if isinstance(one, ModelAsked)]

    @property
    def intents(self) -> list[ModelAsking]:
        return [one for one in self.story.events if isinstance(one, ModelAsking)]

    @property
    def tokens(self) -> int:
        return self.study.spent().llm_tokens


@pytest.fixture
def asker() -> Asker:
    return Asker()
