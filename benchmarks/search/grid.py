"""The recipes of the table: every combination of a few settings, so that any point of the space has been trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from tunewright.domain.recipe import Adapter, DataMix, Objective, Optimisation, Recipe, Stage

Settings = dict[str, Any]

STEP = 5.0
"""Between a learning rate and the next."""


@dataclass(frozen=True)
class Cell:
    """An adapter, with the learning rates that it is tried at."""

    name: str
    adapter: dict[str, Any]
    lowest_lr: float

    @property
    def lrs(self) -> tuple[float, ...]:
        """From the lowest on."""
        return tuple(float(f"{self.lowest_lr * STEP**power:.3g}") for power in range(6))


CELLS = (
    Cell("lora-2", {"kind": "lora", "rank": 2, "alpha": 16}, 3e-4),
    Cell("lora-16", {"kind": "lora", "rank": 16, "alpha": 16}, 3e-4),
    Cell("dora-8", {"kind": "dora", "rank": 8, "alpha": 16}, 3e-4),
    Cell("sdslora-4", {"kind": "sdslora", "rank": 4, "alpha": 8, "refresh_phases": 0}, 1e-4),
    Cell("ia3", {"kind": "ia3"}, 1e-3),
    Cell("full", {"kind": "full"}, 1e-4),
)
"""SDS-LoRA without refreshes: those fall on shares of the whole training, so its beginning would depend on its end."""
BATCHES = (8, 32)
MIXES = {"noisy": (0.15, 0.15, 0.7), "even": (0.34, 0.33, 0.33), "clean": (0.6, 0.3, 0.1)}
"""Weights of ``task.SOURCES``."""
OBJECTIVES: dict[str, dict[str, Any]] = {"sft": {"kind": "sft"}, "sft-all": {"kind": "sft", "loss_on": "all"}}
"""The second learns to write the texts too. Of the others that learn from labels DFT does not rise above the base here,
and those with key parts are plain fine-tuning where the whole answer is the key."""
RUNGS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Passes over the data after which a training is measured."""
EPOCHS = (1, 2, 4)
"""With a constant learning rate and no warm-up a training of one pass is the beginning of one of four: one training
gives three recipes."""
SEEDS = (1, 2)
DEFAULT: Settings = {"adapter": "lora-16", "lr": 1, "batch": 8, "mix": "even", "objective": "sft"}
"""The middling recipe that is trained with many seeds, and that a study begins with. ``lr`` is its number."""
SAME_SEEDS = tuple(range(101, 141))
"""Of the trainings of the default recipe that differ in nothing else."""

AXES: dict[str, tuple[Any, ...]] = {
    "adapter": tuple(cell.name for cell in CELLS),
    "lr": tuple(range(6)),
    "batch": BATCHES,
    "mix": tuple(MIXES),
    "objective": tuple(OBJECTIVES),
}
"""What a training is made of, the last varying fastest from one to the next."""
TRAININGS: tuple[Settings, ...] = tuple(dict(zip(AXES, point, strict=True)) for point in product(*AXES.values()))


def recipe(settings: Settings, seed: int, epochs: float = RUNGS[-1]) -> Recipe:
    """The recipe as a trial is given it."""
    cell = next(cell for cell in CELLS if cell.name == settings["adapter"])
    stage = Stage(
        objective=Objective.model_validate(OBJECTIVES[settings["objective"]]),
        data=DataMix(weights=MIXES[settings["mix"]]),
        adapter=Adapter.model_validate(cell.adapter),
        optimisation=Optimisation(
            lr=cell.lrs[settings["lr"]],
            schedule="constant",
            warmup_ratio=0.0,
            batch_size=settings["batch"],
            epochs=epochs,
            precision="fp32",
        ),
    )
    return Recipe(seed=seed, stages=(stage,))
