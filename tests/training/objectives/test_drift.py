"""How far an adapter has moved a weight, against what the adapted layer does to unit vectors, for every adapter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from tests.conformance.adapter import LEARNING_RATES, MODELS, SETTINGS, Run

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.training.drift import moved
from tunewright.tools.training.registry import adapter, adapters
from tunewright.tools.training.trace import projections


def response(module: Any, width: int) -> torch.Tensor:
    """(outputs, inputs): the matrix by which a layer acts."""
    with torch.no_grad():
        found: torch.Tensor = (module(torch.eye(width)[None]) - module(torch.zeros(1, 1, width)))[0].T
    return found


@pytest.mark.parametrize("family", sorted(MODELS))
@pytest.mark.parametrize("kind", adapters())
def test_it_is_what_the_layer_does_now_over_what_it_did(kind: str, family: str) -> None:
    method = adapter(kind)
    if family == "gpt2" and not getattr(method, "fits_conv1d", True):
        pytest.skip("says that it does not take transposed layers")
    chosen = Adapter(kind=kind, placement=method.placements[0], **SETTINGS.get(kind, {}))
    lr = LEARNING_RATES.get(kind, min(10 * method.lr[2], method.lr[1] * 3))
    run = Run(method, chosen, MODELS[family](), lr=lr)
    at = projections(run.model, 2)
    if not method.mergeable and any(isinstance(one.module, BaseTunerLayer) for one in at):
        with pytest.raises(UsageError, match="cannot be told of this adapter"):
            [moved(one.module) for one in at]
        return
    before, began = [_response(one.module) for one in at], [moved(one.module) for one in at]
    model = run.steps(0, 4).model.eval()
    assert [one.name for one in projections(model, 2)] == [one.name for one in at]
    furthest = 0.0
    for one, acted, start in zip(at, before, began, strict=True):
        change, now = _response(one.module) - acted, moved(one.module)
        assert (now is None) == (start is None)
        claimed = torch.zeros(()) if now is None or start is None else now - start
        assert torch.allclose(claimed, change, atol=2e-5, rtol=1e-3), one.name
        furthest = max(furthest, float(claimed.abs().max()))
    assert furthest > 1e-4 or all(start is None for start in began), "nothing has moved"


def _response(module: Any) -> torch.Tensor:
    base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    width = base.in_features if isinstance(base, torch.nn.Linear) else base.weight.shape[0]
    was = module.training
    module.eval()
    found = response(module, width)
    module.train(was)
    return found
