"""Merging: orthogonal whatever the overlap, exact in LoRA form, and what went in can be taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, llama, logits

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, save_adapter
from tunewright.tools.models.factors import Factor, Factors, read_factors, with_lora, write_factors
from tunewright.tools.models.merge import (
    METHODS,
    PEFT_METHODS,
    Merge,
    gram,
    lora_folder,
    merged_by_peft,
    orthogonalised,
)  # fmt: skip
from tunewright.tools.training.batch import padded
from tunewright.tools.training.merging import learned, superposed
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter as find_adapter

NAMES = [f"model.layers.{layer}.{part}" for layer in (0, 1) for part in ("self_attn.q_proj", "mlp.down_proj")]


def update(
    seed: int, rank: int = 3, *, near: dict[str, Factor] | None = None, strength: float = 0.1
) -> dict[str, Factor]:
    """A LoRA for the tiny Llama; ``near`` is mixed in, so that the two overlap."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for name in NAMES:
        inputs = 64 if "down" in name else 32
        down, up = torch.randn(rank, inputs, generator=random), torch.randn(32, rank, generator=random) * strength
        if near is not None:
            down, up = torch.cat([down, near[name].down]), torch.cat([up, near[name].up * 0.7], dim=1)
        found[name] = Factor(down, up)
    return found


@pytest.fixture
def three() -> tuple[dict[str, Factor], ...]:
    """Three updates of other ranks; the second and third lean on the first."""
    first = update(1)
    return first, update(2, 5, near=first), update(3, 2, near=first)


def dense(factors: Factors) -> torch.Tensor:
    """Every module's change in one vector, in fp64."""
    return torch.cat(
        [
            (factors[name].up.double() @ factors[name].down.double()).flatten()
            if name in factors
            else torch.zeros(32 * (64 if "down" in name else 32), dtype=torch.float64)
            for name in NAMES
        ]
    )


def parts(merge: Merge) -> list[torch.Tensor]:
    """The orthogonal parts ``o_k`` as vectors, module by module where the scope says so."""
    bases, found = merge.bases(), []
    for number in range(len(merge.updates)):
        pieces = []
        for name in NAMES:
            deltas = [u[name].up.double() @ u[name].down.double() for u in merge.updates]
            pieces.append(sum(m * d for m, d in zip(bases[name][number], deltas, strict=True)).flatten())
        found.append(torch.cat(pieces))
    return found


@pytest.mark.parametrize("scope", ["global", "per_tensor"])
def test_parts_are_orthogonal_in_the_order_they_come(three: Any, scope: Any) -> None:
    found = parts(Merge(three, (1.0, 1.0, 1.0), scope))
    vectors = [dense(one) for one in three]
    overlap = vectors[0] @ vectors[1] / vectors[0].norm() / vectors[1].norm()
    assert overlap > 0.3, "the test would show nothing"
    for one in range(3):
        for other in range(one):
            assert abs(found[one] @ found[other]) < 1e-12 * found[one].norm() * found[other].norm()
    assert torch.allclose(found[0], vectors[0])
    if scope == "per_tensor":
        size = 32 * 32
        assert abs(found[1][:size] @ found[0][:size]) < 1e-12 * found[1][:size].norm() * found[0][:size].norm()


def test_no_delta_is_multiplied_out_and_the_sums_agree(three: Any) -> None:
    products = gram([one[NAMES[0]] for one in three])
    deltas = [one[NAMES[0]].up.double() @ one[NAMES[0]].down.double() for one in three]
    exact = torch.tensor([[(a * b).sum() for b in deltas] for a in deltas])
    assert torch.allclose(products, exact, rtol=1e-12)


@pytest.mark.parametrize("scope", ["global", "per_tensor"])
def test_the_merged_lora_is_the_weighted_sum_of_parts(three: Any, scope: Any) -> None:
    merge = Merge(three, (1.0, -0.4, 0.7), scope)
    exact = sum(alpha * part for alpha, part in zip(merge.alphas, parts(merge), strict=True))
    assert torch.allclose(dense(merge.factors()), exact, atol=1e-6)
    assert all(factor.rank == 3 + 8 + 5 for factor in merge.factors().values())


def test_weights_are_found_again_by_projection(three: Any) -> None:
    merge = Merge(three, (0.9, 0.3, -0.5))
    whole = dense(merge.factors())
    for alpha, part in zip(merge.alphas, parts(merge), strict=True):
        assert float(whole @ part / (part @ part)) == pytest.approx(alpha, abs=1e-6)


