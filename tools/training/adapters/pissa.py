"""PiSSA: trains the principal part of each weight and freezes the rest. Meng et al., arXiv 2404.02948.

With ``W = U S V^T``, ``B0 = U_r sqrt(S_r)`` (outputs, r) and ``A0 = sqrt(S_r) V_r^T`` (r, inputs); the update is
``B A - B0 A0``. From the paper: the equations, a scale of one (alpha = r), no dropout by default, a fast approximate
decomposition. Ours: how it is computed and saved (``tools/training/residual.py``), the range of rates for small
models. Each step moves along the strongest directions of the weight, so the rates are lower than LoRA's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.tools.training.method import Start
from tunewright.tools.training.residual import Residual


class Pissa(Residual):
    """Starts at the singular directions of the largest singular values."""

    kind = "pissa"
    names = ("PiSSA", "principal singular values and singular vectors adaptation")
    summary = "LoRA on the principal part of each weight; converges in fewer steps, wants a lower learning rate"
    paper = "arXiv 2404.02948"
    lr = (1e-5, 1e-3, 1e-4)
    lr_source = "the paper trains models of 7B at 2e-5; the range is widened upwards for small models"

    def starts(
        self, layers: Mapping[str, Any], model: Any, settings: Any, start: Start
    ) -> Iterator[tuple[str, Any, Any]]:
        """Each weight's principal part, its singular values split evenly."""
        from tunewright.tools.models.lowrank import top_singular
        from tunewright.tools.models.offset import base_weight

        for name, layer in layers.items():
            left, values, right = top_singular(base_weight(layer), settings.rank, seed=start.seed)
            root = values.sqrt()
            yield name, root[:, None] * right, left * root


METHOD = Pissa()
