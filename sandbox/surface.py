"""A made-up but smooth answer to "how good is this recipe?", for studies that train nothing.

Shaped like what small models show: a ridge in the logarithm of the learning rate whose place depends on the adapter,
mild returns of rank, a curve that rises and levels off, items of differing difficulty that all recipes share, and a
little luck of the seed. Everything follows from the recipe's content, so two runs of one recipe agree to the last bit.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from tunewright.domain.recipe import Recipe

BEST_LR = {"lora": 4e-4, "dora": 6e-4, "rslora": 3e-4, "ia3": 5e-3, "full": 3e-5}
CEILING = {"lora": 0.82, "dora": 0.85, "rslora": 0.84, "ia3": 0.74, "full": 0.83}
BASE_QUALITY = 0.12
OTHER_LR, OTHER_CEILING = 4e-4, 0.80
DECADE_PENALTY = 1.2
RANK_PENALTY = 0.02
LUCK = 0.15
"""Share of an item's difficulty that is drawn anew for each recipe and seed."""


@dataclass(frozen=True)
class Surface:
    """The scripted truth about one recipe.

    Args:
        recipe: what is pretended to be trained; its last stage counts.
        total_steps: how long.
        luck: the recipe's digest, seed included.
    """

    recipe: Recipe
    total_steps: int
    luck: str

    def final_quality(self) -> float:
        """The share of items that are right in the end, luck aside; between the base model's and 1."""
        stage = self.recipe.stages[-1]
        kind, lr = stage.adapter.kind, stage.optimisation.lr
        ceiling = CEILING.get(kind, OTHER_CEILING)
        off_ridge = math.log10(lr / BEST_LR.get(kind, OTHER_LR))
        rank = float(stage.adapter.settings.get("rank", 16))
        penalty = RANK_PENALTY * abs(math.log2(rank / 16))
        return BASE_QUALITY + (ceiling - penalty - BASE_QUALITY) * math.exp(-DECADE_PENALTY * off_ridge**2)

    def quality(self, step: int) -> float:
        """The same after ``step`` steps."""
        risen = 1 - math.exp(-4 * step / self.total_steps)
        return BASE_QUALITY + (self.final_quality() - BASE_QUALITY) * risen / (1 - math.exp(-4))

    def loss(self, step: int) -> float:
        """Training loss at ``step``, noise included."""
        noise = 0.05 * (uniform("loss", self.luck, str(step)) - 0.5)
        return 0.2 + 3 * (1 - self.quality(step)) + noise


def is_right(item: str, quality: float, luck: str) -> bool:
    """Whether a model of that quality gets the item right.

    Args:
        item: its id, which sets its difficulty for all.
        luck: recipe and seed, which move it a little.
    """
    difficulty = (1 - LUCK) * uniform("item", item) + LUCK * uniform("luck", item, luck)
    return difficulty < quality


def uniform(*parts: str) -> float:
    """A number in [0, 1) that follows from the parts alone."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
