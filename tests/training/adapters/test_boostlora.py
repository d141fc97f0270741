"""BoostLoRA's own promises: orthogonal windows, failures alone, rounds that hurt are taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, VOCABULARY, llama, logits, loss_of

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter, Optimisation
from tunewright.tools.models.adapter import merged
from tunewright.tools.models.facts import facts
from tunewright.tools.training.batch import padded
from tunewright.tools.training.boosting import Boosting
from tunewright.tools.training.failures import Labelled, answered, distinct, held_out
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.trainer import make_optimiser

METHOD = find_adapter("boostlora")
PROMPT, ANSWER = 5, 2


def prompts(count: int) -> torch.Tensor:
    torch.manual_seed(8)
    return torch.randint(1, VOCABULARY, (count, PROMPT))


def greedy(model: Any, asked: torch.Tensor) -> torch.Tensor:
    """The model's own answers, (rows, answer)."""
    ids = asked
    for _ in range(ANSWER):
        ids = torch.cat([ids, logits(model, ids)[:, -1:].argmax(-1)], dim=1)
    return ids[:, PROMPT:]


def rows_of(asked: torch.Tensor, answers: torch.Tensor) -> list[Labelled]:
    found = []
    for prompt, answer in zip(asked.tolist(), answers.tolist(), strict=True):
        found.append(((*prompt, *answer), (*[-100] * PROMPT, *answer)))
    return found


def giver(rows: list[Labelled]) -> Callable[[int], list[Mapping[str, Any]]]:
    return lambda count: [padded(rows[at : at + 4], "cpu") for at in range(0, min(count, len(rows)), 4)]


class Boosted:
    """A model trained in rounds on given rows."""

    def __init__(self, rows: list[Labelled], *, lr: float = 0.05, steps: int = 12, **settings: Any) -> None:
        self.chosen = Adapter(kind="boostlora", **{"rank": 2, "u": 4, "rounds": 3, **settings})
        start = Start(seed=1, steps=steps, rows=giver(rows), first_pass=len(rows))
        self.rows, self.length = rows, steps
        self.model = METHOD.build(llama(), self.chosen, start).train()
        loop = METHOD.loop(self.model, self.chosen, start)
        assert isinstance(loop, Boosting)
        self.loop = loop
        plan = Optimisation(lr=lr, steps=steps, schedule="constant", warmup_ratio=0, precision="fp32")
        self.optimiser, _ = make_optimiser(self.model, plan, steps)
        self.seen: list[Labelled] = []
        self.expected: list[set[Labelled]] = []

    @property
    def layers(self) -> list[Any]:
        return list(self.model.base_model.layers)

    def run(self, last: int | None = None) -> Boosted:
        for number in range(self.length if last is None else last):
            self.loop.before_step(number)
            batch = self.loop.batch(padded(self.rows[:4], "cpu"))
            self.seen += distinct([batch])
            self.expected.append(set(self.loop.failures))
            loss_of(self.model, batch).backward()
            self.loop.after_backward(number)
            self.optimiser.step()
            self.loop.after_step(number, self.optimiser)
            self.optimiser.zero_grad()
        return self


@pytest.fixture
def hard() -> list[Labelled]:
    """Forty rows with answers that the model does not give."""
    asked = prompts(40)
    return rows_of(asked, (greedy(llama(), asked) + 1 + asked[:, :ANSWER] % 3) % VOCABULARY)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_rounds_are_orthogonal_and_their_ranks_add_up(family: str) -> None:
    chosen = Adapter(kind="boostlora", rank=2, u=4, rounds=4)
    model = METHOD.build(MODELS[family](), chosen, Start())
    torch.manual_seed(4)
    for layer in model.base_model.layers:
        layer.boostlora_core["default"] += torch.block_diag(*torch.randn(4, 2, 2))
    model.peft_config["default"].round = 4
    for layer in model.base_model.layers:
        deltas = [layer.factor("default", [number]).delta() for number in range(4)]
        for one in range(4):
            for other in range(one):
                assert abs((deltas[one] * deltas[other]).sum()) < 1e-6 * deltas[one].norm() * deltas[other].norm()
            assert torch.linalg.matrix_rank(sum(deltas[: one + 1]), rtol=1e-5) == 2 * (one + 1)
        assert torch.allclose(sum(deltas), layer.get_delta_weight("default"), atol=1e-5)


