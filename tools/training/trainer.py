"""TRL's SFTTrainer, set up for one stage: no network, no files of its own, batches in the order they are given.

TRL runs the steps, precision and clipping; what a batch is and what is minimised is the objective's. Decision 10 says
why each objective is a loss in this one trainer and not a trainer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PrinterCallback, get_scheduler
from trl import SFTConfig, SFTTrainer

from tunewright.domain.recipe import Optimisation, Stage
from tunewright.tools.models.precision import Computed
from tunewright.tools.training.learning import Batch, Learning
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.optimiser import optimiser_of


class StageTrainer(SFTTrainer):  # type: ignore[misc]  # trl has no types
    """An SFTTrainer whose batches and losses are an objective's, and that tells the loss and tokens of its last step.

    A batch is an optimiser step's. It is cut into micro-batches here, after whatever the objective does with the whole
    of it, so that their number changes no mean: each part's sum is divided by the items of the whole.
    """

    learning: Learning
    loop: Loop = Loop()
    micro_batch: int | None = None
    """Sequences that go through the model at a time; None: all."""
    keeping: AbstractContextManager[Any] = nullcontext()
    """Around the forward and the backward pass of each micro-batch: where what is between them is kept."""
    last_loss: float
    """Without the loop's penalty."""
    last_tokens: int

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward passes of one step."""
        model.train()
        for module in self.learning.modules().values():
            module.zero_grad()  # transformers does it for the model alone
        due = self.learning.due(inputs, self.step)
        batch = self.loop.batch(self._prepare_inputs(due))
        with self.compute_loss_context_manager():
            batch = self.learning.prepare(batch, self.step)
        return self._passes(batch)

    def _passes(self, batch: Batch) -> torch.Tensor:
        items, sequences = self.learning.items(batch), len(batch["input_ids"])
        total = torch.zeros((), device=self.args.device)
        self.last_tokens = self.learning.tokens(batch)
        for part in self.learning.cut(batch, self.micro_batch):
            with self.keeping:
                total += self._pass(part, items, sequences)
        self.last_loss = float(total)
        return total

    def _pass(self, part: Batch, items: float, sequences: int) -> torch.Tensor:
        """Forward and backward pass of a part. Gives its share of the loss."""
        self.loop.reads(part)
        with self.compute_loss_context_manager():
            loss = self.learning.loss(part) / items
        found = loss.detach()
        penalty = self.loop.penalty()
        if penalty is not None:
            loss = loss + penalty * (len(part["input_ids"]) / sequences)
        if loss.requires_grad:  # nothing to learn from in this part: all rewards alike, or no label
            self.accelerator.backward(loss)
        return found

    def _clip_grad_norm(self, model: Any) -> Any:
        """Of what is trained beside the policy too, which transformers does not know of."""
        beside = [weight for module in self.learning.modules().values() for weight in module.parameters()]
        weights = [*model.parameters(), *beside]
        return self.accelerator.clip_grad_norm_(weights, self.args.max_grad_norm)

    @property
    def step(self) -> int:
        """The step being taken, from 0 within the stage."""
        return self.first + int(self.state.global_step)

    first: int = 0
    """The step that this attempt began with."""


@contextmanager
def _head_unseen(model: Any) -> Iterator[None]:
    """Within the block an adapted output head looks plain: TRL refuses one, but the loss here is not TRL's."""
    head = model.get_output_embeddings()
    if not isinstance(head, BaseTunerLayer):
        yield
        return
    model.get_output_embeddings = head.get_base_layer
    try:
        yield
    finally:
        del model.get_output_embeddings


def make_optimiser(
    model: Any,
    optimisation: Optimisation,
    steps: int,
    lr_factor: Callable[[str], float] = lambda weight: 1.0,
    learning: Learning | None = None,
    kind: str = "adamw",
) -> tuple[Any, Any]:
    """The optimiser over what is trainable, and the learning rate's schedule over ``steps``.

    Weight decay spares vectors: biases, norms, and the lengths that DoRA trains.

    Args:
        lr_factor: of a weight's name, its learning rate over the recipe's.
        learning: what it trains beside the model takes the recipe's rate.
        kind: of optimiser, as ``Memory.optimiser`` names it.
    """
    groups: dict[tuple[bool, float], list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault((weight.dim() < 2, lr_factor(name)), []).append(weight)
    for module in learning.modules().values() if learning is not None else ():
        for weight in module.parameters():
            groups.setdefault((weight.dim() < 2, 1.0), []).append(weight)
    optimiser = optimiser_of(
        kind,
        [
            {
                "params": weights,
                "lr": optimisation.lr * factor,
                "weight_decay": 0.0 if vectors else optimisation.weight_decay,
            }
            for (vectors, factor), weights in sorted(groups.items(), key=lambda group: group[0])
        ],
        optimisation.lr,
    )
    warmup = round(optimisation.warmup_ratio * steps)
    name = "constant_with_warmup" if optimisation.schedule == "constant" else optimisation.schedule
    schedule = get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=steps)
    if learning is not None:
        schedule.lr_lambdas = [_paced(one, learning) for one in schedule.lr_lambdas]
        for group, first, base in zip(optimiser.param_groups, schedule.lr_lambdas, schedule.base_lrs, strict=True):
            group["lr"] = base * first(0)
    return optimiser, schedule


def _paced(schedule: Callable[[int], float], learning: Learning) -> Callable[[int], float]:
    return lambda step: schedule(step) * learning.rate(step)


def make_trainer(
    model: Any,
    tokenizer: Any,
    learning: Learning,
    stage: Stage,
    optimisers: tuple[Any, Any],
    *,
    seed: int,
    device: str,
    precision: Computed,
    scratch: Path,
    first: int = 0,
) -> StageTrainer:
    """A trainer that goes through the stage's data once, in its order.

    Args:
        scratch: a folder that TRL may think it writes to.
        first: the step to begin with.
    """
    size = stage.optimisation.batch_size
    dataset = learning.data.dataset(first)
    arguments = SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=size,
        num_train_epochs=1,
        max_steps=len(dataset) // size,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        max_grad_norm=stage.optimisation.max_grad_norm,
        gradient_checkpointing=False,
        seed=seed,
        bf16=precision == "bf16",
        use_cpu=device == "cpu",
        dataloader_pin_memory=device != "cpu",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        log_level="error",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    with _head_unseen(model):
        trainer = StageTrainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            data_collator=lambda rows: learning.collate([row["place"] for row in rows]),
            processing_class=tokenizer,
            optimizers=optimisers,
        )
    trainer.remove_callback(PrinterCallback)
    trainer.learning, trainer.first = learning, first
    return trainer


def release(trainer: StageTrainer) -> Any:
    """The trainer's model as it was before: without accelerate's and TRL's wrappers around its forward pass."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.accelerator.free_memory()
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    for module in (model, inner):
        for mark in ("forward", "_original_forward", "_is_accelerate_prepared"):  # else the next stage's wraps nothing
            module.__dict__.pop(mark, None)
    return model
