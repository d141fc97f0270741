"""PAGE: the modules where a LoRA adapter would have the most gradient to work with. Zhang et al., arXiv 2605.06183.

With ``B`` = 0 the gradient of ``A`` is zero and that of ``B`` is ``s G A^T``, so a module's score is
``||dL/dB||_F^2`` after one backward pass over a few training rows (the paper: 32 suffice). From the paper: the
quantity, the number of rows, one adapter on the best module ("DomLoRA"). Ours, as its normalisation was not read:
the mean gradient over all labelled tokens of the probe, averaged over three draws of ``A``, not divided by the
module's size.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.tools.models import placement
from tunewright.tools.training.method import Start
from tunewright.tools.training.probe import backward

_RANK, _DRAWS = 8, 3


def dominant_modules(model: Any, start: Start, *, count: int) -> list[str]:
    """The ``count`` linear modules of the highest score, best first; the same for the same rows and seed.

    Weights, gradients, training mode and random state of ``model`` are as before.

    Raises:
        UsageError: the model has fewer linear modules, or there are no rows to look at.
    """
    scores = page_scores(model, start)
    if count > len(scores):
        raise UsageError(
            f"placement 'page-{count}' asks for more than the {len(scores)} linear modules of this model",
            "give a smaller number",
        )
    return sorted(scores, key=lambda name: (-scores[name], name))[:count]


def page_scores(model: Any, start: Start) -> dict[str, float]:
    """Module name -> ``E_A ||dL/dB||_F^2`` at rank 8 and scale 1.

    ``dL/dB`` is ``sum_t g_t (A x_t)^T`` over tokens, so only ``A x`` (tokens, rank) and ``g`` (tokens, outputs) of a
    batch are held, never a gradient of a weight's size.
    """
    import torch

    names = placement.linear_modules(model)
    modules = {name: model.get_submodule(name) for name in names}
    random = torch.Generator().manual_seed(start.seed)
    downs: dict[str, Any] = {}
    for name in names:
        inputs = _inputs(modules[name])
        bound = (1 / inputs) ** 0.5  # Kaiming's uniform with a = sqrt(5), as LoRA starts
        drawn = (torch.rand(_DRAWS * _RANK, inputs, generator=random) * 2 - 1) * bound
        downs[name] = drawn.to(modules[name].weight.device)
    gradients: dict[str, Any] = {}

    def watch(name: str) -> Any:
        def entered(module: Any, args: tuple[Any, ...], output: Any) -> None:
            latent = (args[0].detach().float() @ downs[name].T).flatten(0, -2)

            def left(gradient: Any) -> None:
                step = gradient.detach().float().flatten(0, -2).T @ latent
                gradients[name] = gradients[name] + step if name in gradients else step

            output.register_hook(left)

        return modules[name].register_forward_hook(entered)

    hooks = [watch(name) for name in names]
    try:
        backward(model, start)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: float(gradients[name].square().sum()) / _DRAWS if name in gradients else 0.0 for name in names}


def _inputs(module: Any) -> int:
    from transformers.pytorch_utils import Conv1D

    return int(module.weight.shape[0] if isinstance(module, Conv1D) else module.in_features)
