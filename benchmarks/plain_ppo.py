"""PPO as one would write it in an afternoon: PEFT, ``generate``, a linear value head, GAE, whole logits. Nothing of
ours.

The reference is the model without its adapter. Each round: answers to some prompts, one forward pass each for what
policy and critic and what the reference say of them, then optimiser steps on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


class PlainPpo:
    """Policy, critic and optimiser.

    Args:
        path: the model's directory.
        how: ``group``, ``iterations``, ``beta``, ``epsilon``, ``gamma``, ``lam``, ``value_weight``, ``lr``, ``rank``,
            ``alpha`` and ``answer``, the most tokens of one.
        reward: texts -> what each is worth.
    """

    def __init__(self, path: str, how: Mapping[str, Any], reward: Callable[[list[str]], list[float]]) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.manual_seed(1)
        self.how, self.reward = how, reward
        self.tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        lora = LoraConfig(r=how["rank"], lora_alpha=how["alpha"], target_modules="all-linear", task_type="CAUSAL_LM")
        self.model = get_peft_model(AutoModelForCausalLM.from_pretrained(path), lora)
        self.critic = torch.nn.Linear(self.model.config.hidden_size, 1)
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.trained += self.critic.parameters()
        self.optimiser = torch.optim.AdamW(self.trained, lr=how["lr"], weight_decay=0.0)

    def train(self, prompts: Sequence[str], rows: int, steps: int, arrive: Callable[[int], None]) -> None:
        """Takes so many steps, each round on the next ``rows`` prompts; ``arrive`` is called before a round."""
        epochs = self.how["iterations"]
        for step in range(0, steps, epochs):
            arrive(step)
            first = step // epochs * rows
            batch = self.rolled(prompts[first : first + rows])
            for _ in range(epochs):
                self.loss(batch).backward()
                torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
                self.optimiser.step()
                self.optimiser.zero_grad()

    def said(self, ids: Any, mask: Any, width: int) -> tuple[Any, Any]:
        """Log-probabilities and values of the last ``width`` tokens, (n, width) each."""
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        likely = torch.log_softmax(out.logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
        values = self.critic(out.hidden_states[-1][:, :-1])[..., 0]
        return likely[:, -width:], values[:, -width:]

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch has no types for it
    def rolled(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Answers, what is said of them, and their advantages."""
        asked = [prompt for prompt in prompts for _ in range(self.how["group"])]
        given = self.tokenizer(asked, return_tensors="pt", padding=True, return_token_type_ids=False)
        end = self.tokenizer.eos_token_id
        self.model.eval()
        ids = self.model.generate(
            **given, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=self.how["answer"], pad_token_id=end
        )
        width = ids.shape[1] - given["input_ids"].shape[1]
        answers = ids[:, -width:]
        alive = ((answers == end).cumsum(1) - (answers == end).long() == 0).float()
        mask = torch.cat([given["attention_mask"], alive.long()], 1)
        old, values = self.said(ids, mask, width)
        with self.model.disable_adapter():
            before, _ = self.said(ids, mask, width)
        self.model.train()
        rewards = -self.how["beta"] * (old - before) * alive
        scores = self.reward(self.tokenizer.batch_decode(answers, skip_special_tokens=True))
        rewards[torch.arange(len(ids)), alive.sum(1).long() - 1] += torch.tensor(scores)
        advantages = self.estimated(rewards, values * alive)
        earned, kept = advantages + values * alive, advantages[alive.bool()]
        advantages = (advantages - kept.mean()) / (kept.std() + 1e-8)
        return {
            "ids": ids, "mask": mask, "alive": alive, "old": old, "values": values * alive, "earned": earned,
            "advantages": advantages,
        }  # fmt: skip

    def estimated(self, rewards: Any, values: Any) -> Any:
        """Generalised advantages, (n, width)."""
        found, last, after = torch.zeros_like(rewards), 0.0, torch.zeros(len(rewards))
        for at in reversed(range(rewards.shape[1])):
            last = rewards[:, at] + self.how["gamma"] * after - values[:, at] + self.how["lam"] * last
            found[:, at], after = last, values[:, at]
        return found

    def loss(self, batch: Mapping[str, Any]) -> Any:
        """The policy's clipped and the critic's clipped loss, a mean over tokens."""
        alive, bound = batch["alive"], self.how["epsilon"]
        now, value = self.said(batch["ids"], batch["mask"], alive.shape[1])
        ratio, gains = (now - batch["old"]).exp(), batch["advantages"]
        policy = torch.maximum(-ratio * gains, -ratio.clamp(1 - bound, 1 + bound) * gains)
        near = batch["values"] + (value - batch["values"]).clamp(-bound, bound)
        wrong = torch.maximum((value - batch["earned"]).square(), (near - batch["earned"]).square()) / 2
        return ((policy + self.how["value_weight"] * wrong) * alive).sum() / alive.sum()
