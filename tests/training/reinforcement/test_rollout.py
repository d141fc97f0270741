"""Rounds: what is drawn, how often it is used, what is replaced, masked, punished, and left unread."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import close, gradients
from tests.training.reinforcement.conftest import ONE_WORD

from tunewright.tools.training.reinforcement.policy_loss import shares
from tunewright.tools.training.reinforcement.rollout import Rollout, roll, spoken

B_PAYS = [{"kind": "regex", "pattern": "b"}]
ALL_PAY = [{"kind": "regex", "pattern": "^"}]
Make = Callable[..., Any]


def numbered(learning: Any, step: int, places: range) -> list[int]:
    """Which answers of its round a step is on."""
    batch = learning.prepare(learning.collate(places), step)
    if step % learning.turns == 0:
        learning.round["number"] = torch.arange(len(learning.round["labels"]))
        batch = learning.turned(learning.round, 0, step)
    found: list[int] = batch["number"].tolist()
    return found


def test_each_answer_is_used_as_often_as_there_are_iterations(make_speaker: Make, make_learning: Make) -> None:
    settings = {"rewards": B_PAYS, "group": 2, "steps_per_generation": 3, "iterations": 2, "beta": 0.1}
    learning = make_learning(make_speaker("ab."), "grpo", batch=2, steps=12, settings=settings)
    order = learning.data.order
    seen: list[list[int]] = []
    for step in range(12):
        seen.append(numbered(learning, step, range(2)))
        prompts = [learning.data.encoded[place].prompt for place in order[step // 6 * 6 : step // 6 * 6 + 6]]
        first = [learning.round["input_ids"][2 * at, : len(prompt)].tolist() for at, prompt in enumerate(prompts)]
        assert first == prompts, "a round is on the next rows of the stage, a group to each"
        assert learning.ends == (step in (5, 11))
    orders = [list(chain(*seen[start : start + 3])) for start in range(0, 12, 3)]
    assert all(sorted(order) == list(range(12)) for order in orders), "once in each iteration"
    assert {len(part) for part in seen} == {4}
    assert orders[0] == orders[2] == list(range(12)), "at first in the order in which they are drawn"
    assert orders[1] != orders[3] and list(range(12)) not in orders[1::2], "then in any"


def test_a_round_is_drawn_by_the_seed_and_the_step_alone(make_speaker: Make, make_learning: Make) -> None:
    def rolled(step: int, seed: int = 1) -> torch.Tensor:
        learning = make_learning(make_speaker("ab."), "grpo", begin={"seed": seed}, settings={"rewards": B_PAYS})
        before = torch.get_rng_state()
        ids: torch.Tensor = learning.prepare(learning.collate([0]), step)["input_ids"]
        assert torch.equal(torch.get_rng_state(), before), "others' chance is left as it was"
        return ids

    first = rolled(3)
    torch.manual_seed(99)
    assert torch.equal(rolled(3), first)
    assert not any(other.shape == first.shape and torch.equal(other, first) for other in (rolled(4), rolled(3, seed=2)))


def test_answers_come_to_an_end_or_to_the_limit(make_speaker: Make, make_learning: Make) -> None:
    model = make_speaker("ab.").train()
    learning = make_learning(model, "grpo", task={"max_new_tokens": 3}, settings={"rewards": B_PAYS})
    form = learning.data.form
    prompts = [one.prompt for one in learning.data.encoded]
    rows = learning.data.rows
    own = {"seed": 4, "temperature": 1.0, "precision": "fp32", "check": learning.begin.check}
    rollout = roll(model, form, rows, prompts, [0] * len(rows), **own)
    assert model.training
    assert {len(answer) for answer in rollout.answers} == {1, 2, 3}
    for answer in rollout.answers:
        assert form.end not in answer[:-1] and (answer[-1] == form.end or len(answer) == 3)
    texts = spoken(rollout, form).texts
    assert set("".join(texts)) == {"a", "b"} and "" in texts
    letters = {"a": 68, "b": 69}
    assert [[letters[one] for one in text] for text in texts] == [
        [token for token in answer if token != form.end] for answer in rollout.answers
    ]


def test_a_temperature_draws_from_the_distribution_that_it_sharpens(make_speaker: Make, make_learning: Make) -> None:
    model = make_speaker("ab")
    model.get_output_embeddings().bias.data[69] += 1.0  # b by the factor e more likely than a
    for temperature, expected in ((1.0, 0.731), (0.5, 0.881), (5.0, 0.550)):
        settings = {"rewards": B_PAYS, "group": 256, "temperature": temperature}
        learning = make_learning(model, "grpo", batch=4, task=ONE_WORD, settings=settings)
        learning.prepare(learning.collate([0]), 0)
        assert learning.facts()["reward"] == pytest.approx(expected, abs=0.05)  # three deviations of 1,024 draws


def groups(rollout: Rollout, size: int) -> list[set[float]]:
    """What the answers of each group earned; a group is of one row."""
    for group in rollout.groups(size):
        assert len({row["id"] for row in group.rows}) == 1 == len({tuple(prompt) for prompt in group.prompts})
        assert group.parts["regex"] == group.rewards
    return [set(group.rewards) for group in rollout.groups(size)]


def test_groups_that_agree_are_replaced_as_long_as_may_be(make_speaker: Make, make_learning: Make) -> None:
    def sampled(tries: int, group: int = 2) -> tuple[list[set[float]], float]:
        settings = {"rewards": B_PAYS, "group": group, "dynamic": tries}
        learning = make_learning(make_speaker("ab"), "grpo", batch=8, task=ONE_WORD, settings=settings)
        rollout, count = learning.drawn(0)
        assert len(rollout) == 8 * group
        learning.prepare(learning.collate([0]), 0)
        assert learning.facts()["drawn"] == count / (8 * group)
        return groups(rollout, group), count / (8 * group)

    plain, drawn = sampled(0)
    assert drawn == 1.0 and {0.0, 1.0} in plain and ({0.0} in plain or {1.0} in plain)
    once, drawn = sampled(1)
    mixed = [found for found in once if len(found) == 2]
    assert drawn == 2.0 and once[: len(mixed)] == mixed and len(mixed) >= sum(len(found) == 2 for found in plain)
    full, drawn = sampled(16)
    assert full == [{0.0, 1.0}] * 8 and 1 < drawn < 17, "it stops as soon as there are enough"
    assert sampled(16, group=64) == ([{0.0, 1.0}] * 8, 1.0), "nothing is drawn for nothing"


def test_where_all_agree_for_ever_the_round_is_filled_with_them(make_speaker: Make, make_learning: Make) -> None:
    settings = {"rewards": ALL_PAY, "group": 2, "dynamic": 3}
    learning = make_learning(make_speaker("ab"), "dapo", batch=4, task=ONE_WORD, settings=settings)
    rollout, count = learning.drawn(0)
    assert groups(rollout, 2) == [{1.0}] * 4 and count == 4 * 8
    assert [row["id"] for row in rollout.rows[::2]] == [learning.data.rows[at]["id"] for at in learning.data.order[:4]]


def test_replacing_draws_other_answers_to_other_rows(make_speaker: Make, make_learning: Make) -> None:
    settings = {"rewards": B_PAYS, "group": 4, "dynamic": 1}
    learning = make_learning(make_speaker("ab."), "grpo", batch=4, settings=settings)
    first, again, other = (learning.answered([0, 1, 2, 3], 0, draw) for draw in (0, 0, 1))
    assert first.answers == again.answers != other.answers


def test_answers_without_an_end_carry_no_loss_and_are_compared_all_the_same(
    make_speaker: Make, make_learning: Make
) -> None:
    found = {}
    for mask in (False, True):
        settings = {"rewards": B_PAYS, "group": 8, "mask_truncated": mask, "beta": 0.1}
        learning = make_learning(make_speaker("ab."), "grpo", batch=4, task={"max_new_tokens": 3}, settings=settings)
        found[mask] = learning.prepare(learning.collate([0]), 0)
    plain, masked = found[False], found[True]
    ended = (plain["labels"] == learning.data.form.end).any(1)
    assert 0 < ended.sum() < len(ended)
    assert torch.equal(masked["labels"][ended], plain["labels"][ended])
    assert (masked["labels"][~ended] < 0).all() and (plain["labels"][~ended] >= 0).any()
    assert torch.equal(masked["advantage"], plain["advantage"]) and learning.items(masked) == 32


def test_the_punishment_of_long_answers_by_hand(make_speaker: Make, make_learning: Make) -> None:
    settings = {"rewards": B_PAYS, "overlong": 0.2}
    learning = make_learning(
        make_speaker("ab"), "dapo", task={"max_new_tokens": 100, "max_length": 200}, settings=settings
    )
    end = learning.data.form.end
    answers = [[5] * length + [end] for length in (1, 80, 85, 90, 99)] + [[5] * 100]
    assert learning.penalty(Rollout(answers=answers)).tolist() == pytest.approx([0, 0, -0.25, -0.5, -0.95, -1.0])
    learning.settings = learning.settings.model_copy(update={"overlong": 0.0})
    assert not learning.penalty(Rollout(answers=answers)).any()


def test_a_long_answer_is_worth_less_and_its_reward_is_told_without(make_speaker: Make, make_learning: Make) -> None:
    settings = {"rewards": ALL_PAY, "overlong": 1.0, "group": 16, "scale": "none"}
    learning = make_learning(make_speaker("ab."), "grpo", batch=1, task={"max_new_tokens": 2}, settings=settings)
    learning.prepare(learning.collate([0]), 0)
    lengths = (learning.round["labels"] >= 0).sum(1) - (learning.round["labels"] == learning.data.form.end).sum(1)
    assert set(lengths.tolist()) == {0, 1, 2}
    worth = -lengths / 2
    assert torch.allclose(learning.round["advantage"], worth - worth.mean())
    assert learning.facts()["reward"] == 1.0 == learning.facts()["unanimous"]


@pytest.mark.parametrize("kind", ["grpo", "dapo", "dr_grpo", "gspo", "cispo", "sapo", "rloo"])
def test_what_is_worth_nothing_is_not_read_and_moves_nothing(
    make_model: Make, make_learning: Make, tokenizer: Any, kind: str
) -> None:
    policy = make_model("llama")
    policy.lm_head.weight.data[tokenizer.eos_token_id] *= 4  # answers of all lengths
    settings = {
        "rewards": [{"kind": "regex", "pattern": "[a-m]"}], "group": 4, "iterations": 2, "steps_per_generation": 1,
        "beta": 0.0, **({"mask_truncated": False, "overlong": 0.0} if kind == "dapo" else {}),
    }  # fmt: skip
    learning = make_learning(policy, kind, batch=3, settings=settings)
    part = learning.prepare(learning.collate([0]), 0)
    whole = learning.turned(learning.round, 0, 0)
    assert 0 < len(part["labels"]) < len(whole["labels"]) == 12 == learning.items(part)
    lengths = (whole["labels"][:, 1:] >= 0).sum(1)
    whole["share"] = shares(lengths, learning.algorithm.mean, learning.data.form.reserve)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(1.01)
    one, other = learning.loss(part), learning.loss(whole)
    assert one.item() == pytest.approx(other.item(), rel=1e-4, abs=1e-5)
    found = gradients(policy, one)
    assert close(found, gradients(policy, other)) and any(gradient.any() for gradient in found.values())


def test_a_round_of_nothing_but_agreement_has_no_gradient(make_speaker: Make, make_learning: Make) -> None:
    model = make_speaker("ab")
    learning = make_learning(model, "grpo", batch=3, settings={"rewards": ALL_PAY})
    batch = learning.prepare(learning.collate([0]), 0)
    assert len(batch["labels"]) == 1 and learning.items(batch) == 24
    assert not any(gradient.any() for gradient in gradients(model, learning.loss(batch)).values())


def test_on_the_policy_the_ratio_is_exactly_one(model: Any, make_learning: Make) -> None:
    for iterations, exact in ((1, True), (2, False)):
        settings = {"rewards": [{"kind": "regex", "pattern": "[a-zA-Z]"}], "iterations": iterations}
        learning = make_learning(model, "grpo", settings=settings)
        batch = learning.prepare(learning.collate([0]), 0)
        wanted = batch["labels"][:, 1:] >= 0
        now = torch.log_softmax(model(input_ids=batch["input_ids"]).logits[:, :-1], -1)
        now = now.gather(2, batch["input_ids"][:, 1:, None]).squeeze(2)[wanted]
        ratio = learning.tokens_of(batch, wanted, now).log_ratio.exp()
        assert ratio.numel() > 8
        assert (ratio == 1).all() if exact else torch.allclose(ratio, torch.ones(()), atol=1e-4)


@pytest.mark.parametrize("kind", ["grpo", "gspo", "dapo", "cispo", "rloo", "ppo"])
def test_answers_that_say_nothing_are_answers(make_speaker: Make, make_learning: Make, kind: str) -> None:
    model = make_speaker(".")
    learning = make_learning(model, kind, batch=1, settings={"rewards": B_PAYS, "group": 2, "steps_per_generation": 1})
    batch = learning.prepare(learning.collate([0]), 0)
    assert (batch["labels"] >= 0).sum(1).tolist() == [1] * len(batch["labels"]), "the end alone"
    loss = learning.loss(batch) / learning.items(batch)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(model.get_output_embeddings().weight.grad).all()
    assert learning.facts()["length"] == 1.0 == learning.facts()["ended"] and learning.facts()["reward"] == 0.0


@pytest.mark.parametrize("kind", ["dapo", "ppo", "rloo"])
def test_where_all_answers_are_masked_nothing_moves_and_it_is_told(
    make_speaker: Make, make_learning: Make, kind: str
) -> None:
    model = make_speaker("ab")  # never comes to an end
    learning = make_learning(
        model, kind, batch=1, task=ONE_WORD, settings={"rewards": B_PAYS, "group": 8, "mask_truncated": True}
    )
    batch = learning.prepare(learning.collate([0]), 0)
    loss = learning.loss(batch) / learning.items(batch)
    loss.backward()
    assert loss.item() == 0 and not model.get_output_embeddings().weight.grad.any()
    assert learning.facts()["masked"] == 1.0


def test_one_answer_alone_agrees_with_nobody(make_speaker: Make, make_learning: Make) -> None:
    learning = make_learning(make_speaker("ab"), "ppo", batch=1, settings={"rewards": B_PAYS, "group": 1})
    learning.prepare(learning.collate([0]), 0)
    assert learning.facts()["unanimous"] == 0.0 == learning.facts()["reward_spread"]


@pytest.mark.parametrize(
    ("rewards", "best"),
    [
        ([{"kind": "regex", "pattern": "a", "weight": 2.0}, {"kind": "length"}], 2.0),
        ([{"kind": "regex", "pattern": "a"}, {"kind": "regex", "pattern": "b", "weight": -0.5}], 1.0),
        ([{"kind": "length", "weight": -3.0}, {"kind": "regex", "pattern": "a", "weight": 0.0}], 3.0),
        ([], 1.0),
    ],
)
def test_the_most_that_can_be_earned(make_speaker: Make, make_learning: Make, rewards: Any, best: float) -> None:
    assert make_learning(make_speaker("ab"), "grpo", settings={"rewards": rewards}).watch.best == best


def test_without_a_reward_an_answer_is_to_be_the_rows_target(make_speaker: Make, make_learning: Make) -> None:
    rows = [{**row, "target": "b"} for row in ROWS["completion"][:4]]
    learning = make_learning(make_speaker("ab"), "grpo", rows=rows, batch=4, task=ONE_WORD)
    rollout, _ = learning.drawn(0)
    assert set(rollout.rewards) == {0.0, 1.0}
    assert all((answer == [69]) == reward for answer, reward in zip(rollout.answers, rollout.rewards, strict=True))
