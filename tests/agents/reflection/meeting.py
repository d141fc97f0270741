"""Studies that a panel meets about, and the meeting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.agents.test_lessons import story
from tests.stories import Story

from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.reflection.panel import Panel
from tunewright.domain import event as ev
from tunewright.domain.proposal import Idea
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study

LR = "stages.0.optimisation.lr"
EPOCHS = "stages.0.optimisation.epochs"
KIND = "stages.0.adapter.kind"
HOT = "the loss is nan at step 4: try a lower learning rate"


def diverged(rate: float = 1.8e-3) -> Story:
    """A default, and a trial whose loss broke down."""
    made = story({"score": 0.7}, {"lr.lora": rate, "fault": "config"})
    events = [
        one.model_copy(update={"outcome": one.outcome.model_copy(update={"fault": _hot(one)})})
        if isinstance(one, ev.JobEnded) and one.job == "t1"
        else one
        for one in made.events
    ]
    made.events, made.study = events, Study(events)
    return made


def _hot(one: Any) -> Any:
    return one.outcome.fault.model_copy(update={"message": HOT, "step": 4})


def overfit() -> Story:
    made = story({"score": 0.6})
    plan = made.study.plan
    assert plan is not None
    recipe = plan.space.build({**plan.space.default(), "epochs": 3.0})
    (job,) = made.propose([Idea(recipe=recipe, origin="sampler", reason="r")])
    made.launch(job)
    made.measure(job, 25, 0.6)
    made.measure(job, 75, 0.75)
    made.complete(job, 0.55)
    made.judge(job, "t0")
    return made


def meet(told: Story, trials: list[str] | None = None, **panel: Any) -> list[ev.Event]:
    """A meeting on these trials, or all; its events are told."""
    made = Panel(panel.pop("folder", Path("nowhere")), **panel)
    found = made.meet(told.study, trials or [job.id for job in told.study.trials if job.ended])
    for one in found:
        told.tell(one.model_copy(update={"at": told.tick()}))
    return found


def brains(folder: Path, **answers: list[Any]) -> Any:
    """role -> one scripted model for all; roles without an answer have none."""
    file = folder / "script.jsonl"
    entries = [{"role": role.replace("__", "."), "answer": one} for role, said in answers.items() for one in said]
    file.write_text("".join(json.dumps(one) + "\n" for one in entries))
    brain = ScriptedBrain(file, record=lambda one: None)
    roles = {one["role"] for one in entries}

    def of(role: str) -> Brain | None:
        return brain if role in roles else None

    return of


def reflected(events: list[ev.Event]) -> ev.Reflected:
    assert isinstance(events[-1], ev.Reflected)
    return events[-1]


# Rules
