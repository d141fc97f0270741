"""How fast this machine runs this model: the number that forecasts start from.

An evaluation's own time will not do: it holds first-call costs, and for generation another kind of work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from tunewright.tools.evaluation.inference import device_of, inference

_ROWS = 16
_PASSES = 5
_AT_MOST_S = 2.0


def forward_tokens_per_s(model: Any, rows: Sequence[Sequence[int]], precision: str) -> float:
    """Tokens a second of a forward pass over a training-like batch, the output head left out.

    The median of a few passes after one that warms up; takes some three seconds at most on models that need less
    than one for a pass.

    Args:
        rows: token ids of some rows; sixteen of middling length are used, cut to one length.
    """
    import torch

    middling = sorted(rows, key=len)[len(rows) // 4 :][:_ROWS]
    length = min(len(row) for row in middling)
    ids = torch.tensor([list(row[:length]) for row in middling], device=device_of(model))
    body = model.get_base_model().base_model if hasattr(model, "get_base_model") else model.base_model
    times: list[float] = []
    with inference(model, precision), torch.inference_mode():
        body(input_ids=ids)
        until = time.perf_counter() + _AT_MOST_S
        while not times or (len(times) < _PASSES and time.perf_counter() < until):
            began = time.perf_counter()
            body(input_ids=ids)
            if ids.is_cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return float(ids.numel() / max(statistics.median(times), 1e-9))
