"""Checkpoints: everything a stage needs to go on as if it had never stopped, in one file that is whole or absent."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewright.tools.training.loop import Loop


@dataclass
class Counters:
    """What a job has done so far, over all its attempts."""

    step: int = 0
    """Optimiser steps, all stages together."""
    tokens: int = 0
    """Trained on, padding not counted."""
    train_s: float = 0.0
    eval_s: float = 0.0
    shared: int = 0
    """Of ``step``, those that another job took."""
    shared_s: float = 0.0
    """What they took it."""


@dataclass
class Checkpoint:
    """A stage in the middle."""

    stage: int
    stage_step: int
    counters: Counters
    state: dict[str, Any]
    """``weights``, ``optimiser``, ``scheduler``, ``loop`` and ``random``."""

    def restore(self, model: Any, optimiser: Any, scheduler: Any, loop: Loop) -> None:
        """Puts weights, optimiser, schedule and loop back. Random generators wait for ``restore_random``."""
        import torch

        trainable = _trainable(model)
        with torch.no_grad():
            for name, weight in self.state["weights"].items():
                trainable[name].copy_(weight)
        loop.restore(self.state["loop"])
        optimiser.load_state_dict(self.state["optimiser"])
        scheduler.load_state_dict(self.state["scheduler"])

    def restore_random(self) -> None:
        """Puts every random generator back to where it was after the checkpoint's last step."""
        import numpy
        import torch

        kept = self.state["random"]
        version, numbers, gauss = kept["python"]
        random.setstate((version, tuple(numbers), gauss))
        name, keys, *rest = kept["numpy"]
        numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), *rest))
        torch.set_rng_state(kept["torch"])
        if kept["cuda"]:
            torch.cuda.set_rng_state_all(kept["cuda"])


def save(folder: Path, stage: int, stage_step: int, counters: Counters, parts: tuple[Any, Any, Any, Loop]) -> None:
    """Writes a checkpoint into ``folder`` and removes the one before it.

    Args:
        parts: model, optimiser, scheduler, loop. Only trainable weights are kept.
    """
    import torch

    model, optimiser, scheduler, loop = parts
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "stage": stage,
        "stage_step": stage_step,
        "counters": asdict(counters),
        "weights": {name: weight.detach() for name, weight in _trainable(model).items()},
        "optimiser": optimiser.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loop": loop.state(),
        "random": _random(),
    }
    path = folder / f"step-{counters.step:08d}.pt"
    partial = path.with_suffix(".partial")
    torch.save(document, partial)
    partial.replace(path)
    for other in folder.iterdir():
        if other != path:
            other.unlink()


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in ``folder``, or None. It is read without running any code in it."""
    import torch

    files = sorted(folder.glob("step-*.pt")) if folder.is_dir() else []
    if not files:
        return None
    document = torch.load(files[-1], map_location="cpu", weights_only=True, mmap=True)
    return Checkpoint(document.pop("stage"), document.pop("stage_step"), Counters(**document.pop("counters")), document)


def _trainable(model: Any) -> dict[str, Any]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _random() -> dict[str, Any]:
    import numpy
    import torch

    version, numbers, gauss = random.getstate()
    legacy: Any = numpy.random.get_state(legacy=True)
    name, keys, position, has_gauss, cached = legacy
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), keys.tolist(), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }
