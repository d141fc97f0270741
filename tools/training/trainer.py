"""TRL's SFTTrainer, set up for one stage: no network, no files of its own, batches in the order they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, get_scheduler
from trl import SFTConfig, SFTTrainer

from tunewright.domain.recipe import Optimisation, Stage
from tunewright.tools.models.adapter import prompted
from tunewright.tools.models.precision import Computed
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.registry import objective

_HEAD_ELEMENTS = 2**25
"""Logits held at a time, 128 MiB in fp32; with more than that TRL's tiled head is the better one."""


class StageTrainer(SFTTrainer):  # type: ignore[misc]  # trl has no types
    """An SFTTrainer that tells the loss and the tokens of its last step and, on a CPU, wastes no logits.

    TRL runs the language-model head on the labelled positions alone where it has Triton, and on every position
    elsewhere. With a large vocabulary and short answers that is a quarter of a small model's step.
    """

    last_loss: torch.Tensor
    """Without the loop's penalty."""
    last_tokens: int
    loop: Loop = Loop()

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """As TRL's, on the batch that the adapter's loop wants; remembers the loss."""
        wanted = self.loop.batch(inputs)
        if wanted is not inputs:
            inputs, num_items_in_batch = wanted, (wanted["labels"] != IGNORED).sum()
        total: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return total

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean negative log-likelihood of the labelled tokens, and the loop's penalty."""
        given = self._nll(model, inputs, return_outputs, num_items_in_batch)
        loss = given[0] if return_outputs else given
        self.last_loss = loss.detach()
        penalty = self.loop.penalty()
        loss = loss if penalty is None else loss + penalty
        return (loss, given[1]) if return_outputs else loss

    def _nll(self, model: Any, inputs: dict[str, Any], return_outputs: bool, num_items_in_batch: Any) -> Any:
        """Computed at the labelled positions only, where that is the better way."""
        self.last_tokens = int(inputs["attention_mask"].sum())
        labels = inputs["labels"][:, 1:]
        mask = labels != IGNORED
        head = self.model.get_output_embeddings()
        count = int(mask.sum())
        if count and _adapted(head):  # TRL multiplies by the head's own weights, which are not what is trained
            loss = self._labelled(model, inputs, head, mask, labels)
            return loss / (count if num_items_in_batch is None else num_items_in_batch)
        plain = self.args.loss_type == "nll" and inputs["input_ids"].device.type == "cpu" and not return_outputs
        plain = plain and not prompted(model)  # the positions before the input are none of the labels'
        if not plain or head is None or not 0 < count <= _HEAD_ELEMENTS // head.weight.shape[0]:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = self._labelled(model, inputs, head, mask, labels)
        return loss / (count if num_items_in_batch is None else num_items_in_batch)

    def _labelled(self, model: Any, inputs: dict[str, Any], head: Any, mask: Any, labels: Any) -> Any:
        """The summed loss, the head run on labelled positions alone."""
        with _only(head, mask):
            given = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
            logits = model(**given, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.float(), labels[mask], reduction="sum")


def _adapted(head: Any) -> bool:
    """Whether an adapter sits on the output head, as one on tied embeddings does."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(head, BaseTunerLayer)


@contextmanager
def _head_unseen(model: Any) -> Iterator[None]:
    """Within the block an adapted output head looks plain: TRL refuses one, but the loss here is not TRL's."""
    head = model.get_output_embeddings()
    if not _adapted(head):
        yield
        return
    model.get_output_embeddings = head.get_base_layer
    try:
        yield
    finally:
        del model.get_output_embeddings


@contextmanager
def _only(head: torch.nn.Module, mask: torch.Tensor) -> Iterator[None]:
    """Within the block ``head`` sees the positions of ``mask`` (batch, length - 1) alone, in its weights' precision.

    Few positions are cheap in fp32; casting the whole head to bf16 at every step would not be.
    """
    inside: list[torch.autocast] = []

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = args[0][:, :-1][mask].to(module.weight.dtype)
        inside.append(torch.autocast(hidden.device.type, enabled=False))
        inside[-1].__enter__()
        return (hidden,)

    def leave(module: Any, args: Any, output: Any) -> None:
        inside.pop().__exit__(None, None, None)

    hooks = [head.register_forward_pre_hook(enter), head.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def make_optimiser(
    model: Any, optimisation: Optimisation, steps: int, lr_factor: Callable[[str], float] = lambda weight: 1.0
) -> tuple[Any, Any]:
    """AdamW over what is trainable, and the learning rate's schedule over ``steps``.

    Weight decay spares vectors: biases, norms, and the lengths that DoRA trains.

    Args:
        lr_factor: of a weight's name, its learning rate over the recipe's.
    """
    groups: dict[tuple[bool, float], list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault((weight.dim() < 2, lr_factor(name)), []).append(weight)
    optimiser = torch.optim.AdamW(
        [
            {
                "params": weights,
                "lr": optimisation.lr * factor,
                "weight_decay": 0.0 if vectors else optimisation.weight_decay,
            }
            for (vectors, factor), weights in sorted(groups.items(), key=lambda group: group[0])
        ],
        lr=optimisation.lr,
        fused=True,
    )
    warmup = round(optimisation.warmup_ratio * steps)
    name = "constant_with_warmup" if optimisation.schedule == "constant" else optimisation.schedule
    return optimiser, get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=steps)


def make_trainer(
    model: Any,
    tokenizer: Any,
    dataset: Any,
    stage: Stage,
    optimisers: tuple[Any, Any],
    *,
    seed: int,
    device: str,
    precision: Computed,
    scratch: Path,
) -> StageTrainer:
    """A trainer that goes through ``dataset`` once, in order.

    Args:
        scratch: a folder that TRL may think it writes to.
    """
    size = stage.optimisation.batch_size
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
        **objective(stage.objective.kind).arguments(stage.objective),
    )
    with _head_unseen(model):
        trainer = StageTrainer(
            model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, optimizers=optimisers
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def release(trainer: StageTrainer) -> Any:
    """The trainer's model as it was before: without accelerate's and TRL's wrappers around its forward pass."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.accelerator.free_memory()
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    for module in (model, inner):
        module.__dict__.pop("forward", None)
    return model