@pytest.mark.parametrize("scope", ["global", "per_tensor"])
def test_taking_one_out_plainly_is_subtracting_its_part(three: Any, scope: Any) -> None:
    merge = Merge(three, (1.0, 0.8, 0.6), scope)
    for number in range(3):
        left = dense(merge.without(number).factors())
        assert torch.allclose(dense(merge.factors()) - merge.alphas[number] * parts(merge)[number], left, atol=1e-6)


def test_taking_one_out_exactly_is_as_if_it_had_never_been_there(three: Any) -> None:
    merge = Merge(three, (1.0, 0.8, 0.6))
    exact = merge.without(0, exact=True)
    assert exact == Merge(three[1:], (0.8, 0.6))
    assert torch.equal(dense(exact.factors()), dense(Merge(three[1:], (0.8, 0.6)).factors()))
    plain = merge.without(0)
    assert not torch.allclose(dense(plain.factors()), dense(exact.factors()), atol=1e-3), "the others leaned on it"
    last = merge.without(2, exact=True)
    assert torch.allclose(dense(last.factors()), dense(merge.without(2).factors()), atol=1e-6), "nobody came after it"


def test_updates_that_do_not_meet_are_added_as_they_are() -> None:
    first, second = update(1), update(2)
    apart = ({NAMES[0]: first[NAMES[0]]}, {NAMES[1]: second[NAMES[1]]})
    merge = Merge(apart, (1.0, 1.0))
    assert merge.factors().keys() == {NAMES[0], NAMES[1]}
    assert torch.allclose(dense(merge.factors()), dense(apart[0]) + dense(apart[1]))


def test_an_update_twice_counts_once(three: Any) -> None:
    twice = Merge((three[0], three[0], three[1]), (1.0, 1.0, 1.0))
    once = Merge((three[0], three[1]), (1.0, 1.0))
    assert torch.allclose(dense(twice.factors()), dense(once.factors()), atol=1e-5)
    assert torch.isfinite(orthogonalised(torch.zeros(3, 3, dtype=torch.float64))).all()


