"""A study with a real journal, frozen rows and launcher, whose trials run hostile code in a real sandbox."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.stories import CODE, FORECAST, LABELS, Story, planned, space, task

from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.specification import Specifier, allowed_s, training_inputs
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import SandboxError
from tunewright.domain.job import DataIdentity, Job, SplitIdentity, TrialSpec
from tunewright.domain.live import Live
from tunewright.domain.outcome import Completed, Failed, Outcome
from tunewright.domain.proposal import Decision, Proposal
from tunewright.domain.protocols import Handle, Sandbox
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Noted
from tunewright.tools.models.digest import digest_model
from tunewright.tracking.journal import Journal, events
from tunewright.tracking.memory import MemoryTracker

ROWS = 12
SEALED = "SEALED-4471"


@dataclass(frozen=True)
class HostileJob(Job):
    """A trial whose code is not ours."""

    @property
    def module(self) -> str:
        return "tunewright_hostile_job"


class Hostile:
    """A sandbox that is given hostile code in the place of each training's."""

    def __init__(self, inner: Sandbox) -> None:
        self.inner, self.name = inner, inner.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def prepare(self, threads: int) -> None: ...

    def start(self, job: Job) -> Handle:
        return self.inner.start(HostileJob(job.spec, job.folder, job.model))

    def recover(self, job: Job) -> Any:
        return self.inner.recover(job)

    def facts(self) -> Mapping[str, str]:
        return self.inner.facts()


class Lab:
    """One study. A context manager: it holds the journal.

    Args:
        home: a new folder for it.
        sandbox: entered.
    """

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.folder, self.model = home / "studies" / "route-01", home / "model"
        self.sandbox = sandbox
        self.journal = Journal(self.folder)
        self.tracker = MemoryTracker()
        self.seen: list[object] = []
        self._home = home

    def __enter__(self) -> Self:
        self.model.mkdir(parents=True)
        (self.model / "config.json").write_text("{}")
        data = DataIdentity(**{name: self._freeze(name) for name in ("train", "val", "test")})
        story = Story(space=space(), task=task(), started=time.time() - 10)
        self.journal.__enter__()
        model = story.study.model.model_copy(update={"digest": digest_model(self.model)}) if story.study.model else None
        real = {"data-frozen": {"data": data}, "model-found": {"model": model}}
        for one in story.events:
            self.journal.append(one.model_copy(update=real.get(one.kind, {})))
        self._story, self.notebook = story, Notebook(self.journal, self.seen.append)
        self.launcher = Launcher(
            self.notebook, Hostile(self.sandbox), self.tracker, self.folder, Stop(), model=self.model
        )
        self.specifier = Specifier(code=CODE, image=None, forecast=lambda *_: FORECAST, check=lambda _: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.__exit__(kind, error, trace)

    @property
    def study(self) -> Study:
        return self.journal.study

    @property
    def journalled(self) -> list[ev.Event]:
        """What the file says."""
        return events(self.folder)[0]

    @property
    def warned(self) -> str:
        return "\n".join(one.message for one in self.journalled if isinstance(one, ev.Warned))

    @property
    def alarms(self) -> list[str]:
        """Warnings about what the jobs wrote, as people see them."""
        said = [one.event for one in self.seen if isinstance(one, Live)]
        return [one.message for one in said if isinstance(one, Noted) and one.level == "warning"]

    @property
    def noted(self) -> dict[str, Any]:
        """What the last job said of its deeds."""
        said: dict[str, Any] = {}
        for one in self.seen:
            if isinstance(one, Live) and isinstance(one.event, Noted):
                with suppress(ValueError):
                    said = json.loads(one.event.message)
        return said

    def proposal(self) -> Proposal:
        """Another recipe, proposed and not answered."""
        idea = planned(self._story)
        self._story.propose([idea], approve=False)
        made = self.specifier.price(self.study, idea, f"t{len(self.study.proposals)}")
        self.notebook.record(ev.Proposed(proposals=(made,)))
        return made

    def approve(self, proposal: Proposal) -> TrialSpec:
        decision = Decision(target=proposal.id, action="approve", by="person", binds=proposal.binding)
        self.notebook.record(ev.Decided(decision=decision))
        return self.specifier.trial(self.study, proposal.recipe, proposal.id, allowed_s(proposal.forecast))

    def run(self, do: str, **script: Any) -> Outcome:
        """An approved trial that does so."""
        return self.launch(self.approve(self.proposal()), do, **script)

    def launch(self, spec: TrialSpec, do: str = "honest", **script: Any) -> Outcome:
        path = self._home / f"{spec.id}.json"
        path.unlink(missing_ok=True)
        path.write_text(json.dumps({"do": do, **script}))
        inputs = {**training_inputs(self.folder), "script.json": path}
        return self.launcher.run(Errand(spec, "trial", inputs, Cost(), proposal=spec.id))

    def out(self, job: str) -> Path:
        return self.folder / "trials" / job / "out"

    def _freeze(self, split: str) -> SplitIdentity:
        path = self.folder / ("sealed" if split == "test" else "data") / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        said = SEALED if split == "test" else "where is it?"
        rows = [
            {"id": f"{split}{at}", "source": "messages", "input": said, "target": LABELS[at % len(LABELS)], "meta": {}}
            for at in range(ROWS)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return SplitIdentity(digest=hashlib.sha256(path.read_bytes()).hexdigest(), rows=ROWS)


def score(outcome: Outcome) -> float | None:
    """What counts of it; None if nothing does."""
    return outcome.score if isinstance(outcome, Completed) else None


def fault(outcome: Outcome) -> str:
    assert isinstance(outcome, Failed), outcome
    return outcome.fault.message


def engine() -> str:
    """Why no Docker Engine can be had; nothing where one answers."""
    from tunewright.sandbox.container import connect

    try:
        connect()
    except SandboxError as error:
        return error.message
    return ""
