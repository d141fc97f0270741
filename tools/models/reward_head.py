"""A reward model: what a linear head makes of a language model's state at the last token of an answer.

Stiennon et al., arXiv 2009.01325, section 3.4 and appendix B.1: one number from the last hidden state, the head drawn
with variance ``1 / (width + 1)``. It has no bias, which no comparison could tell. The head is no part of the model, so
that adapters are saved, merged and counted as ever: it lies beside the adapter in ``reward.safetensors``, and in memory
the model carries it along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import ModelError
from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.inference import Progress, batches, causal_lm, device_of, inference
from tunewright.tools.models.prompt import Template, template

if TYPE_CHECKING:
    import torch

FILE = "reward.safetensors"
_WEIGHT, _BELOW = "reward.weight", "below"
_CARRIED = "_tunewright_reward_head"
"""Attribute of the causal language model: its head."""


def new_head(model: Any, seed: int) -> torch.nn.Linear:
    """An untrained head for the model, (1, width) in fp32 on its device; the same for the same seed.

    Changes no random state.
    """
    import torch

    width = int(model.get_output_embeddings().weight.shape[1])
    head: torch.nn.Linear = torch.nn.utils.skip_init(torch.nn.Linear, width, 1, bias=False)
    drawn = torch.randn((1, width), generator=torch.Generator().manual_seed(seed)) / (width + 1) ** 0.5
    head.weight.data.copy_(drawn)
    return head.to(device_of(model))


def save_head(head: torch.nn.Linear, folder: Path, below: Sequence[int] = ()) -> None:
    """Writes the head beside the adapter in ``folder``.

    Args:
        below: numbers of the stages whose adapters are merged into the weights that this one was trained on; they are
            found as folders beside ``folder``.
    """
    from safetensors.torch import save_file

    # One entry alone: several are written in an order that differs from run to run.
    said = {_BELOW: ",".join(map(str, below))}
    save_file({_WEIGHT: head.weight.detach().contiguous()}, folder / FILE, metadata=said)


def load_head(model: Any, folder: Path) -> torch.nn.Linear | None:
    """The head that lies in ``folder``, frozen and on the model's device; None if there is none.

    Raises:
        ModelError: it is of another model.
    """
    from safetensors.torch import load_file

    if not (folder / FILE).is_file():
        return None
    head = new_head(model, 0).requires_grad_(False)
    weight = load_file(folder / FILE).get(_WEIGHT)
    if weight is None or weight.shape != head.weight.shape:
        raise ModelError(
            f"'{FILE}' holds no head for states of width {head.weight.shape[1]}",
            "use it with the model that it was trained on",
        )
    head.weight.copy_(weight)
    return head


def carry_head(model: Any, head: torch.nn.Linear | None) -> None:
    """Makes it the model's head, or with None takes the model's head off. It is no module of the model."""
    inner = causal_lm(model).__dict__
    inner.pop(_CARRIED, None)
    if head is not None:
        inner[_CARRIED] = head


def head_of(model: Any) -> torch.nn.Linear | None:
    """The head that the model carries."""
    found: torch.nn.Linear | None = causal_lm(model).__dict__.get(_CARRIED)
    return found


def batch_rewards(model: Any, head: torch.nn.Linear, batch: Mapping[str, Any]) -> torch.Tensor:
    """(rows,) in fp32, with a graph where the model or the head is trained.

    Args:
        batch: ``input_ids`` and ``attention_mask``, each (rows, tokens), padded on either side.
    """
    import torch

    mask = batch["attention_mask"]
    last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).argmax(1)
    with _before_the_head(model) as kept:
        model(input_ids=batch["input_ids"], attention_mask=mask, use_cache=False)
    # Prompt adapters put positions before the input's own.
    states = kept[0][:, -mask.shape[1] :][torch.arange(len(last), device=last.device), last]
    with torch.autocast(states.device.type, enabled=False):
        rewards: torch.Tensor = head(states.float())[:, 0]
    return rewards


def rewards_of(
    model: Any,
    head: torch.nn.Linear,
    rows: Sequence[Sequence[int]],
    *,
    batch_tokens: int = 4096,
    progress: Progress | None = None,
) -> list[float]:
    """The reward of each row of token ids, prompt and answer together, in their order. Call it inside ``inference``.

    Args:
        batch_tokens: tokens of a batch, padding included.
        progress: is told rows done and rows in all after each batch.
    """
    import torch

    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
    device, found = device_of(model), [0.0] * len(rows)
    done = 0
    for chosen in batches(order, lambda batch: len(batch) * len(rows[batch[-1]]) <= batch_tokens):
        longest = max(len(rows[i]) for i in chosen)
        ids = torch.tensor([[*rows[i], *[0] * (longest - len(rows[i]))] for i in chosen], device=device)
        mask = torch.tensor([[1] * len(rows[i]) + [0] * (longest - len(rows[i])) for i in chosen], device=device)
        given = batch_rewards(model, head, {"input_ids": ids, "attention_mask": mask}).tolist()
        for i, value in zip(chosen, given, strict=True):
            found[i] = value
        done += len(chosen)
        if progress is not None:
            progress(done, len(rows))
    return found


@dataclass(frozen=True)
class RewardModel:
    """A finished reward model, ready to judge."""

    model: Any
    head: torch.nn.Linear
    form: Template
    precision: str = "fp32"

    def scores(self, rows: Sequence[Mapping[str, Any]], answers: Sequence[str]) -> list[float]:
        """What each answer to its row is worth: any number, and only differences mean something.

        Args:
            rows: frozen rows (``tools.data.rows``), of which the prompt is read.
            answers: without end token, one for each row.
        """
        said = [
            self.form.encode({**row, "target": answer}).input_ids for row, answer in zip(rows, answers, strict=True)
        ]
        with inference(self.model, self.precision):
            return rewards_of(self.model, self.head, said)


def load_reward_model(
    base: Any, tokenizer: Any, folder: Path, task: TaskSpec, *, precision: str = "fp32"
) -> RewardModel:
    """The reward model that a stage or a finished trial has left.

    Args:
        base: the model that the first stage began with; it is used up.
        folder: a finished stage (``out/stages/N``) with its neighbours beside it, or a trial's ``out/adapter``.
        task: says how rows become prompts.

    Raises:
        ModelError: the folder holds no adapter, none with a head, or one of another model.
    """
    from tunewright.tools.models.adapter import attach, merged

    for stage in _below(folder):
        base = merged(attach(base, folder.parent / stage))
    model = attach(base, folder)
    head = head_of(model)
    if head is None:
        raise ModelError(
            f"'{folder.name}' holds no reward model: there is no {FILE} beside its adapter",
            "name a stage of the objective 'reward', or a trial that ended in one",
        )
    return RewardModel(model, head, template(task, tokenizer), precision)


def _below(folder: Path) -> list[str]:
    from safetensors import safe_open

    if not (folder / FILE).is_file():
        return []
    with safe_open(str(folder / FILE), framework="pt") as tensors:
        said = (tensors.metadata() or {}).get(_BELOW, "")
    return [number for number in said.split(",") if number]


@contextmanager
def _before_the_head(model: Any) -> Iterator[list[torch.Tensor]]:
    """Keeps what the language model's head would see, (rows, tokens, width), and spares it the work."""
    kept: list[torch.Tensor] = []

    def enter(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        kept.append(args[0])
        return (args[0][:, :0], *args[1:])

    # First of all: under bf16 another hook sees to the head's precision.
    hook = model.get_output_embeddings().register_forward_pre_hook(enter, prepend=True)
    try:
        yield kept
    finally:
        hook.remove()
