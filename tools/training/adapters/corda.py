"""CorDA: trains the part of each weight that the task's inputs use most. Yang et al., arXiv 2406.05223.

With ``C`` (inputs, inputs) the second moment of a module's inputs on training rows and ``W C = U S V^T``, ``B0`` is
``U_r sqrt(S_r)`` (outputs, r) and ``A0 = sqrt(S_r) V_r^T C^-1`` (r, inputs); the update is ``B A - B0 A0``. From the
paper and its code: the equations of its "instruction-previewed" mode, a scale of one, 1 % of the mean of ``C``'s
diagonal added to it. Left out: the "knowledge-preserved" mode, which needs rows of what is to be kept, and a stage
has rows of what is to be learned only. Ours: 32 rows, all tokens but padding; each pair of directions scaled to
equal lengths, so that the size of the inputs does not matter; how it is saved (``tools/training/residual.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.tools.training.method import Start
from tunewright.tools.training.residual import Residual

_DAMPING = 0.01


class Corda(Residual):
    """Starts at the directions that carry most of the task's inputs."""

    kind = "corda"
    names = ("CorDA", "context-oriented decomposition adaptation")
    summary = "LoRA on the part of each weight that the task's inputs use most; looks at 32 rows first"
    paper = "arXiv 2406.05223"
    lr = (1e-5, 1e-3, 1e-4)
    lr_source = "ours, as PiSSA's, whose experiments (7B, 2e-5) the paper follows; wider upwards for small models"

    def starts(
        self, layers: Mapping[str, Any], model: Any, settings: Any, start: Start
    ) -> Iterator[tuple[str, Any, Any]]:
        """Each weight's principal part as the inputs weigh it."""
        import torch

        from tunewright.tools.models.lowrank import top_singular
        from tunewright.tools.models.offset import base_weight
        from tunewright.tools.training.probe import second_moments

        modules = {name: layer.get_base_layer() for name, layer in layers.items()}
        for name, moment in second_moments(model, modules, start):
            damped = moment.double()
            damped.diagonal().add_(_DAMPING * damped.diagonal().mean().clamp_min(1e-12))
            left, values, right = top_singular(
                base_weight(layers[name]) @ damped.float(), settings.rank, seed=start.seed
            )
            solved = torch.cholesky_solve(right.T.double(), torch.linalg.cholesky(damped)).T
            length = solved.norm(dim=1, keepdim=True)
            root = (values.double()[:, None] * length).sqrt()
            yield name, (root * solved / length).float(), (left.double() * root.T).float()


METHOD = Corda()
