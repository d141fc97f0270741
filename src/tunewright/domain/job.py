"""What goes into a sandbox: the specification of a training or an evaluation, bound by hash.

A job is a folder: ``spec.json`` and ``in/`` are read-only inside, ``out/`` is written. No spec holds a
path of the host, so the same spec runs on any machine; the model and the threads are found by the
sandbox and told on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from tunewright.domain.frozen import Frozen, content_hash
from tunewright.domain.recipe import Recipe
from tunewright.domain.task import TaskSpec

Split = Literal["train", "val", "test"]
PREFLIGHT_STEPS = 2
"""Of each stage: with the second the optimiser's moments are there, which the first makes."""


class SplitIdentity(Frozen):
    """One frozen split: the SHA-256 of its JSONL file, and its rows."""

    digest: str
    rows: int = Field(ge=0)


class DataIdentity(Frozen):
    """The frozen splits of a study."""

    train: SplitIdentity
    val: SplitIdentity
    test: SplitIdentity


class ModelIdentity(Frozen):
    """Which weights: how to find them again, and how to know that they are the same."""

    ref: str
    """Alias, hub name or directory, as the user wrote it."""
    digest: str
    """SHA-256 over the names and bytes of weights, configuration and tokenizer files."""
    parameters: int = Field(gt=0)


class CodeIdentity(Frozen):
    """Which code: enough to see whether a reproduction runs the same."""

    version: str
    digest: str
    """SHA-256 over the package's sources that run inside a trial (``tools`` and ``domain``)."""
    packages: dict[str, str] = {}
    """Version of every distribution that can change a number: torch, transformers, peft, trl, ..."""
    git_commit: str | None = None
    git_dirty: bool | None = None


class Limits(Frozen):
    """What a job may use. The sandbox enforces it."""

    wall_s: float = Field(gt=0)
    """The job is asked to stop when it is over, and killed ``grace_s`` later."""
    grace_s: float = Field(30.0, gt=0)
    memory_gib: float = Field(gt=0)
    threads: int = Field(gt=0)
    """CPU threads. Part of the spec because sums of floats depend on it."""
    gpus: int = Field(0, ge=0)
    pids: int = Field(512, gt=0)
    log_mib: float = Field(16.0, gt=0)
    """What stdout and stderr may hold together; the rest is dropped."""
    disk_gib: float = Field(8.0, gt=0)
    """What ``out/`` may hold."""


class Rungs(Frozen):
    """When a training is measured on validation data before its end."""

    steps: tuple[int, ...] = ()
    """Ascending optimiser steps; those at or past the end are left out. The end is always measured,
    on all rows."""
    epochs: tuple[float, ...] = ()
    """Instead of steps, for recipes of one stage: ascending passes over the data, so that at a rung all have seen the
    same of it, whatever their batches."""
    rows: int | None = None
    """Validation rows measured at a rung: the first so many, the same for every trial. None: all."""

    def __bool__(self) -> bool:
        return bool(self.steps or self.epochs)

    def looks(self, recipe: Recipe, total_steps: int) -> dict[int, int]:
        """Optimiser step -> number of the rung that is reached with it, from 0; those at or past the end are left out.

        Args:
            total_steps: of the recipe on its data.
        """
        steps: tuple[int, ...] = self.steps
        length = recipe.stages[0].optimisation.epochs
        if self.epochs and len(recipe.stages) == 1 and length is not None:
            steps = tuple(round(total_steps * epochs / length) for epochs in self.epochs)
        return {step: rung for rung, step in enumerate(steps) if 0 < step < total_steps}


class _JobSpec(Frozen):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Unique in its study; the folder's name."""
    study: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    task: TaskSpec
    model: ModelIdentity
    limits: Limits
    code: CodeIdentity
    sandbox: str
    """Name of the sandbox: the kind of machine the numbers belong to."""
    sandbox_options: dict[str, str] = {}
    """Of that sandbox, so that a reproduction gets the same kind."""
    image: str | None = None
    """Digest of the container image, where there is one."""


class TrialSpec(_JobSpec):
    """A training made runnable. What was approved is its ``binding``."""

    job: Literal["training"] = "training"
    recipe: Recipe
    data: DataIdentity
    rungs: Rungs = Rungs()
    preflight_steps: int | None = Field(None, gt=0)
    """Only so many steps of each stage, on its longest rows, and a measurement of a few long rows: to see what memory
    they take. None: the whole recipe."""

    @property
    def binding(self) -> str:
        """Hash over recipe, code, data, image and limits: what a decision binds.

        Not in it: the id, so that a reproduction of the same thing has the same binding; and what git says, as the
        digest of the sources is the code and a commit of a README is not. A whole training has the binding that it had
        before there were preflights.
        """
        left: dict[str, Any] = {"id": True, "study": True, "code": {"git_commit", "git_dirty"}}
        if self.preflight_steps is None:
            left["preflight_steps"] = True
        return content_hash(self.model_dump(mode="json", exclude=left))

    def stage_key(self, index: int) -> str:
        """Hash over everything that decides what the stages up to ``index`` leave: trials that agree in it can share
        them. Not in it: what is measured on the way, limits of time and memory, and the stages that follow."""
        given = self.model_dump(mode="json", include={"task", "model", "code", "sandbox", "sandbox_options", "image"})
        given["code"] = {name: given["code"][name] for name in ("digest", "packages")}
        stages = [stage.model_dump(mode="json") for stage in self.recipe.stages[: index + 1]]
        hardware = [self.limits.threads, self.limits.gpus]
        return content_hash([given, self.data.train.digest, hardware, self.recipe.seed, stages])


class EvaluationSpec(_JobSpec):
    """Scoring a split with the base model, or with an adapter from ``in/adapter``."""

    job: Literal["evaluation"] = "evaluation"
    split: Split
    data: SplitIdentity
    adapter_digest: str | None = None
    """Digest of the adapter in ``in/adapter``; None for the untouched base model."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"


JobSpec = Annotated[TrialSpec | EvaluationSpec, Field(discriminator="job")]
job_spec: TypeAdapter[TrialSpec | EvaluationSpec] = TypeAdapter(JobSpec)


@dataclass(frozen=True)
class Job:
    """A specification with its folder and its model on this machine: what a sandbox is given.

    ``folder`` holds ``spec.json``, ``in/`` and ``out/`` already; ``model`` is a model directory.
    """

    spec: TrialSpec | EvaluationSpec
    folder: Path
    model: Path

    @property
    def module(self) -> str:
        """The module that runs it: ``python -m MODULE FOLDER --model DIR``."""
        return f"tunewright.tools.{self.spec.job}"

    @property
    def out(self) -> Path:
        return self.folder / "out"
