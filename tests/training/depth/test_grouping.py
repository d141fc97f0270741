"""Which layers are alike, and which one can stand for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.training.depth.conftest import small_model

from tunewright.domain.depth import Depth, Grouping
from tunewright.tools.training.depth import grouping
from tunewright.tools.training.depth.grouping import (
    embedding,
    grouped,
    grouped_contiguously,
    groups_of,
    similarity,
    ungrouped,
)

BLOCKS = ((0, 1, 2), (3, 4), (5, 6, 7))


def planted(blocks: tuple[tuple[int, ...], ...], near: float = 0.95, far: float = 0.05) -> Any:
    """(layers, layers) cosines: high within a block, low between blocks, and a little of chance."""
    count = sum(map(len, blocks))
    alike = np.full((count, count), far)
    for block in blocks:
        alike[np.ix_(block, block)] = near
    noise = np.random.default_rng(0).normal(0, 0.02, (count, count))
    alike += noise + noise.T
    np.fill_diagonal(alike, 1.0)
    return alike


def layers(*rows: list[float]) -> list[Any]:
    made = [torch.nn.Linear(len(row), 1, bias=False) for row in rows]
    for layer, row in zip(made, rows, strict=True):
        layer.weight.data = torch.tensor([row])
    return made


@pytest.mark.parametrize("seed", range(5))
def test_planted_blocks_are_found(seed: int) -> None:
    assert grouped(planted(BLOCKS), 3, seed) == BLOCKS
    assert grouped_contiguously(planted(BLOCKS), 3) == BLOCKS


def test_blocks_need_not_follow_each_other_unless_they_have_to() -> None:
    blocks = ((0, 5), (1, 4), (2, 3))
    assert grouped(planted(blocks), 3, 0) == blocks
    found = grouped_contiguously(planted(blocks), 3)
    assert [layer for group in found for layer in group] == list(range(6)) and len(found) == 3


def test_cosines_by_hand() -> None:
    found = similarity(layers([1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-3.0, 0.0]))
    root = 0.5**0.5
    expected = [[1, root, 0, -1], [root, 1, root, -root], [0, root, 1, 0], [-1, -root, 0, 1]]
    assert found == pytest.approx(np.array(expected))


def test_cosines_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model("llama")
    whole = similarity(model.model.layers)
    flat = [torch.cat([weight.detach().flatten() for weight in layer.parameters()]) for layer in model.model.layers]
    direct = torch.nn.functional.cosine_similarity(flat[0], flat[1], dim=0)
    assert whole[0, 1] == pytest.approx(float(direct), abs=1e-6)
    monkeypatch.setattr(grouping, "_CHUNK", 100)
    assert similarity(model.model.layers) == pytest.approx(whole, abs=1e-9)


def test_layers_without_a_weight_that_is_not_zero_are_like_none() -> None:
    assert similarity(layers([0.0, 0.0], [1.0, 0.0]))[0, 1] == 0.0


def test_the_laplacian_has_no_negative_weights() -> None:
    """Two pairs that are opposites: cosines of -1 count as none, and each pair is a component of its own."""
    found = embedding(similarity(layers([1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1])), 2)
    assert np.linalg.norm(found[0] - found[1]) < 1e-6 < np.linalg.norm(found[0] - found[2])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("how", ["similarity", "even", "random"])
@pytest.mark.parametrize("contiguous", [False, True])
def test_every_layer_is_in_one_group(how: Grouping, count: int, contiguous: bool) -> None:
    depth = Depth(stages=2, grouping=how, contiguous=contiguous and how != "even")
    found = groups_of(small_model("llama").model.layers, depth, count, 3)
    assert len(found) == count and sorted(layer for group in found for layer in group) == list(range(6))
    assert list(found) == sorted(found, key=min) and all(list(group) == sorted(group) for group in found)
    if contiguous or how == "even":
        assert all(group == tuple(range(group[0], group[-1] + 1)) for group in found)


def test_as_many_groups_as_layers_are_single_layers() -> None:
    assert groups_of(small_model("llama").model.layers, Depth(stages=2), 6, 0) == tuple((i,) for i in range(6))


def test_equal_layers_still_make_as_many_groups_as_are_asked_for() -> None:
    same = layers(*[[1.0, 2.0]] * 6)
    assert len(groups_of(same, Depth(stages=2), 4, 0)) == 4
    assert len(groups_of(same, Depth(stages=2, contiguous=True), 4, 0)) == 4


def test_even_groups_by_hand_and_random_ones_by_seed() -> None:
    assert ungrouped("even", 7, 3, 0) == ((0, 1), (2, 3), (4, 5, 6))
    drawn = {ungrouped("random", 8, 3, seed) for seed in range(10)}
    assert len(drawn) > 5 and ungrouped("random", 8, 3, 4) == ungrouped("random", 8, 3, 4)


def test_what_was_learned_decides_too() -> None:
    """Adapters are among the parameters that are compared."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(small_model("llama"), LoraConfig(r=2, target_modules=["q_proj"]))
    held = model.base_model.model.model.layers
    before = similarity(held)
    held[0].self_attn.q_proj.lora_B["default"].weight.data.fill_(9.0)
    assert similarity(held)[0, 1] != pytest.approx(before[0, 1], abs=1e-3)
