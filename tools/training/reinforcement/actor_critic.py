"""A policy with a critic: a linear head on the policy's own last hidden states foretells what is still to be earned.

Each token is rewarded by ``-beta (log pi_old - log pi_ref)`` and the last one by what the answer earned besides
(Ouyang et al., arXiv 2203.02155, section 3.5); advantages are generalised estimates (arXiv 1506.02438), whitened over
the round (Huang et al., arXiv 2403.17031, section 4). That policy and critic share all but the head is ours: a critic
of its own would be a second model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.models.reward_head import new_head
from tunewright.tools.training.learning import Batch, Begin
from tunewright.tools.training.reinforcement.advantage import generalised, whitened
from tunewright.tools.training.reinforcement.algorithm import Algorithm
from tunewright.tools.training.reinforcement.learning import PolicyLearning
from tunewright.tools.training.scoring import states_at, token_scores, with_entropy


class ActorCritic(PolicyLearning):
    """Rollouts and steps of policy and critic.

    Args:
        settings: with ``gamma``, ``lam``, ``value_weight``, ``epsilon_value`` and ``entropy_weight``.
    """

    def __init__(self, model: Any, settings: Any, begin: Begin, algorithm: Algorithm) -> None:
        super().__init__(model, settings, begin, algorithm)
        self.critic = new_head(model, begin.seed)
        self.critic.weight.data.zero_()  # foretells nothing yet, rather than something at random

    def modules(self) -> Mapping[str, Any]:
        """The critic's head."""
        return {"critic": self.critic}

    def taught(self, part: Batch) -> Batch:
        """All answers: the critic learns from each."""
        return part

    def judged(self, batch: Batch, rewards: torch.Tensor) -> Batch:
        """The batch with ``advantage`` and ``earned``, (n, tokens) each."""
        answered = batch["labels"] != IGNORED
        mask = answered.float()
        each = torch.zeros_like(mask)
        if "before" in batch:
            each = -self.settings.beta * (batch["old"] - batch["before"])
        # A masked answer has no last token; what it earned is learned from nowhere then.
        last = (answered * torch.arange(mask.shape[1], device=mask.device)).argmax(1, keepdim=True)
        each = each.scatter_add(1, last, rewards[:, None]) * mask
        advantage, earned = generalised(each, batch["value"], mask, self.settings.gamma, self.settings.lam)
        if answered.any():
            advantage = advantage.masked_scatter(answered, whitened(advantage[answered]))
        return {**batch, "advantage": advantage, "earned": earned}

    def noted(self, batch: Batch) -> Batch:
        """``old`` and ``value``, what the critic says before each of the answers' tokens: (n, tokens) each."""

        def said(part: Batch, wanted: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with states_at(self.model, wanted) as seen:
                found = self.likelihoods(part, wanted)
            return (*found, self.values(seen[0]))

        old, value = self.read(batch, said)
        return {"old": old, "value": value}

    def values(self, states: torch.Tensor) -> torch.Tensor:
        """(n,) of (n, width) states, in fp32."""
        with torch.autocast(states.device.type, enabled=False):
            found: torch.Tensor = self.critic(states.float()).squeeze(1)
        return found

    def loss(self, batch: Batch) -> torch.Tensor:
        """Summed over answers: the policy's, the critic's, and less the entropy."""
        wanted, settings = batch["labels"][:, 1:] != IGNORED, self.settings
        score = with_live_entropy if settings.entropy_weight else with_entropy
        with states_at(self.model, wanted) as seen:
            now, entropy = token_scores(self.model, batch, wanted, self.drawn_from(score)).unbind(1)
        tokens = self.tokens_of(batch, wanted, now)
        each, cut = self.algorithm.loss(tokens, settings)
        value, before, earned = self.values(seen[0]), batch["value"][:, 1:][wanted], batch["earned"][:, 1:][wanted]
        near = before + (value - before).clamp(-settings.epsilon_value, settings.epsilon_value)
        wrong = torch.maximum((value - earned).square(), (near - earned).square()) / 2
        self.see(entropy=entropy, clipped=cut, value_loss=wrong)
        if "before" in batch:
            self.see(kl=batch["old"][:, 1:][wanted] - batch["before"][:, 1:][wanted])
        each = each + settings.value_weight * wrong - settings.entropy_weight * entropy
        return (each * batch["share"][tokens.answer]).sum()


def with_live_entropy(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(chunk, 2): log-likelihood and entropy in nats, both with a gradient."""
    all_of = torch.log_softmax(logits, -1)
    return torch.stack([all_of.gather(1, ids[:, None]).squeeze(1), -(all_of.exp() * all_of).sum(-1)], dim=1)
