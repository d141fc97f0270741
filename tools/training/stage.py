"""Trains one stage: adapter on, steps, rungs and checkpoints, stop when asked; goes on from a checkpoint."""

from __future__ import annotations

import gc
import math
import time
from functools import partial
from typing import Any

from transformers import TrainerCallback

from tunewright.domain.recipe import Stage
from tunewright.domain.trial_event import Checkpointed
from tunewright.tools.contract import FaultError
from tunewright.tools.models.compress import compressed
from tunewright.tools.models.precision import narrow_frozen
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.checkpoint import Checkpoint
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.method import AdapterMethod, Start
from tunewright.tools.training.preflight import preflight
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.stop import Interrupted
from tunewright.tools.training.trainer import make_optimiser, make_trainer, release


def train_stage(
    model: Any, data: StageData, stage: Stage, index: int, progress: Progress, found: Checkpoint | None
) -> Any:
    """The model with the stage's adapter trained on it.

    Args:
        model: the base of the stage; it is used up.
        index: the stage's number.
        found: a checkpoint of this stage to go on from.

    Raises:
        Interrupted: it was time to stop; a checkpoint is on disk.
        FaultError: the loss is no number or zero, or preflight refuses.
    """
    seed = progress.spec.recipe.seed
    progress.compute_in(stage.optimisation.precision)
    method = find_adapter(stage.adapter.kind)
    begin = Start(
        seed=seed,
        steps=data.steps,
        rows=lambda count: data.batches(count, progress.device),
        first_pass=data.first_pass,
    )
    model = method.build(model, stage.adapter, begin)
    loop = method.loop(model, stage.adapter, begin)
    last = index + 1 == len(progress.spec.recipe.stages)
    if progress.precision == "bf16" and last and not method.reads_weights:
        narrow_frozen(model)
    progress.trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    factor = partial(method.lr_factor, adapter=stage.adapter)
    optimisers = make_optimiser(model, stage.optimisation, data.steps, factor)
    first = 0
    if found is not None:
        found.restore(model, *optimisers, loop)
        first, progress.counters = found.stage_step, found.counters
    pace = _Pace(progress, index, first, data.steps, found, (model, *optimisers, loop))
    if found is not None and progress.at_rung and not progress.measured_before():
        progress.measure(model, final=False)
    kept = stage.adapter.compress if last else 1.0
    if first == data.steps:
        return _finished(method, model, stage, kept)
    dataset = data.dataset(first)
    trainer = make_trainer(
        model,
        progress.tokenizer,
        dataset,
        stage,
        optimisers,
        seed=seed,
        device=progress.device,
        precision=progress.precision,
        scratch=progress.folder,
    )
    progress.output.note(preflight(model, trainer.data_collator, dataset, data, first))
    pace.trainer, trainer.loop = trainer, loop
    trainer.add_callback(pace)
    trainer.train()
    if pace.interrupted:
        raise Interrupted
    model = release(trainer)
    pace.forget()
    trainer.remove_callback(pace)
    del trainer, optimisers
    gc.collect()
    return _finished(method, model, stage, kept).requires_grad_(False).eval()


def _finished(method: AdapterMethod, model: Any, stage: Stage, kept: float) -> Any:
    """The stage's result; of its update this share of the energy is kept."""
    model = method.finish(model, stage.adapter)
    return compressed(model, kept) if kept < 1 else model


class _Pace(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """What happens between steps. Works in ``on_log``, the one callback that knows the gradient's norm."""

    def __init__(
        self,
        progress: Progress,
        index: int,
        first: int,
        steps: int,
        found: Checkpoint | None,
        parts: tuple[Any, Any, Any, Loop],
    ) -> None:
        self.progress, self.index, self.first, self.steps = progress, index, first, steps
        self.found, self.parts = found, parts
        self.trainer: Any = None
        self.interrupted = False
        self._mark = time.perf_counter()

    def forget(self) -> None:
        """Lets go of model and optimiser."""
        self.parts, self.found, self.trainer = (None, None, None, Loop()), None, None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first step of an attempt begins where the step before the checkpoint left chance."""
        self.progress.ready()
        if state.global_step == 0:
            if self.found is not None:
                self.found.restore_random()
                self.found = None
            self._mark = time.perf_counter()
        self.parts[3].before_step(self.first + state.global_step)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The gradients are there and clipped."""
        self.parts[3].after_backward(self.first + state.global_step)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights have changed, the gradients are still there."""
        self.parts[3].after_step(self.first + state.global_step, self.parts[1])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """After each step."""
        if not logs or "loss" not in logs:
            return  # the summary at the end of training
        loss = float(self.trainer.last_loss)
        now = time.perf_counter()
        self.progress.stepped(loss, self.trainer.last_tokens, now - self._mark)
        self._check(loss)
        self.progress.say(loss, logs.get("learning_rate"), logs.get("grad_norm"))
        last = self.first + state.global_step == self.steps
        stopping = bool(self.progress.stop) and not last
        if self.progress.at_rung or stopping:
            self._save(state.global_step)
        if self.progress.at_rung and not stopping:
            try:
                self.progress.measure(self.trainer.model, final=False)
            except Interrupted:
                stopping = True
        if stopping:
            self.interrupted = control.should_training_stop = True
        self._mark = time.perf_counter()

    def _check(self, loss: float) -> None:
        step = self.progress.counters.step
        if not math.isfinite(loss):
            raise FaultError("config", f"the loss is {loss} at step {step}: try a lower learning rate", step)
        if loss == 0.0:
            raise FaultError("config", f"the loss is exactly zero at step {step}: nothing is left to learn", step)

    def _save(self, taken: int) -> None:
        counters = self.progress.counters
        checkpoints.save(self.progress.folder / "checkpoint", self.index, self.first + taken, counters, self.parts)
        self.progress.output.event(Checkpointed(step=counters.step))
