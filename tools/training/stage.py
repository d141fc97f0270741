"""Trains one stage: adapter on, steps, rungs and checkpoints, stop when asked; goes on from a checkpoint."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from transformers import TrainerCallback

from tunewright.domain.recipe import Stage
from tunewright.domain.trial_event import Checkpointed
from tunewright.tools.contract import FaultError
from tunewright.tools.models.bits import quantise
from tunewright.tools.models.compress import compressed
from tunewright.tools.models.precision import narrow_frozen
from tunewright.tools.training import checkpoint as checkpoints
from tunewright.tools.training.allocator import compact
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.checkpoint import Checkpoint
from tunewright.tools.training.choosing import guided
from tunewright.tools.training.depth.deepening import Deepening, planned
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.memory import ON_GPUS
from tunewright.tools.training.method import AdapterMethod, Start
from tunewright.tools.training.offload import offloading
from tunewright.tools.training.preflight import preflight
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.recompute import recomputed
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import objective as find_objective
from tunewright.tools.training.stop import Interrupted
from tunewright.tools.training.trainer import StageTrainer, make_optimiser, make_trainer, release


def train_stage(
    model: Any, data: StageData, stage: Stage, index: int, progress: Progress, found: Checkpoint | None
) -> tuple[Any, Learning]:
    """The model with the stage's adapter trained on it, and what was learned beside it.

    Args:
        model: the base of the stage, with the adapter on it where the stage continues one; it is used up.
        index: the stage's number.
        found: a checkpoint of this stage to go on from.

    Raises:
        Interrupted: it was time to stop; a checkpoint is on disk.
        FaultError: the loss is no number or zero, or preflight refuses.
    """
    seed = progress.spec.recipe.seed
    progress.compute_in(stage.optimisation.precision)
    method = find_adapter(stage.adapter.kind)
    data, plan = planned(model, data, stage, index, seed) if stage.depth.on else (data, None)
    begin = Start(
        seed=seed,
        steps=data.steps,
        rows=lambda count: data.batches(count, progress.device),
        first_pass=data.first_pass,
    )
    if stage.carry == "merge":
        model = method.build(model, stage.adapter, begin)
    loop = method.loop(model, stage.adapter, begin)
    if plan is not None:
        loop = Deepening(model, stage, plan, progress.output.note)
    last = index + 1 == len(progress.spec.recipe.stages)
    _narrow(model, stage, last and not method.reads_weights, progress)
    progress.trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    learning = _learning(model, data, stage, index, progress)
    factor = partial(method.lr_factor, adapter=stage.adapter)
    optimisers = make_optimiser(model, stage.optimisation, data.steps, factor, learning, stage.memory.optimiser)
    loop.pace(optimisers[1])
    keeper = Keeper(loop, learning)
    first = 0
    if found is not None:
        found.restore(model, *optimisers, keeper)
        first, progress.counters = found.stage_step, found.counters
    pace = _Pace(progress, index, first, data.steps, found, (model, *optimisers, keeper))
    if found is not None and progress.at_rung and not progress.measured_before():
        with loop.whole():
            progress.measure(model, final=False)
    kept = stage.adapter.compress if last else 1.0
    if first == data.steps:
        learning.finish()
        return _finished(method, model, stage, kept), learning
    trainer = make_trainer(
        model,
        progress.tokenizer,
        learning,
        stage,
        optimisers,
        seed=seed,
        device=progress.device,
        precision=progress.precision,
        scratch=progress.folder,
        first=first,
    )
    progress.output.note(preflight(model, learning, first))
    pace.trainer, trainer.loop = trainer, loop
    trainer.add_callback(pace)
    try:
        _run(trainer, model, stage, progress)
    except Interrupted:
        pace.break_off()
        raise
    if pace.interrupted:
        raise Interrupted
    model = release(trainer)
    pace.forget()
    trainer.remove_callback(pace)
    del trainer, optimisers
    gc.collect()
    learning.finish()
    return _finished(method, model, stage, kept).requires_grad_(False).eval(), learning


def _narrow(model: Any, stage: Stage, harmless: bool, progress: Progress) -> None:
    """Puts the frozen weights in the bits that the recipe asks for; if it does not, in 16 where that is harmless.

    Raises:
        FaultError: ``config``: they cannot be had.
    """
    bits, computed = stage.memory.base_bits, progress.precision
    if bits in ON_GPUS:
        quantise(model, bits, computed)
    elif bits == 16 and computed != "bf16":
        raise FaultError(
            "config", "frozen weights of 16 bits are for a stage that computes in bf16, and this device computes in "
            f"{computed}: leave base_bits out, or set precision to bf16", 0,
        )  # fmt: skip
    elif bits == 16 or (bits is None and computed == "bf16" and harmless):
        narrow_frozen(model)


def _run(trainer: StageTrainer, model: Any, stage: Stage, progress: Progress) -> None:
    """The steps, with what keeps their memory low."""
    memory, device = stage.memory, progress.device.partition(":")[0]
    trainer.micro_batch = memory.micro_batch
    with (
        compact(device, on=memory.compact),
        recomputed(model, memory.checkpoint_every),
        offloading(model, device, progress.folder, on=memory.offload) as trainer.keeping,
    ):
        trainer.train()


def _learning(model: Any, data: StageData, stage: Stage, index: int, progress: Progress) -> Learning:
    begin = Begin(
        data=data,
        seed=progress.spec.recipe.seed,
        steps=data.steps,
        device=progress.device.partition(":")[0],
        precision=progress.precision,
        vocabulary=stage.memory.vocabulary,
        note=progress.output.note,
        stages=progress.folder / "stages",
        below=_below(progress.spec.recipe.stages, index),
        base=progress.base,
        leaves=find_adapter(stage.adapter.kind).leaves(stage.carry),
        check=progress.stop.check,
    )
    learning = find_objective(stage.objective.kind).learning(model, stage.objective, begin)
    return guided(learning, stage, index, progress)


def _below(stages: Sequence[Stage], index: int) -> tuple[int, ...]:
    """The stages whose adapters are merged into the weights that stage number ``index`` trains on."""
    return tuple(
        before
        for before in range(index)
        if stages[before + 1].carry == "merge" and find_objective(stages[before].objective.kind).trains_policy
    )


class Keeper(Loop):
    """What a checkpoint holds of the adapter's loop and of the objective."""

    def __init__(self, loop: Loop, learning: Learning) -> None:
        self.loop, self.learning = loop, learning
        self.broken_off = False
        """Whether a step was begun that is not going to be taken."""
        self._moves = type(loop).before_step is not Loop.before_step
        self._before: dict[str, Any] = {}

    def before_step(self, step: int) -> None:
        """The loop's, which a step that is broken off must not have moved."""
        if self._moves:
            self._before = self.loop.state()
        self.loop.before_step(step)

    def state(self) -> dict[str, Any]:
        """Of both, and the weights that are trained beside the policy."""
        weights = {name: module.state_dict() for name, module in self.learning.modules().items()}
        loop = self._before if self.broken_off and self._moves else self.loop.state()
        return {"adapter": loop, "objective": self.learning.state(), "modules": weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self.loop.restore(state["adapter"])
        self.learning.restore(state["objective"])
        for name, module in self.learning.modules().items():
            module.load_state_dict(state["modules"][name])


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
        parts: tuple[Any, Any, Any, Keeper],
    ) -> None:
        self.progress, self.index, self.first, self.steps = progress, index, first, steps
        self.found, self.parts = found, parts
        self.loop, self.learning = parts[3].loop, parts[3].learning
        self.trainer: Any = None
        self.interrupted = False
        self._mark = time.perf_counter()

    def forget(self) -> None:
        """Lets go of model and optimiser."""
        del self.parts, self.loop, self.learning
        self.found = self.trainer = None

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
        self.loop.after_backward(self.first + state.global_step)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights have changed, the gradients are still there."""
        self.loop.after_step(self.first + state.global_step, self.parts[1])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """After each step."""
        if not logs or "loss" not in logs:
            return  # the summary at the end of training
        loss = self.trainer.last_loss
        now = time.perf_counter()
        self.progress.stepped(loss, self.trainer.last_tokens, now - self._mark)
        facts = {**self.learning.facts(), **self.loop.facts()}
        self._check(loss)
        self.progress.say(loss, logs.get("learning_rate"), logs.get("grad_norm"), facts)
        taken, enough = self.first + state.global_step, self.progress.spec.preflight_steps
        last = taken == self.steps
        if enough is not None and (last or taken >= enough):
            control.should_training_stop = True
            with self.loop.whole():
                self._save(state.global_step)  # writing one takes memory too
        stopping = bool(self.progress.stop) and not last
        if self.progress.at_rung or stopping:
            with self.loop.whole():
                self._save(state.global_step)
                stopping = stopping or self._measured_in_vain()
        if stopping:
            self.interrupted = control.should_training_stop = True
        self._mark = time.perf_counter()

    def break_off(self) -> None:
        """A step ends before the weights have changed: a checkpoint holds those that were taken before it."""
        if self.trainer.state.global_step:
            self.parts[3].broken_off = True
            with self.loop.whole():
                self._save(self.trainer.state.global_step)

    def _measured_in_vain(self) -> bool:
        """Measures; whether it was time to stop before it was done."""
        try:
            self.progress.measure(self.trainer.model, final=False)
        except Interrupted:
            return True
        return False

    def _check(self, loss: float) -> None:
        step = self.progress.counters.step
        if not math.isfinite(loss):
            raise FaultError("config", f"the loss is {loss} at step {step}: try a lower learning rate", step)
        self.learning.check(step)
        if loss == 0.0 and self.learning.zero_is_end:
            raise FaultError("config", f"the loss is exactly zero at step {step}: nothing is left to learn", step)

    def _save(self, taken: int) -> None:
        counters = self.progress.counters
        checkpoints.save(self.progress.folder / "checkpoint", self.index, self.first + taken, counters, self.parts)
        self.progress.output.event(Checkpointed(step=counters.step))
