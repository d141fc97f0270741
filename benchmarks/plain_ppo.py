"""PPO as one would write it in an afternoon: PEFT, ``generate``, a linear value head, GAE, whole logits. Nothing of
ours.

The reference is the model without its adapter. Each round: answers to some prompts, one forward pass for what policy,
reference and critic say of them, four optimiser steps on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def train(path: str, prompts: Sequence[str], order: Any, arrive: Callable[[int], None]) -> int:
    """Takes ``order.total`` steps, ``arrive`` called before each. Gives the number of trained parameters."""
    import torch
    from objective_case import ALPHA, ANSWERED, LR, RANK, paid
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    how = order.side.settings
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(path)
    adapter = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, adapter)
    critic = torch.nn.Linear(model.config.hidden_size, 1)
    trained = [weight for weight in model.parameters() if weight.requires_grad] + list(critic.parameters())
    optimiser = torch.optim.AdamW(trained, lr=LR, weight_decay=0.0)
    rows, group, epochs = order.case.rows, how["group"], how["iterations"]

    def passed(ids: Any, mask: Any, width: int) -> tuple[Any, Any]:
        """Log-probabilities and values of the answers' tokens, (n, width) each."""
        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        likely = torch.log_softmax(out.logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
        values = critic(out.hidden_states[-1][:, :-1])[..., 0]
        return likely[:, -width:], values[:, -width:]

    step = 0
    while step < order.total:
        arrive(step)
        first = step // epochs * rows
        asked = [prompt for prompt in prompts[first : first + rows] for _ in range(group)]
        given = tokenizer(asked, return_tensors="pt", padding=True, return_token_type_ids=False)
        model.eval()
        with torch.no_grad():
            ids = model.generate(
                **given, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=ANSWERED,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
            width = ids.shape[1] - given["input_ids"].shape[1]
            answers = ids[:, -width:]
            said = (answers == tokenizer.eos_token_id).cumsum(1)
            alive = ((said == 0) | ((said == 1) & (answers == tokenizer.eos_token_id))).float()
            mask = torch.cat([given["attention_mask"], alive.long()], 1)
            old, values = passed(ids, mask, width)
            with model.disable_adapter():
                before, _ = passed(ids, mask, width)
            rewards = -how["beta"] * (old - before) * alive
            last = alive.sum(1).long() - 1
            scores = torch.tensor(paid(tokenizer.batch_decode(answers, skip_special_tokens=True)))
            rewards[torch.arange(len(ids)), last] += scores
            values = values * alive
            advantages, following = torch.zeros_like(rewards), torch.zeros(len(ids))
            for at in reversed(range(width)):
                after = values[:, at + 1] if at + 1 < width else torch.zeros(len(ids))
                following = rewards[:, at] + how["gamma"] * after - values[:, at] + how["lam"] * following
                advantages[:, at] = following
            earned = advantages + values
            kept = advantages[alive.bool()]
            advantages = (advantages - kept.mean()) / (kept.std() + 1e-8)
        model.train()
        for _ in range(epochs):
            now, value = passed(ids, mask, width)
            ratio = (now - old).exp()
            clipped = ratio.clamp(1 - how["epsilon"], 1 + how["epsilon"])
            policy = torch.maximum(-ratio * advantages, -clipped * advantages)
            near = values + (value - values).clamp(-how["epsilon"], how["epsilon"])
            wrong = torch.maximum((value - earned).square(), (near - earned).square()) / 2
            loss = ((policy + how["value_weight"] * wrong) * alive).sum() / alive.sum()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
    return sum(weight.numel() for weight in trained)
