"""Random generators that work beside a training does not disturb."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_chance(seed: int) -> Iterator[None]:
    """Within the block every generator begins at ``seed``; afterwards all are where they were."""
    import numpy
    import torch

    plain, legacy = random.getstate(), numpy.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(plain)
        numpy.random.set_state(legacy)