def test_windows_are_the_singular_triplets_of_the_weight_before_training() -> None:
    base = llama()
    exact = base.model.layers[1].mlp.up_proj.weight.detach().clone()
    model = METHOD.build(base, Adapter(kind="boostlora", rank=3, u=2, rounds=5), Start())
    layer = next(layer for layer in model.base_model.layers if layer.key.endswith("layers.1.mlp.up_proj"))
    up, down = layer.boostlora_up["default"], layer.boostlora_down["default"]
    values = torch.linalg.svdvals(exact)[:15]
    assert torch.allclose((up.T @ exact @ down.T).diagonal(), values**2, rtol=1e-4)
    assert torch.allclose(up.T @ up, values.diag(), atol=1e-4)


def test_windows_of_a_large_weight_are_orthogonal_too() -> None:
    from tunewright.tools.models.tuners.boostlora import windows

    torch.manual_seed(0)
    weight = torch.randn(120, 200) @ torch.diag(0.97 ** torch.arange(200))
    up, down = windows(weight, 12)
    values = torch.linalg.svdvals(weight)[:12]
    assert torch.allclose(up.T @ up, values.diag(), atol=1e-2) and torch.allclose(
        down @ down.T, values.diag(), atol=1e-2
    )
    left = up / up.norm(dim=0)
    assert torch.allclose(left.T @ left, torch.eye(12), atol=1e-5)


def test_after_the_last_window_comes_the_first() -> None:
    model = METHOD.build(llama(), Adapter(kind="boostlora", rank=8, u=2, rounds=3, placement="qv"), Start())
    narrow = next(layer for layer in model.base_model.layers if layer.out_features == 16)
    down = narrow.boostlora_down["default"]
    assert torch.equal(down[:8], down[16:]) and not torch.equal(down[:8], down[8:16])


def test_only_failures_are_trained_on_and_no_held_out_row(hard: list[Labelled]) -> None:
    easy = rows_of(prompts(60)[40:], greedy(llama(), prompts(60)[40:]))
    boosted = Boosted(hard + easy).run()
    apart = {boosted.loop.rows[index] for index in held_out(boosted.loop.rows)}
    assert len(apart) == 6 and not apart & set(boosted.seen)
    first = boosted.expected[0]
    assert first == {row for row in hard if row not in apart}
    assert set(boosted.seen[:16]) <= first
    for number, step in enumerate(boosted.expected):
        assert set(boosted.seen[4 * number : 4 * number + 4]) <= step
    assert len(set(boosted.seen)) > 12, "the failures are gone through, not the first ones again"


def test_rounds_learn_what_was_wrong() -> None:
    asked = prompts(40)
    boosted = Boosted(rows_of(asked, torch.tensor([[7, 9]] * 40)), lr=0.03, steps=120, rank=4, u=16).run()
    history = boosted.loop.history
    assert history[0] == {"round": 0, "failures": 36, "before": 0.0, "after": history[0]["after"], "merged": True}
    assert history[-1]["failures"] < 36
    exported = METHOD.finish(boosted.model, boosted.chosen).eval()
    assert sum(answered(exported, boosted.loop.rows)) > 10


def test_a_round_without_failures_changes_nothing() -> None:
    asked = prompts(20)
    boosted = Boosted(rows_of(asked, greedy(llama(), asked)))
    before = logits(boosted.model)
    boosted.run()
    assert boosted.loop.failures == [] and boosted.loop.history == []
    assert all(not layer.boostlora_v["default"].any() for layer in boosted.layers)
    assert torch.equal(logits(boosted.model), before)
    assert boosted.loop.batch(batch := padded(boosted.rows[:4], "cpu")) is batch


def mostly_right() -> list[Labelled]:
    """Rows that the model answers, but for a few that are not held out."""
    asked = prompts(40)
    answers = greedy(llama(), asked)
    for shift in range(1, 40):
        changed = answers.clone()
        changed[:6] = (changed[:6] + shift) % VOCABULARY
        rows = rows_of(asked, changed)
        if not set(held_out(rows)) & set(range(6)):
            return rows
    raise AssertionError("no such rows")


