"""PPO against a straightforward one: whole logits, loops over answers and tokens, a critic that has a say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import close, gradients
from tests.training.objectives.test_dpo import shake
from tests.training.reinforcement.conftest import drawn

PAYS = [{"kind": "regex", "pattern": "[a-zA-Z]"}]
SETTINGS: dict[str, Any] = {
    "rewards": PAYS, "group": 3, "iterations": 2, "beta": 0.3, "epsilon": 0.02, "gamma": 0.9, "lam": 0.8,
    "value_weight": 0.5, "epsilon_value": 0.05, "entropy_weight": 0.01, "temperature": 0.9,
}  # fmt: skip


def said(model: Any, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities over the vocabulary and last hidden states, before each token but the first."""
    found = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return torch.log_softmax(found.logits[0, :-1].float() / SETTINGS["temperature"], -1), found.hidden_states[-1][
        0, :-1
    ]


class Plain:
    """PPO as it is written down."""

    def __init__(self, rollout: Any, rewards: list[float], own: Any) -> None:
        self.own, self.rewards = own, rewards
        self.answers = list(zip(rollout.prompts, rollout.answers, strict=True))
        self.length = sum(len(answer) for _, answer in self.answers)

    def of(self, model: Any, critic: Any, at: int) -> tuple[Any, Any, Any]:
        """Of an answer's tokens: log-probability, value, entropy."""
        prompt, answer = self.answers[at]
        likely, states = said(model, [*prompt, *answer])
        likely, states = likely[len(prompt) - 1 :], states[len(prompt) - 1 :]
        taken = likely[range(len(answer)), answer]
        return taken, critic(states).squeeze(1), -(likely.exp() * likely).sum(-1)

    def look(self, policy: Any, before: Any, critic: Any) -> None:
        """At the round: advantages, whitened over all its tokens, and returns."""
        self.old, self.value, self.advantage, self.earned = [], [], [], []
        with torch.no_grad():
            for at, reward in enumerate(self.rewards):
                old, value, _ = self.of(policy, critic, at)
                reference, _, _ = self.of(before, critic, at)
                each = -self.own["beta"] * (old - reference)
                each[-1] += reward
                advantage = torch.zeros_like(each)
                for t in range(len(each)):
                    for k in range(t, len(each)):
                        following = value[k + 1] if k + 1 < len(each) else 0.0
                        delta = each[k] + self.own["gamma"] * following - value[k]
                        advantage[t] += (self.own["gamma"] * self.own["lam"]) ** (k - t) * delta
                self.old.append(old)
                self.value.append(value)
                self.advantage.append(advantage)
                self.earned.append(advantage + value)
        every = torch.cat(self.advantage)
        mean, deviation = every.mean(), math.sqrt(float((every - every.mean()).square().mean()))
        self.advantage = [(advantage - mean) / deviation for advantage in self.advantage]

    def loss(self, policy: Any, critic: Any) -> torch.Tensor:
        """The mean over all tokens."""
        total, own = torch.zeros(()), self.own
        for at in range(len(self.answers)):
            now, value, entropy = self.of(policy, critic, at)
            for t in range(len(now)):
                ratio, advantage = (now[t] - self.old[at][t]).exp(), self.advantage[at][t]
                near = ratio.clamp(1 - own["epsilon"], 1 + own["epsilon"])
                then, earned = self.value[at][t], self.earned[at][t]
                moved = then + (value[t] - then).clamp(-own["epsilon_value"], own["epsilon_value"])
                wrong = 0.5 * torch.max((value[t] - earned) ** 2, (moved - earned) ** 2)
                total = total + torch.max(-ratio * advantage, -near * advantage)
                total = total + own["value_weight"] * wrong - own["entropy_weight"] * entropy[t]
        return total / self.length


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_is_ppo_as_it_is_written_down(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any, family: str
) -> None:
    policy, before = make_model(family), make_model(family)
    if family == "llama":
        for model in (policy, before):
            model.lm_head.weight.data[tokenizer.eos_token_id] *= 4  # answers of all lengths
    learning = make_learning(policy, "ppo", rows=ROWS["completion"][:8], batch=2, settings=SETTINGS)
    critic = learning.modules()["critic"]
    assert not critic.weight.any(), "at first it foretells nothing"
    torch.nn.init.normal_(critic.weight, std=0.2, generator=torch.Generator().manual_seed(1))
    shake(policy)
    batch = learning.prepare(learning.collate([0, 1]), 0)
    rollout = drawn(learning)
    assert 0 < sum(rollout.rewards) < len(rollout)
    plain = Plain(rollout, rollout.rewards, SETTINGS)
    plain.look(policy, before, critic)
    answered = batch["labels"] >= 0
    for name, expected in (("value", plain.value), ("advantage", plain.advantage), ("earned", plain.earned)):
        assert torch.allclose(batch[name][answered], torch.cat(expected), rtol=1e-4, atol=1e-5), name
        assert not batch[name][~answered].any()

    shake(policy, 0.01)
    shake(critic, 0.05)
    learning.prepare(learning.collate([0, 1]), 1)
    ours, theirs = learning.loss(batch) / learning.items(batch), plain.loss(policy, critic)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)
    facts = learning.facts()
    assert 0 < facts["clipped"] < 1 and facts["value_loss"] > 0
    (one,) = torch.autograd.grad(ours, critic.weight, retain_graph=True)
    (other,) = torch.autograd.grad(theirs, critic.weight, retain_graph=True)
    assert torch.allclose(one, other, rtol=1e-4, atol=1e-6) and other.any()
    assert close(gradients(policy, ours), gradients(policy, theirs), 1e-5)


def test_the_critic_learns_from_answers_that_all_earn_the_same(
    make_model: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    settings = {"rewards": [{"kind": "regex", "pattern": "^"}], "group": 2, "iterations": 1, "beta": 0.0}
    learning = make_learning(make_model("llama"), "ppo", rows=ROWS["completion"][:2], batch=2, settings=settings)
    batch = learning.prepare(learning.collate([0, 1]), 0)
    assert learning.facts()["reward"] == 1.0
    assert len(batch["labels"]) == 4
    # before anything is known of values, what is still to be earned falls by gamma lam = 0.95 with each token before
    for row in range(4):
        earned = batch["earned"][row][batch["labels"][row] >= 0].tolist()
        assert earned == pytest.approx([0.95**k for k in reversed(range(len(earned)))], rel=1e-5)
    learning.loss(batch).backward()
    assert learning.critic.weight.grad.any()


def test_an_answer_that_is_masked_has_no_part_in_anything(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any
) -> None:
    policy = make_model("llama")
    policy.lm_head.weight.data[tokenizer.eos_token_id] *= 4
    learning = make_learning(
        policy, "ppo", rows=ROWS["completion"][:8], batch=3, settings={**SETTINGS, "mask_truncated": True}
    )
    torch.nn.init.ones_(learning.critic.weight)
    batch = learning.prepare(learning.collate([0, 1, 2]), 0)
    cut = (batch["labels"] < 0).all(1)
    assert 0 < cut.sum() < len(cut)
    for name in ("advantage", "value", "earned"):
        assert not batch[name][cut].any() and batch[name][~cut].any()
    whole = learning.loss(batch)
    without = {name: column[~cut] for name, column in batch.items()}
    assert learning.loss(without).item() == pytest.approx(whole.item(), rel=1e-5)
