"""A softmax over a part of the vocabulary: the labels of a batch, and the tokens that are most like them.

``loss = logsumexp over C of z - z_y`` with ``C`` the batch's labels and the ``K`` other tokens whose rows of the output
head have the largest cosine with a label's row. Since the sum has fewer terms it is a bound below the loss over all
tokens, which rises with ``K`` and is that loss at ``K`` = the vocabulary. That memory can be spared so is Dbouk et
al.'s, arXiv 2606.19528, who choose ``C`` by meaning too; their rule was not read, and this one is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from tunewright.tools.contract import FaultError

_PRODUCTS = 2**22
"""Cosines held at a time, 16 MiB."""


def check_head(model: Any) -> None:
    """Raises a ``FaultError`` if the model's output head is not a matrix, some of whose rows can be taken."""
    head = model.get_output_embeddings()
    if isinstance(head, BaseTunerLayer) or not isinstance(head, torch.nn.Linear):
        raise FaultError(
            "config", "the loss cannot be taken over a part of the vocabulary: the adapter is on the output head too. "
            "Set vocabulary to 0, or take another placement", 0,
        )  # fmt: skip


def nearest(rows: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
    """(c,) token ids, ascending: the labels, each once, and the ``count`` other tokens most like one of them.

    Args:
        rows: (vocabulary, width) of the output head.
        labels: (n,) token ids.
    """
    own = labels.unique()
    count = min(count, len(rows) - len(own))
    if count <= 0 or not len(own):
        return own
    with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
        wanted = torch.nn.functional.normalize(rows[own].float(), dim=1)
        parts = rows.split(max(1, _PRODUCTS // len(own)))
        like = torch.cat([_cosines(part, wanted).amax(1) for part in parts])
    like[own] = -torch.inf
    return torch.cat([own, like.topk(count).indices]).sort().values


def _cosines(rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows.float(), dim=1) @ wanted.T
