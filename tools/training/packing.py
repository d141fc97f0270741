"""Several rows in one sequence without padding between them, none of which sees another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.tools.models.adapter import prompted
from tunewright.tools.models.precision import autocast, resolve_precision
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded

Line = tuple[list[int], list[int]]
"""Ids and labels, equally long."""


def packed(rows: Sequence[Line], limit: int, *, filler: int) -> dict[str, Any]:
    """The rows in as few sequences of at most ``limit`` tokens as first-fit decreasing finds.

    Beside ``input_ids``, ``attention_mask`` and ``labels`` there are ``row_positions``, each (sequences, tokens): the
    position of each token within its row. They begin at 0 with each row, which is how transformers tells rows apart
    as long as it is given no mask. A row's first token carries no label: nothing before it is its context.
    """
    import torch

    bins: list[list[Line]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row[0])):
        at = next((at for at, free in enumerate(room) if free >= len(row[0])), len(bins))
        if at == len(bins):
            bins.append([])
            room.append(limit)
        bins[at].append(row)
        room[at] -= len(row[0])
    joined = [
        ([i for ids, _ in one for i in ids], [label for _, labels in one for label in (IGNORED, *labels[1:])])
        for one in bins
    ]
    batch = padded(joined, "cpu", filler=filler)
    width = batch["input_ids"].shape[1]
    positions = [[place for ids, _ in one for place in range(len(ids))] for one in bins]
    # Padding counts from 0 again, as a row of its own that nobody looks at.
    batch["row_positions"] = torch.tensor([line + list(range(width - len(line))) for line in positions])
    return batch


def rows_stay_apart(model: Any, precision: str) -> bool:
    """Whether what the model says of a packed row is the same whatever row stands before it.

    Not so where it takes no positions, where its attention makes masks in a way of its own, or where an adapter puts
    trained positions before the first row. Changes no random state.
    """
    import torch

    if prompted(model):
        return False
    batch = packed([([1, 2, 3], [1, 2, 3]), ([4, 5, 6], [4, 5, 6])], 6, filler=0)
    device = next(model.parameters()).device
    ids, places = batch["input_ids"].to(device), batch["row_positions"].to(device)
    other = ids.clone()
    other[:, :3] = torch.tensor([3, 1, 1])
    was = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(resolve_precision(precision, device.type), device.type):
            said = [
                model(input_ids=one, attention_mask=None, position_ids=places, use_cache=False).logits[:, 3:].float()
                for one in (ids, other)
            ]
    except TypeError:  # its forward pass has no such arguments
        return False
    finally:
        model.train(was)
    return bool(torch.allclose(said[0], said[1], rtol=1e-4, atol=1e-5))
