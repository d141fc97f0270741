"""A training job from its specification to its result: the stages in turn, then validation, once more on all rows.

What is done stays done: a finished stage leaves its adapter under ``out/stages/``, the stage in progress its
checkpoint under ``out/checkpoint/``. An attempt after a stop or a crash goes on from the last of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tunewright.domain.job import Limits, SplitIdentity, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.recipe import Stage
from tunewright.domain.trial_event import Started
from tunewright.tools.contract import FaultError, Output
from tunewright.tools.data.rows import Row, load_rows
from tunewright.tools.models.adapter import (
    adapter_bytes,
    attach,
    detached,
    digest_adapter,
    mark_stages,
    merged,
    save_adapter,
    trainable_again,
)
from tunewright.tools.models.load import load_model
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training import prefix
from tunewright.tools.training.batch import StageData, general_rows, stage_data, stage_rows
from tunewright.tools.training.choosing import Chooser
from tunewright.tools.training.curve import Curve
from tunewright.tools.training.first_steps import limited, longest_first, weighed
from tunewright.tools.training.learning import Learning
from tunewright.tools.training.memory import ON_GPUS, missing
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.registry import objective as find_objective
from tunewright.tools.training.stage import train_stage
from tunewright.tools.training.stop import Interrupted, Stop


def run_trial(progress: Progress, folder: Path, model_path: Path) -> JobResult:
    """Trains and measures.

    Args:
        progress: of this job, as it begins.
        folder: the job's folder.
        model_path: the base model's directory.

    Returns:
        The result: ``done``, or ``paused`` if it was time to stop.

    Raises:
        FaultError, TunewrightError: the job failed.
    """
    spec, out = progress.spec, progress.folder
    check_recipe(spec.recipe, spec.task)
    _check_machine(spec)
    train = load_rows(_checked(folder / "in" / "train.jsonl", spec.data.train))
    progress.val = load_rows(_checked(folder / "in" / "val.jsonl", spec.data.val))
    if not progress.val:
        raise FaultError("data", "there are no validation rows", 0)
    device = progress.device.partition(":")[0]
    model, progress.tokenizer = load_model(model_path, device=device)
    progress.base = lambda: load_model(model_path, device=device)[0].requires_grad_(False)
    rows = [stage_rows(train, spec.task, stage) for stage in spec.recipe.stages]
    steps = [stage.total_steps(len(own)) for stage, own in zip(spec.recipe.stages, rows, strict=True)]
    progress.total_steps = sum(limited(steps, spec.preflight_steps))
    shared = prefix.take_up(folder / "in" / "prefix", out)
    found = checkpoints.latest(out / "checkpoint")
    done = _finished(out, len(rows))
    if done:
        progress.recall(prefix.COUNTERS)
    if shared:
        progress.share()
        progress.output.note(
            f"the first {done} of {len(rows)} stages are an earlier trial's: the same recipe until there"
        )
    resumed = found.counters.step if found is not None and found.stage == done else progress.counters.step
    progress.curve = Curve(out / "curve.jsonl", after=resumed)
    progress.output.event(_started(progress, resumed))
    try:
        model = _train(progress, model, train, done, found)
        progress.ready()
        progress.compute_in(spec.recipe.stages[-1].optimisation.precision)
        if spec.preflight_steps is not None:
            return weighed(progress, model)
        measurement, items = progress.measure(model, final=True)
    except Interrupted:
        adapter = out / "adapter"  # there is one if the end was being scored
        return progress.result("paused", adapter_bytes=adapter_bytes(adapter) if adapter.is_dir() else 0)
    progress.output.items(items)
    shutil.rmtree(out / "checkpoint", ignore_errors=True)
    adapter = out / "adapter"
    return progress.result(
        "done",
        measurement=measurement,
        adapter_bytes=adapter_bytes(adapter),
        adapter_digest=digest_adapter(adapter),
    )


def prepare(limits: Limits) -> str:
    """Sets this process up to compute the same numbers every time. Gives the device: ``cpu``, or ``cuda: NAME``.

    Raises:
        FaultError: ``infra`` if GPUs are asked for and there are none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(limits.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # for debugging; it costs time
    if not limits.gpus:
        return "cpu"
    if not torch.cuda.is_available():
        raise FaultError("infra", f"{limits.gpus} GPU asked for and none can be used here", 0)
    return f"cuda: {torch.cuda.get_device_name()}"


def _train(progress: Progress, model: Any, rows: Sequence[Row], done: int, found: Any) -> Any:
    """The model with the last stage's adapter; every stage that is not done is trained."""
    out, stages = progress.folder, progress.spec.recipe.stages
    if done == len(stages):
        return attach(model, _assembled(out, stages))
    for index, stage in enumerate(stages):
        goes_on = index + 1 < len(stages) and stages[index + 1].carry == "continue"
        if index < done:
            if not (goes_on and index + 1 < done):  # else the next folder holds this adapter as it became
                model = attach(model, out / "stages" / str(index), trainable=goes_on)
        else:
            own = found if found is not None and found.stage == index else None
            data = _data(progress, model, rows, index)
            model, learning = train_stage(model, data, stage, index, progress, own)
            _keep_stage(progress, model, learning, index)
            if goes_on:
                trainable_again(model)
        if index + 1 < len(stages) and not goes_on:
            policy = find_objective(stage.objective.kind).trains_policy
            model = merged(model) if policy else detached(model)
    finished = _assembled(out, stages)
    if any(stage.memory.base_bits in ON_GPUS for stage in stages) and progress.base is not None:
        return attach(progress.base(), finished)  # what is handed out goes on whole weights, and so it is measured
    return model


def _check_machine(spec: TrialSpec) -> None:
    """Raises if the recipe asks for what this machine does not have."""
    found = [reason for stage in spec.recipe.stages for reason in missing(stage.memory, spec.limits.gpus)]
    if found:
        raise FaultError("config", found[0], 0)


def _data(progress: Progress, model: Any, rows: Sequence[Row], index: int) -> StageData:
    """What stage number ``index`` trains on, with a word on what it does not."""
    spec = progress.spec
    task, stage = spec.task, spec.recipe.stages[index]
    progress.compute_in(stage.optimisation.precision)
    own = stage_rows(rows, task, stage)
    chooser = Chooser(progress, model, index, len(own))
    data = stage_data(
        own,
        task,
        stage,
        index,
        spec.recipe.seed,
        progress.tokenizer,
        chooser.select,
        chooser.weigh,
        general_rows(rows, task, stage),
    )
    if data.cut:
        lost = "their end" if all(row.get("raw") for row in data.rows) else "the beginning of their input"
        progress.output.note(
            f"{data.cut} of {len(data.rows)} training rows are longer than {data.form.limit} tokens and lose {lost}",
            "warning",
        )
    for reason, count in data.left.items():
        progress.output.note(f"{count} of {len(data.rows)} training rows are left out: each {reason}", "warning")
    return data if spec.preflight_steps is None else longest_first(data, spec.preflight_steps)


def _keep_stage(progress: Progress, model: Any, learning: Learning, index: int) -> None:
    """Saves a finished stage; it counts as finished from the moment its folder has its name."""
    home = progress.folder / "stages"
    partial = home / f"{index}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_adapter(model, partial, base=progress.spec.task.model)
    learning.save(partial)
    progress.keep(prefix.COUNTERS)
    partial.rename(home / str(index))
    if index + 1 < len(progress.spec.recipe.stages):
        prefix.leave(progress.folder, index)


def _finished(out: Path, stages: int) -> int:
    """How many stages an earlier attempt has finished."""
    if (out / "adapter").is_dir():
        return stages
    return next((index for index in range(stages) if not (out / "stages" / str(index)).is_dir()), stages)


def _assembled(out: Path, stages: Sequence[Stage]) -> Path:
    """``out/adapter``, made of the finished stages if it is not there.

    An adapter that a later stage went on with is in that stage's folder, as it became.
    """
    target, home = out / "adapter", out / "stages"
    if not target.is_dir():
        last = len(stages) - 1
        kept = [index for index in range(len(stages)) if index == last or stages[index + 1].carry == "merge"]
        if len(kept) == 1:
            (home / str(last)).rename(target)
        else:
            for index in set(range(len(stages))) - set(kept):
                shutil.rmtree(home / str(index), ignore_errors=True)
            # A reward model at the end is what was trained; before the end it is only what another stage asks.
            making = [at for at in kept if at == last or find_objective(stages[at].objective.kind).trains_policy]
            mark_stages(home, making)
            home.rename(target)
    shutil.rmtree(home, ignore_errors=True)
    return target


def _checked(path: Path, identity: SplitIdentity) -> Path:
    """The file, if it is what was approved."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FaultError("infra", f"in/{path.name} cannot be read: {error.strerror}", 0) from error
    if digest != identity.digest:
        raise FaultError("data", f"in/{path.name} is not the data that was approved: SHA-256 {digest[:12]}", 0)
    return path


def _started(progress: Progress, resumed: int) -> Started:
    return Started(
        device=progress.device, threads=torch.get_num_threads(), precision=progress.precision, resumed_from=resumed
    )


def open_progress(spec: TrialSpec, output: Output, stop: Stop, began: float) -> Progress:
    """A job as it begins: its device and its first stage's precision are settled."""
    progress = Progress(spec=spec, output=output, stop=stop, began=began, device=prepare(spec.limits))
    progress.compute_in(spec.recipe.stages[0].optimisation.precision)
    return progress
