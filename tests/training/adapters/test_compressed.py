"""Every adapter that says it can be compressed can, on both models, and loads on the base model it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.conformance.adapter import LEARNING_RATES, MODELS, SETTINGS, Run, logits

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.compress import compressed, lora_form
from tunewright.tools.models.factors import with_lora
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import adapters

ABLE = [kind for kind in adapters() if find_adapter(kind).compresses]
PAIRS = [(kind, family) for kind in ABLE for family in MODELS]


@pytest.mark.parametrize(("kind", "family"), PAIRS)
def test_what_says_so_is_compressed(kind: str, family: str, tmp_path: Path) -> None:
    method = find_adapter(kind)
    if family == "gpt2" and not getattr(method, "fits_conv1d", True):
        pytest.skip("does not take transposed layers")
    chosen = Adapter(kind=kind, placement=method.placements[0], **SETTINGS.get(kind, {}))
    lr = LEARNING_RATES.get(kind, min(10 * method.lr[2], method.lr[1] * 3))
    model = method.finish(Run(method, chosen, MODELS[family](), lr=lr).steps(0, 6).model, chosen).eval()
    before = logits(model)
    whole = with_lora(MODELS[family](), lora_form(model)).eval()
    assert torch.allclose(logits(whole), before, atol=5e-3), "at full energy it is the same function"
    small = compressed(model, 0.9).eval()
    save_adapter(small, tmp_path / "adapter", base="tiny")
    assert torch.equal(logits(attach(MODELS[family](), tmp_path / "adapter")), logits(small))
