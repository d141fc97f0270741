"""DWM: weights by hand, the hypergradient against finite differences, and what it does to a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.training.chosen import task
from tests.training.planted import COMPLETION, mixed, row

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Adapter, Recipe, Stage
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.batch import stage_data
from tunewright.tools.training.learning import Begin
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter, check_recipe, objective, selector
from tunewright.tools.training.weighting import Weighting, batch_weights

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
SOURCES = {"sources": [{"path": f"{name}.jsonl", "name": name} for name in ("one", "two", "noise")]}


def weighting(tiny: Found, rows: list[Any], kind: str = "sft", lr: float = 0.05, **settings: Any) -> Weighting:
    """The objective, weighted, on a LoRA that has been moved a little."""
    model, tokenizer = load_model(tiny.path, device="cpu")
    model = adapter("lora").build(model, Adapter(kind="lora"), Start())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    stage = Stage.model_validate(
        {
            "objective": {"kind": kind},
            "data": {"selection": {"kind": "dwm", **settings}},
            "optimisation": {"lr": lr, "batch_size": 4, "steps": 8},
        }
    )
    names = tuple(dict.fromkeys(one["source"] for one in rows))
    data = stage_data(rows, task(names), stage, 0, 1, tokenizer)
    inner = objective(kind).learning(model, stage.objective, Begin(data, seed=1, steps=8))
    made = selector("dwm").guide(inner, stage)
    assert isinstance(made, Weighting)
    return made


def test_weights_by_hand() -> None:
    ones = torch.ones(2)
    found = batch_weights(torch.tensor([0.0, 1.0]), ones)
    assert found.tolist() == pytest.approx([2 / (1 + 2.718281828), 2 * 2.718281828 / (1 + 2.718281828)])
    assert batch_weights(torch.zeros(4), torch.ones(4)).tolist() == [1.0, 1.0, 1.0, 1.0]
    random = batch_weights(torch.randn(9, generator=torch.Generator().manual_seed(0)) * 5, torch.ones(9))
    assert float(random.min()) >= 0 and float(random.sum()) == pytest.approx(9)


def test_copies_share_a_weight() -> None:
    found = batch_weights(torch.tensor([0.3, 0.3, 0.3]), torch.tensor([2.0, 2.0, 1.0]))
    assert found.tolist() == pytest.approx([0.75, 0.75, 1.5])


@pytest.mark.parametrize("kind", ["sft", "dft", "key_tokens"])
def test_the_hypergradient_is_what_differences_say(tiny: Found, kind: str) -> None:
    rows = [row(n, "a", f"{'abc'[n % 3]} {n}", f"because <Answer>{n * n}") for n in range(6)]
    learning = weighting(tiny, rows, kind, lr=0.5)
    batch, held = learning.collate([0, 1, 2, 3]), learning.collate([4, 5])
    weights = torch.tensor([1.3, 0.2, 1.5, 1.0])
    found, loss = learning.hypergradient(batch, weights, held)

    learning.model.eval()
    trained = [weight for weight in learning.model.parameters() if weight.requires_grad]

    def after(changed: torch.Tensor) -> float:
        """The held-out loss after one step of descent."""
        loss = learning.inner.loss({**batch, "row_weights": changed}) / learning.items(batch)
        before = [weight.detach().clone() for weight in trained]
        step = torch.autograd.grad(loss, trained)
        columns = {name: held[name] for name in ("input_ids", "attention_mask", "labels")}
        with torch.no_grad():
            for weight, along in zip(trained, step, strict=True):
                weight.sub_(learning.lr * along)
            said = float(learning.model(**columns).loss)
            for weight, old in zip(trained, before, strict=True):
                weight.copy_(old)
        return said

    differences = []
    for at in range(4):
        up, down = weights.clone(), weights.clone()
        up[at] += 0.05
        down[at] -= 0.05
        differences.append((after(up) - after(down)) / 0.1)
    assert loss == pytest.approx(after(weights), rel=1e-4)
    assert found.tolist() == pytest.approx(differences, rel=2e-2, abs=5e-5)
    assert max(map(abs, differences)) > 5e-4, "else nothing is tested"


def test_looking_ahead_changes_nothing(tiny: Found) -> None:
    learning = weighting(tiny, mixed(clean=6, noise=0), update_every=1)
    learning.model.train()
    before = {name: weight.clone() for name, weight in learning.model.named_parameters()}
    state = torch.get_rng_state()
    learning.prepare(learning.collate(list(learning.data.order[:4])), 0)
    assert all(torch.equal(before[name], weight) for name, weight in learning.model.named_parameters())
    assert all(weight.grad is None for weight in learning.model.parameters())
    assert torch.equal(state, torch.get_rng_state()) and learning.model.training


def test_a_weight_counts_in_the_loss(tiny: Found) -> None:
    learning = weighting(tiny, mixed(clean=6, noise=0))
    learning.model.eval()
    batch = learning.collate([0, 1, 2])
    parts = [float(learning.loss(learning.collate([place])).detach()) for place in (0, 1, 2)]
    weighted = float(learning.loss({**batch, "row_weights": torch.tensor([0.5, 0.0, 2.5])}).detach())
    assert weighted == pytest.approx(0.5 * parts[0] + 2.5 * parts[2], rel=1e-5)
    assert float(learning.loss({**batch, "row_weights": torch.ones(3)}).detach()) == pytest.approx(sum(parts), rel=1e-5)


def test_packed_rows_cannot_be_weighted() -> None:
    def recipe(**given: Any) -> Recipe:
        stage = {"data": {"selection": {"kind": "dwm"}}, "optimisation": {"lr": 1e-3, "steps": 1}, **given}
        return Recipe.model_validate({"stages": [stage]})

    check_recipe(recipe())
    with pytest.raises(UsageError, match="packed rows share sequences") as caught:
        check_recipe(recipe(objective={"kind": "cpt"}))
    assert "packing of 'cpt' to false" in caught.value.hint
    check_recipe(recipe(objective={"kind": "cpt", "packing": False}))


def stage(steps: int, kind: str = "dwm", **selection: Any) -> dict[str, Any]:
    return {
        "adapter": {"kind": "lora", "rank": 4},
        "data": {"selection": {"kind": kind, **selection}},
        "optimisation": {
            "lr": 1e-2, "batch_size": 8, "steps": steps, "schedule": "constant", "precision": "fp32",
        },
    }  # fmt: skip


def test_frozen_weights_are_plain_training(make_job: Make) -> None:
    """The rows that are trained on are those that a job without weights is given."""
    rows = mixed(clean=12, noise=0)
    job = make_job("dwm", stage(4, update_every=99, width=4), own=rows, task={**COMPLETION, **SOURCES})
    assert main(job.argv) == CODES["done"], job.result().fault
    kept = set(json.loads((job.out / "selection-0.json").read_text())["kept"])
    assert len(kept) < len(rows)
    left = [one for one in rows if one["id"] in kept]
    plain = make_job("plain", stage(4, kind="all"), own=left, task={**COMPLETION, **SOURCES})
    assert main(plain.argv) == CODES["done"]
    assert job.curve() == plain.curve()
    assert job.result().adapter_digest == plain.result().adapter_digest


def test_noise_is_weighed_down(tiny: Found) -> None:
    """Half of each batch is of a source whose answers say nothing of the other's."""
    rows = mixed(clean=24, noise=24, sources=("one",))
    learning = weighting(tiny, rows, lr=0.5, update_every=1, target=["one"])
    optimiser = torch.optim.AdamW([one for one in learning.model.parameters() if one.requires_grad], lr=5e-3)
    clean, noise = ([place for place in learning.data.order if rows[place]["source"] == of] for of in ("one", "noise"))
    shares = []
    for step in range(12):
        batch = learning.prepare(learning.collate([*clean[:4], *noise[:4]]), step)
        clean, noise = clean[4:] + clean[:4], noise[4:] + noise[:4]
        shares.append(float(batch["row_weights"][4:].mean() / batch["row_weights"][:4].mean()))
        optimiser.zero_grad()
        (learning.loss(batch) / learning.items(batch)).backward()
        optimiser.step()
    assert shares[-1] < 0.8 and shares[-1] < shares[0], shares


def test_weights_are_learnt_and_survive_a_stop(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewright.tools.training.stop import Stop

    settings = {"update_every": 2, "target": ["one"], "lr": 3e-2}
    jobs = [
        make_job(name, stage(12, **settings), own=mixed(clean=12, noise=12), task={**COMPLETION, **SOURCES})
        for name in ("whole", "halves")
    ]
    assert main(jobs[0].argv) == CODES["done"], jobs[0].result().fault
    curve = jobs[1].out / "curve.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__bool__", lambda self: curve.exists() and len(curve.read_text().splitlines()) >= 5)
        assert main(jobs[1].argv) == CODES["paused"]
    assert main(jobs[1].argv) == CODES["done"]
    assert jobs[0].curve() == jobs[1].curve()
    assert jobs[0].result().adapter_digest == jobs[1].result().adapter_digest
    facts = jobs[0].events("progressed")[-1].facts
    assert 0 < facts["least_weight"] < 1 < facts["most_weight"] and facts["held_out_loss"] > 0
    assert facts == jobs[1].events("progressed")[-1].facts
