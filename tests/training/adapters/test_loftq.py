"""LoftQ: the quantiser, the turns, and that the quantised weight is what is computed with and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft  # noqa: F401  registers our tuners before one of them is imported by name
import pytest
import torch
from tests.conformance.adapter import Run, llama, logits

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.tuners.loftq import alternate, normal_float, pack, unpack
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter as find_adapter


def test_four_bits_are_qloras_values() -> None:
    table = normal_float(4)
    assert len(table) == 16 and table[7] == 0 and table[0] == -1 and table[15] == 1
    assert table[[1, 6, 8, 12, 14]].tolist() == pytest.approx([-0.6962, -0.0911, 0.0796, 0.4407, 0.7230], abs=1e-4)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_what_is_packed_is_the_nearest_value_and_comes_back(bits: int) -> None:
    torch.manual_seed(0)
    table, weight = normal_float(bits), torch.randn(7, 19)
    codes, scales = pack(weight, table)
    assert codes.dtype == torch.uint8 and len(codes) == 96 and len(scales) == 3
    found = unpack(codes, scales, table)[:133].view(7, 19)
    spread = scales.repeat_interleave(64)[:133].view(7, 19)
    nearest = (weight[..., None] - spread[..., None] * table).abs().amin(-1)
    assert torch.allclose((weight - found).abs(), nearest, atol=1e-6)
    assert torch.equal(unpack(*pack(found, table), table)[:133].view(7, 19), found)


def test_a_block_of_zeros_stays_zero() -> None:
    table = normal_float(4)
    assert not unpack(*pack(torch.zeros(8, 16), table), table).any()


def test_turns_bring_both_parts_nearer_to_the_weight() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 96)

    def away(turns: int, rank: int = 8) -> float:
        codes, scales, down, up = alternate(weight, rank, 2, turns)
        return float((weight - unpack(codes, scales, normal_float(2)).view(64, 96) - up @ down).norm())

    quantised = float((weight - unpack(*pack(weight, normal_float(2)), normal_float(2)).view(64, 96)).norm())
    assert away(5) < away(1) < 0.95 * quantised


def test_it_computes_with_few_values_and_more_bits_are_nearer_to_the_base() -> None:
    away = {}
    for bits in (2, 3, 4):
        model = find_adapter("loftq").build(llama(), Adapter(kind="loftq", rank=4, bits=bits), Start()).eval()
        for layer in model.base_model.layers:
            blocks = layer.quantised("default").flatten().view(-1, 64)
            assert all(len(block.unique()) <= 2**bits for block in blocks)
        away[bits] = float((logits(model) - logits(llama())).norm())
    assert away[4] < away[3] < away[2]


def test_the_base_weight_is_not_looked_at_once_it_is_quantised(tmp_path: Path) -> None:
    run = Run(find_adapter("loftq"), Adapter(kind="loftq", rank=4), llama(), lr=1e-3).steps(0, 2)
    before = logits(run.model.eval())
    with torch.no_grad():
        for layer in run.model.base_model.layers:
            layer.get_base_layer().weight.zero_()
    assert torch.equal(logits(run.model), before)


def test_a_checkpoint_brings_the_quantised_weights_back() -> None:
    run = Run(find_adapter("loftq"), Adapter(kind="loftq", rank=4), llama(), lr=1e-3)
    before = logits(run.model.eval())
    state: dict[str, Any] = {key: [part.clone() for part in parts] for key, parts in run.loop.state().items()}
    for layer in run.model.base_model.layers:
        layer.loftq_codes["default"].zero_()
        layer.forget()
    assert not torch.allclose(logits(run.model), before, atol=1e-2)
    run.loop.restore(state)
    assert torch.equal(logits(run.model), before)


def test_a_rank_that_a_module_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="at most 16"):
        find_adapter("loftq").build(llama(), Adapter(kind="loftq", rank=17), Start())
