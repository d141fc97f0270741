"""Takes an MLflow run and trains it again, or hands its adapter out. Needs MLflow and the code alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright import settings as settings_
from tunewright.app.shelf import quiet
from tunewright.app.wiring import PRELOAD, find_model, loadable
from tunewright.domain.errors import SandboxError, UsageError
from tunewright.domain.job import Job, TrialSpec
from tunewright.domain.live import Live, Observer, Said
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.tracking.reproduction import Reproduction

_PATIENCE = 5.0
"""A reproduction may take this many times what the trial was allowed: the machine may be slower."""


def reproduce(run_id: str, *, settings: Settings | None = None, observer: Observer = quiet) -> Reproduction:
    """Fetches spec and data from the run, checks every digest, trains again in the same kind of sandbox, compares.

    Args:
        run_id: of a trial, whole or its first six characters or more.

    Raises:
        UsageError: no such run, or one that trained nothing or did not end well.
        UsageError: the data or the model is not what the run began from; nothing was trained.
    """
    from tunewright.tracking.identity import code_identity
    from tunewright.tracking.mlflow import MlflowStore
    from tunewright.tracking.reproduction import check_identity, compare, fetch

    settings = settings or settings_.load()
    store = MlflowStore(settings.mlflow_uri, settings.home)
    folder = settings.home / "reproductions" / time.strftime("%Y%m%d-%H%M%S")
    bundle = fetch(run_id, folder / "recorded", store)

    def say(line: str) -> None:
        observer(Said(line))

    found = find_model(bundle.spec.model.ref, settings, say)
    checks = check_identity(bundle, code=code_identity(), model_digest=found.identity.digest)
    for check in checks:
        if not check.ok and check.name in ("data", "model"):
            raise UsageError(
                f"the {check.name} of run {bundle.run_id} is not what it was: {check.detail}",
                "nothing was trained; bring it back as it was when the run was recorded",
            )
    patient = bundle.spec.limits.model_copy(update={"wall_s": bundle.spec.limits.wall_s * _PATIENCE})
    spec = bundle.spec.model_copy(update={"limits": patient})
    inputs = {"train.jsonl": bundle.train, "val.jsonl": bundle.val}
    out = _train(spec, folder / "job", found.path, inputs, observer)
    return compare(bundle, out, checks=checks)


def _train(spec: TrialSpec, folder: Path, model: Path, inputs: dict[str, Path], observer: Observer) -> Path:
    """Runs the training to its end and gives its ``out/``."""
    from tunewright.sandbox.registry import open_sandbox
    from tunewright.sandbox.staging import stage

    stage(folder, spec, inputs)
    job = Job(spec, folder, model)
    with open_sandbox(spec.sandbox, spec.sandbox_options, preload=PRELOAD) as sandbox:
        image = sandbox.facts().get("image")
        if image != spec.image:
            observer(Said(f"the image differs from the recorded one: {image} instead of {spec.image}"))
        handle = sandbox.start(job)
        while (ended := handle.wait(timeout_s=0)) is None:
            for event in handle.events(timeout_s=0.5):
                observer(Live(spec.id, event))
    if ended.code != 0:
        raise SandboxError(
            f"the training did not end well: exit code {ended.code} {ended.message.strip()[-300:]}".strip(),
            f"its files are in {folder}",
        )
    return job.out


def export(run_id: str, destination: Path, *, settings: Settings | None = None) -> Path:
    """Writes the run's adapter as a PEFT folder with a model card.

    Raises:
        UsageError: the destination holds something already, or the run has no adapter.
    """
    from tunewright.tracking.export import export as write
    from tunewright.tracking.mlflow import MlflowStore

    settings = settings or settings_.load()

    def base(ref: str) -> str:
        return loadable(ref, lambda: find_model(ref, settings, lambda line: None).path)

    return write(run_id, destination, MlflowStore(settings.mlflow_uri, settings.home), base=base)
