"""A study on disk for tests of tracking: its events, its data, and job folders as a sandbox leaves them."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

from tests.stories import CODE, MODEL, RUNGS, Story, space, task

from tunewright.domain import event as ev
from tunewright.domain.job import DataIdentity, EvaluationSpec, Limits, SplitIdentity, TrialSpec
from tunewright.domain.job_event import Role
from tunewright.domain.outcome import Completed, Item
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Measured, Progressed, Started, TrialEvent

LIMITS = Limits(wall_s=150, memory_gib=4, threads=2)
ROWS = 40
_STARTED = itertools.count()


class Recorded:
    """A study in ``folder`` whose jobs are told with ``story`` and written as files beside it."""

    def __init__(self, folder: Path, name: str = "route-01") -> None:
        self.folder = folder / name
        started = 1_790_000_000.0 + 1000 * next(_STARTED)  # one server sees the studies of many tests
        self.story = Story(name=name, space=space(), task=task(), started=started)
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "sealed").mkdir()
        self.data = DataIdentity(train=self._split("train"), val=self._split("val"), test=self._split("test"))
        self.story.tell(
            ev.DataFrozen(at=self.story.tick(), data=self.data, profile=self.story.study.profile)  # type: ignore[arg-type]  a Story always has one
        )

    @property
    def study(self) -> Study:
        return self.story.study

    def job(self, job: str) -> Path:
        return self.folder / "trials" / job

    def recipe(self) -> Recipe:
        """The default, with a seed of its own for every proposal."""
        plan = self.study.plan
        assert plan is not None
        return plan.space.build(plan.space.default()).reseeded(len(self.study.proposals))

    def begin(self, role: Role = "trial", job: str = "") -> str:
        """Proposes (a trial), stages and launches a job; its id."""
        if role == "trial":
            origin = "default" if not self.study.proposals else "sampler"
            idea = {"recipe": self.recipe(), "origin": origin, "reason": "as good as any other", "parent": None}
            (job,) = self.story.propose([Idea.model_validate(idea)])
        spec = self._spec(job, role)
        (self.job(job) / "out").mkdir(parents=True)
        (self.job(job) / "spec.json").write_text(spec.model_dump_json())
        self.story.launch(job, role=role)
        return job

    def end(self, job: str, score: float = 0.8, *, steps: int = 225, shift: float = 0.0) -> list[TrialEvent]:
        """Writes what the job leaves in ``out/`` and tells that it completed; its events.

        Args:
            shift: added to every loss from step 3 on, to make a training that differs.
        """
        out, at = self.job(job) / "out", self.story.now
        curve = [(step, 3.0 / step + (shift if step > 2 else 0.0)) for step in range(1, steps + 1)]
        digest = hashlib.sha256(json.dumps(curve).encode()).hexdigest()
        self.story.complete(job, score, seconds=float(steps), adapter_digest=digest, curve_digest=digest)
        outcome = self.study.jobs[job].outcome
        assert isinstance(outcome, Completed) and outcome.result.measurement is not None
        events: list[TrialEvent] = [Started(at=at, device="cpu", threads=2)]
        for step, loss in curve:
            more = {"lr": 1e-4, "grad_norm": 0.5, "tokens": 512 * step, "memory_gib": 1.5}
            events.append(Progressed(at=at + step, step=step, of=steps, loss=loss, **more))  # type: ignore[arg-type]  one dict of floats and ints
        final = outcome.result.measurement.model_copy(update={"step": steps})
        events.append(Measured(at=at + steps, measurement=final, final=True))
        self._write(out / "events.jsonl", [event.model_dump_json() for event in events])
        self._write(out / "curve.jsonl", [json.dumps({"step": step, "loss": loss}) for step, loss in curve])
        items = [
            Item(id=f"{i:016x}", score=float(i % 5 > 0), prediction="billing", target="refund") for i in range(ROWS)
        ]
        self._write(out / "items.jsonl", [item.model_dump_json() for item in items])
        (out / "result.json").write_text(outcome.result.model_dump_json())
        (out / "adapter").mkdir(exist_ok=True)
        config = {"base_model_name_or_path": "/model", "peft_type": "LORA", "r": 8}
        (out / "adapter" / "adapter_config.json").write_text(json.dumps(config))
        (out / "adapter" / "adapter_model.safetensors").write_bytes(digest.encode())
        return events

    def finish(self, winner: str | None) -> None:
        self.story.tell(ev.Finished(at=self.story.tick(), winner=winner, reason="as good as it gets"))

    def _spec(self, job: str, role: Role) -> TrialSpec | EvaluationSpec:
        shared = {"id": job, "study": self.study.name, "task": task(), "model": MODEL, "limits": LIMITS, "code": CODE}
        if role in ("base", "test"):
            split = "val" if role == "base" else "test"
            more = {"split": split, "data": getattr(self.data, split), "sandbox": "process"}
            return EvaluationSpec.model_validate(shared | more)
        recipe = self.study.recipe_of(job).recipe if role == "trial" else self.recipe()
        more = {"recipe": recipe, "data": self.data, "rungs": RUNGS, "sandbox": "process"}
        return TrialSpec.model_validate(shared | more)

    def _split(self, name: str) -> SplitIdentity:
        path = self.folder / ("sealed" if name == "test" else "data") / f"{name}.jsonl"
        text = "".join(
            json.dumps({"id": f"{i:016x}", "input": f"{name} {i}", "target": "x"}) + "\n" for i in range(ROWS)
        )
        path.write_text(text)
        return SplitIdentity(digest=hashlib.sha256(text.encode()).hexdigest(), rows=ROWS)

    def _write(self, path: Path, lines: list[str]) -> None:
        path.write_text("".join(line + "\n" for line in lines))
