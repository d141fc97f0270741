"""OLoRA: LoRA that starts at an orthonormal basis of the weight. Buyukakyuz, arXiv 2406.01775.

With the QR decomposition ``W = Q R``, ``B0 = Q[:, :r]`` (outputs, r), orthonormal, and ``A0 = R[:r]`` (r, inputs); the
update is ``B A - B0 A0``. From the paper: the equations. Ours: only the first r columns are decomposed, as
``Q[:, :r]`` depends on no others and ``R[:r] = Q[:, :r]^T W``; a scale of one; how it is saved
(``tools/training/residual.py``). The basis is that of the first r columns, not of the strongest directions: cheaper
than PiSSA, and it depends on the order of the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.tools.training.method import Start
from tunewright.tools.training.residual import Residual


class Olora(Residual):
    """Starts at the first columns' orthonormal basis."""

    kind = "olora"
    names = ("OLoRA", "orthonormal low-rank adaptation")
    summary = "LoRA from an orthonormal basis of each weight; like PiSSA, cheaper to begin"
    paper = "arXiv 2406.01775"
    lr = (1e-5, 1e-3, 1e-4)
    lr_source = "ours, as PiSSA's: it too trains a part of the weight itself (PEFT's example for OLoRA: 3e-4)"

    def starts(
        self, layers: Mapping[str, Any], model: Any, settings: Any, start: Start
    ) -> Iterator[tuple[str, Any, Any]]:
        """The leading part of each weight's QR decomposition."""
        import torch

        from tunewright.tools.models.offset import base_weight

        for name, layer in layers.items():
            weight = base_weight(layer)
            basis = torch.linalg.qr(weight[:, : settings.rank]).Q
            yield name, basis.T @ weight, basis


METHOD = Olora()