@pytest.mark.parametrize("family", sorted(MODELS))
def test_a_merged_adapter_loads_as_stock_lora(family: str, tmp_path: Path) -> None:
    from peft import PeftModel

    from tunewright.tools.models.placement import linear_modules

    torch.manual_seed(0)
    base = MODELS[family]()
    updates = []
    for rank in (2, 4):
        found = {}
        for name in linear_modules(base):
            weight = base.get_submodule(name).weight
            outputs, inputs = weight.shape if family == "llama" else weight.T.shape
            found[name] = Factor(torch.randn(rank, inputs) * 0.1, torch.randn(outputs, rank) * 0.1)
        updates.append(found)
    merged = Merge(tuple(updates), (1.0, 0.5)).factors()
    write_factors(merged, tmp_path / "merged", base="tiny", fan_in_fan_out=family == "gpt2")
    loaded = PeftModel.from_pretrained(MODELS[family](), str(tmp_path / "merged")).eval()
    with torch.no_grad():
        for name, factor in merged.items():
            delta = factor.delta()
            base.get_submodule(name).weight += delta if family == "llama" else delta.T
    assert torch.allclose(logits(loaded), logits(base), atol=1e-4)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two saved adapters of one rank."""
    found = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(found):
        write_factors(update(seed), folder, base="tiny", fan_in_fan_out=False)
    return found


@pytest.mark.parametrize("method", PEFT_METHODS)
def test_pefts_ways(method: str, folders: list[Path]) -> None:
    found = merged_by_peft(llama(), folders, method, (0.7, 0.3), density=0.6)
    assert found.keys() == set(NAMES)
    again = merged_by_peft(llama(), folders, method, (0.7, 0.3), density=0.6)
    assert torch.equal(dense(found), dense(again)), "chance has a seed"
    one, two = (dense(read_factors(folder)[0]) for folder in folders)
    if method == "cat":
        assert torch.allclose(dense(found), 0.7 * one + 0.3 * two, atol=1e-5)
    else:
        assert 0 < dense(found).norm() < 3 * (one.norm() + two.norm())


def test_cat_of_rank_stabilised_adapters_is_not_scaled_twice(tmp_path: Path) -> None:
    import json

    folder = tmp_path / "one"
    write_factors(update(1, 4), folder, base="tiny", fan_in_fan_out=False)
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {"use_rslora": True, "lora_alpha": 6}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    whole = dense(read_factors(folder)[0])
    found = merged_by_peft(llama(), [folder, folder], "cat", (0.5, 0.5))
    assert torch.allclose(dense(found), whole, atol=1e-5)
    assert torch.allclose(whole, 3 * dense(update(1, 4)), atol=1e-5)


def test_what_peft_cannot_merge_is_said(tmp_path: Path) -> None:
    for rank in (2, 3):
        write_factors(update(1, rank), tmp_path / str(rank), base="tiny", fan_in_fan_out=False)
    with pytest.raises(UsageError, match="'linear' cannot merge these adapters") as caught:
        merged_by_peft(llama(), [tmp_path / "2", tmp_path / "3"], "linear", (0.5, 0.5))
    assert "mdm-oc" in caught.value.hint and "mdm-oc" in METHODS


def batches(model: Any, seed: int) -> list[dict[str, torch.Tensor]]:
    """Rows whose second halves are what ``model`` says."""
    torch.manual_seed(seed)
    ids = torch.randint(1, 60, (6, 6))
    said = logits(model, ids).argmax(-1)
    return [
        padded([(tuple(row), (*[-100] * 3, *row[3:])) for row in torch.cat([ids, said[:, -3:]], 1).tolist()], "cpu")
    ]


def test_superposed_is_the_merged_model() -> None:
    merge = Merge((update(1), update(2, 5)), (0.8, 0.5))
    base = llama()
    weights = {name: one.float() for name, one in merge.weights().items()}
    with superposed(base, merge, weights):
        found = logits(base)
    assert torch.allclose(found, logits(with_lora(llama(), merge.factors()).eval()), atol=1e-4)
    assert torch.equal(logits(base), logits(llama())), "the model is as it was"


@pytest.mark.parametrize("by", ["gradient", "search"])
def test_learned_weights_lower_the_loss_and_leave_the_model(by: Any) -> None:
    good, bad = update(1, strength=0.05), update(2, strength=0.05)
    task = batches(with_lora(llama(), good).eval(), 3)
    base = llama()
    merge = Merge((good, bad), (1.0, 1.0))
    found = learned(base, merge, [task], by=by, steps=40)
    assert abs(found.alphas[1]) < 0.5 < found.alphas[0], "the update that the rows are of stays"
    assert torch.equal(logits(base), logits(llama()))
    assert all(weight.requires_grad for weight in base.parameters())
    assert learned(base, merge, [task], by=by, steps=1).alphas == (1.0, 1.0), "never worse than the start"


def refused() -> Any:
    raise AssertionError("no model is needed for this")


def test_a_lora_is_merged_as_it_is_and_another_sum_is_converted(folders: list[Path], tmp_path: Path) -> None:
    from peft import VeraConfig, get_peft_model

    assert lora_folder(folders[0], tmp_path / "own", refused, name="run a") == folders[0]
    vera = get_peft_model(llama(), VeraConfig(r=4, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, weight in vera.named_parameters():
            if "vera_lambda" in name:
                weight.normal_()
    save_adapter(vera, tmp_path / "vera", base="tiny")
    folder = lora_folder(tmp_path / "vera", tmp_path / "own", llama, name="run a")
    assert folder == tmp_path / "own"
    assert torch.allclose(logits(attach(llama(), folder)), logits(vera.eval()), atol=1e-4)


@pytest.mark.parametrize(("kind", "said"), [("dora", "run a .*sets use_dora|cannot"), ("ia3", "run a .*cannot be put")])
def test_what_cannot_be_merged_is_said(kind: str, said: str, tmp_path: Path) -> None:
    method, chosen = find_adapter(kind), Adapter(kind=kind)
    save_adapter(method.build(llama(), chosen, Start()), tmp_path / "adapter", base="tiny")
    with pytest.raises(UsageError, match=said):
        lora_folder(tmp_path / "adapter", tmp_path / "own", llama, name="run a")


@pytest.mark.parametrize(("kind", "said"), [("full", "is a full fine-tune"), ("stages", "in several stages")])
def test_only_adapters_are_merged(kind: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "tunewright.json").write_text(f'{{"kind": "{kind}"}}')
    with pytest.raises(UsageError, match=said):
        lora_folder(tmp_path, tmp_path / "own", refused, name="run a")