def test_a_round_that_hurts_is_taken_back_and_the_rate_halved() -> None:
    boosted = Boosted(mostly_right(), lr=3.0)
    before = logits(boosted.model)
    boosted.run(4)
    (round_,) = boosted.loop.history
    assert round_["before"] == 1.0 and round_["after"] < 1.0 and not round_["merged"]
    assert torch.equal(logits(boosted.model), before), "nothing of it is left"
    assert len(boosted.loop.failures) == 6
    config = boosted.model.peft_config["default"]
    assert (config.round, config.pace) == (1, 0.5)


def test_half_the_rate_is_half_the_first_step() -> None:
    def moved(pace: float) -> torch.Tensor:
        boosted = Boosted(mostly_right(), lr=1e-3)
        boosted.model.peft_config["default"].pace = pace
        boosted.run(1)
        return torch.cat([layer.get_delta_weight("default").detach().flatten() for layer in boosted.layers])

    assert torch.allclose(moved(0.5), moved(1.0) / 2, atol=1e-7)


def test_merged_and_discarded_it_leaves_the_bare_model(hard: list[Labelled]) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    from tunewright.tools.models.tuners.boostlora import Layer

    boosted = Boosted(hard).run()
    exported = METHOD.finish(boosted.model, boosted.chosen)
    assert not any(isinstance(module, Layer) for module in exported.modules())
    kept = sum(one["merged"] for one in boosted.loop.history)
    assert kept and exported.peft_config["default"].r == 2 * kept
    base = llama().state_dict()
    held = exported.get_base_model().state_dict()
    assert all(torch.equal(held[name.replace("_proj.", "_proj.base_layer.")], w) for name, w in base.items())
    assert not any(isinstance(module, BaseTunerLayer) for module in merged(exported).modules())


def test_a_resumed_run_is_in_the_same_round_with_the_same_rows(hard: list[Labelled]) -> None:
    whole = Boosted(hard).run()
    broken = Boosted(hard).run(5)
    again = Boosted(hard)
    again.loop.restore(broken.loop.state())
    assert again.loop.failures == broken.loop.failures
    assert again.loop.history == broken.loop.history == whole.loop.history[:1]
    assert torch.equal(again.layers[0].boostlora_core["default"], broken.layers[0].boostlora_core["default"])


def test_one_pass_says_what_greedy_decoding_would() -> None:
    asked = prompts(30)
    model, own = llama(), greedy(llama(), prompts(30))
    own[::3, 0] = (own[::3, 0] + 1) % VOCABULARY
    own[1::3, 1] = (own[1::3, 1] + 1) % VOCABULARY
    rows = rows_of(asked, own)
    said = greedy(model, asked)
    assert answered(model, rows) == [bool((own[i] == said[i]).all()) for i in range(30)]


def test_rows_of_any_length_are_judged_as_if_alone() -> None:
    torch.manual_seed(3)
    model, rows = llama(), []
    for length in range(3, 15):
        ids = torch.randint(1, VOCABULARY, (1, length))
        said = logits(model, ids)[0].argmax(-1)
        ids[0, -1] = said[-2]
        labels = [-100] * length
        labels[-1] = int(ids[0, -1]) if length % 2 else 0
        rows.append((tuple(ids[0].tolist()), tuple(labels)))
    assert answered(model, rows) == [bool(length % 2) for length in range(3, 15)]


def test_the_held_out_tenth_depends_on_no_order(hard: list[Labelled]) -> None:
    apart = {hard[index] for index in held_out(hard)}
    turned = hard[::-1]
    assert len(apart) == 4 and {turned[index] for index in held_out(turned)} == apart
    assert held_out(hard[:1]) == [] and len(held_out(hard[:2])) == 1


@pytest.mark.parametrize("tying", ["type", "all"])
def test_tied_modules_share_what_is_trained(tying: str, tmp_path: Any) -> None:
    base = llama()
    base.save_pretrained(tmp_path)
    chosen = Adapter(kind="boostlora", tying=tying, u=5)
    model = METHOD.build(base, chosen, Start())
    count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert count == METHOD.trainable_parameters(facts(tmp_path), chosen) == (5 if tying == "all" else 35)


def test_a_window_wider_than_a_weight_is_refused(tmp_path: Any) -> None:
    base = llama()
    base.save_pretrained(tmp_path)
    chosen = Adapter(kind="boostlora", rank=17)
    with pytest.raises(UsageError, match="at most the rank of a weight"):
        METHOD.trainable_parameters(facts(tmp_path), chosen)
    with pytest.raises(UsageError, match="'boostlora'"):
        METHOD.build(base, chosen, Start())
