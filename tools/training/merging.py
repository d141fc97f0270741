"""Learns how much of each update a merge should take, from rows of the tasks that the updates were trained for.

The paper of MDM-OC (arXiv 2507.20997) learns the weights by gradient; reports of it speak of CMA-ES. Both kinds are
here: Adam on the weights through the model, and Powell's method, which needs no gradient (ours in CMA-ES' place: for
a handful of weights it needs fewer looks and no package). Ours as well: the loss is the mean over the tasks of the
mean token loss, and of all that was tried the best is taken, the start included, so learning never makes it worse on
these rows. The paper's stabilisers (EWC, replay) are not here: their weights were not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.inference import device_of
from tunewright.tools.models.merge import Merge
from tunewright.tools.models.prompt import IGNORED, template
from tunewright.tools.training.batch import padded

if TYPE_CHECKING:
    import torch

Batch = Mapping[str, Any]
By = Literal["gradient", "search"]
_RATE, _STEPS = 0.05, 40
_BOUNDS = (-1.0, 2.0)
_ROWS_A_BATCH = 8


def task_batches(model: Any, tokenizer: Any, rows: Sequence[Row], task: TaskSpec) -> list[Batch]:
    """Rows of one task as padded batches with labels; those that keep no token to learn from are left out."""
    form = template(task, tokenizer)
    encoded = [form.encode(row) for row in rows]
    kept = [(tuple(one.input_ids), tuple(one.labels)) for one in encoded if one.completion]
    starts = range(0, len(kept), _ROWS_A_BATCH)
    return [padded(kept[start : start + _ROWS_A_BATCH], device_of(model)) for start in starts]


def learned(
    model: Any, merge: Merge, tasks: Sequence[Sequence[Batch]], *, by: By = "gradient", steps: int = _STEPS
) -> Merge:
    """The merge with the weights of the lowest loss found.

    Args:
        model: the bare base model; it is as before afterwards.
        tasks: batches of each task, as ``task_batches`` makes them.
        steps: looks at all the rows, about.
    """
    import torch

    device = device_of(model)
    bases = {name: base.float().to(device) for name, base in merge.bases().items()}
    best: list[tuple[float, tuple[float, ...]]] = []

    def loss(alphas: torch.Tensor) -> torch.Tensor:
        weights = {name: base.T @ alphas for name, base in bases.items()}
        with superposed(model, merge, weights):
            found = torch.stack([_task_loss(model, batches) for batches in tasks]).mean()
        value = float(found.detach())
        if not best or value < best[0][0]:
            best[:] = [(value, tuple(float(alpha) for alpha in alphas.detach().cpu().double()))]
        return found

    start = torch.tensor(merge.alphas, dtype=torch.float32, device=device)
    wanted = [weight.requires_grad for weight in model.parameters()]
    model.requires_grad_(False)
    try:
        (_by_gradient if by == "gradient" else _by_search)(loss, start, steps)
    finally:
        for weight, asked in zip(model.parameters(), wanted, strict=True):
            weight.requires_grad_(asked)
    return replace(merge, alphas=best[0][1])


@contextmanager
def superposed(model: Any, merge: Merge, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Within the block the bare model computes with its updates added, each times its weight, by gradient too.

    Args:
        weights: for each module, (updates,).
    """
    import torch

    def adding(name: str) -> Callable[[Any, tuple[Any, ...], torch.Tensor], torch.Tensor]:
        parts = [(number, update[name]) for number, update in enumerate(merge.updates) if name in update]
        device = device_of(model)
        down = torch.cat([factor.down for _, factor in parts]).float().to(device)
        up = torch.cat([factor.up for _, factor in parts], dim=1).float().to(device)
        owner = torch.tensor([number for number, factor in parts for _ in range(factor.rank)], device=device)

        def entered(module: Any, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            latent = torch.nn.functional.linear(args[0].float(), down) * weights[name][owner]
            return output + torch.nn.functional.linear(latent, up).to(output.dtype)

        return entered

    hooks = [model.get_submodule(name).register_forward_hook(adding(name)) for name in merge.modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _task_loss(model: Any, batches: Sequence[Batch]) -> torch.Tensor:
    import torch

    total, count = torch.zeros((), device=device_of(model)), 0
    for batch in batches:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        labels = batch["labels"][:, 1:]
        wanted = labels != IGNORED
        total = total + torch.nn.functional.cross_entropy(
            logits[:, :-1][wanted].float(), labels[wanted], reduction="sum"
        )
        count += int(wanted.sum())
    return total / max(1, count)


def _by_gradient(loss: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int) -> None:
    import torch

    alphas = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([alphas], lr=_RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(alphas).backward()
        optimiser.step()


def _by_search(loss: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int) -> None:
    import torch
    from scipy.optimize import minimize

    def value(alphas: Any) -> float:
        with torch.no_grad():
            return float(loss(torch.tensor(alphas, dtype=start.dtype, device=start.device)))

    value(start.tolist())
    bounds = [_BOUNDS] * len(start)
    minimize(value, start.cpu().numpy(), method="Powell", bounds=bounds, options={"maxfev": steps, "xtol": 1e-2})
