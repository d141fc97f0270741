"""A policy that learns from what its own answers earn: rollout, rewards, advantages, and steps on them.

A round is a rollout and the steps that are taken on it: ``steps_per_generation`` parts, gone through ``iterations``
times. Its answers are drawn by a seed of the stage and the step, so that a resumed stage draws what it would have; a
checkpoint within a round holds them. As in PPO's clipped objective (arXiv 1707.06347, section 3), what the policy said
of them when it drew them is kept; where a round is one step it is what the policy says now, and the ratio is 1.

Ours: answers whose advantage is zero are not read by the model in the step, since no gradient comes from them; they are
counted in every mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tunewright.domain.recipe import Reward
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.generation import without
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin
from tunewright.tools.training.preference import AnswerLearning, labelled, picked
from tunewright.tools.training.registry import reward
from tunewright.tools.training.reinforcement.advantage import unanimous
from tunewright.tools.training.reinforcement.algorithm import Algorithm
from tunewright.tools.training.reinforcement.method import RolloutConfig, chosen
from tunewright.tools.training.reinforcement.policy_loss import Tokens, divergence, shares
from tunewright.tools.training.reinforcement.reference import Past
from tunewright.tools.training.reinforcement.rollout import Rollout, roll, spoken
from tunewright.tools.training.reinforcement.watch import Watch
from tunewright.tools.training.reward import Court
from tunewright.tools.training.rewards.length import overlong
from tunewright.tools.training.scoreboard import open_rewards
from tunewright.tools.training.scoring import Score, log_likelihood, rows_of, spread, token_scores, with_entropy
from tunewright.tools.training.sources import seeded

_READ_AT_ONCE = 8192
"""Tokens of answers that are read without gradients at a time."""
Said = Callable[[Batch, torch.Tensor], tuple[torch.Tensor, ...]]
"""Some answers and their t wanted positions -> numbers, (t,) each."""


class PolicyLearning(AnswerLearning):
    """Rollouts and steps.

    Args:
        settings: a ``RolloutConfig``.
    """

    zero_is_end = False
    prompts_masked = False

    def __init__(self, model: Any, settings: RolloutConfig, begin: Begin, algorithm: Algorithm) -> None:
        super().__init__(model, settings, begin)
        self.algorithm = algorithm
        self.turns = settings.steps_per_generation * settings.iterations
        self.past = Past(model, leaves=begin.leaves) if settings.beta else None
        form = self.data.form
        choices = chosen(settings)
        self.court = Court(form.task, begin.device, begin.precision, begin.stages, begin.base, form.tokenizer)
        self.board = open_rewards(choices, self.court)
        self.watch = Watch(math.fsum(_most(choice) for choice in choices))
        self.round: Batch | None = None
        self.ends = True
        """Whether the step is the last on its round."""
        self.told: dict[str, float] = {}

    def collate(self, places: Sequence[int]) -> Batch:
        """``place`` of each row: its answers are not there yet."""
        return {"place": torch.tensor(list(places))}

    def prepare(self, batch: Batch, step: int) -> Batch:
        """Part of a round's answers; at its first step they are drawn.

        Columns are ``input_ids``, ``attention_mask`` and ``labels``, each (n, tokens), ``advantage`` and ``share``
        (n,), and where they are needed ``old`` and ``before``, (n, tokens) log-probabilities.
        """
        super().prepare(batch, step)
        turn = step % self.turns
        self.ends = turn + 1 == self.turns
        if turn == 0 or self.round is None:
            self.round = self.rolled(step)
        part = self.turned(self.round, turn, step)
        lengths = (part["labels"][:, 1:] != IGNORED).sum(1)
        part["share"] = shares(lengths, self.algorithm.mean, self.data.form.reserve)
        part["count"] = torch.full_like(part["share"], len(lengths))
        return self.taught(part)

    def turned(self, whole: Batch, turn: int, step: int) -> Batch:
        """The part of a round that one of its steps is on: in the order drawn at first, later in any."""
        slots = self.settings.steps_per_generation
        if slots == 1:
            return dict(whole)
        order = list(range(len(whole["labels"])))
        if turn >= slots:
            random.Random(seeded(self.begin.seed, step - turn % slots, "order")).shuffle(order)
        slot = turn % slots
        return picked(whole, order[len(order) * slot // slots : len(order) * (slot + 1) // slots])

    def taught(self, part: Batch) -> Batch:
        """Those answers that a gradient comes from, one at least."""
        if self.past is not None and not self.algorithm.held_by_reward:
            return part
        places = part["advantage"].nonzero().flatten().tolist()
        return picked(part, places or [0]) if len(places) < len(part["advantage"]) else part

    def items(self, batch: Batch) -> float:
        """Answers of the step, those among them that are not read."""
        return float(batch["count"][0])

    def loss(self, batch: Batch) -> torch.Tensor:
        """Summed over answers."""
        wanted = batch["labels"][:, 1:] != IGNORED
        now, entropy = token_scores(self.model, batch, wanted, self.drawn_from(with_entropy)).unbind(1)
        tokens = self.tokens_of(batch, wanted, now)
        each, cut = self.algorithm.loss(tokens, self.settings)
        self.see(entropy=entropy, clipped=cut)
        if "before" in batch:
            apart = divergence(now, batch["before"][:, 1:][wanted])
            self.see(kl=apart)
            if not self.algorithm.held_by_reward:
                each = each + self.settings.beta * apart
        return (each * batch["share"][tokens.answer]).sum()

    def tokens_of(self, batch: Batch, wanted: torch.Tensor, now: torch.Tensor) -> Tokens:
        """What the losses look at; an advantage is an answer's, or has a column for each token."""
        answer, given = rows_of(wanted), batch["advantage"]
        old = batch["old"][:, 1:][wanted] if "old" in batch else now.detach()
        advantage = given[answer] if given.ndim == 1 else given[:, 1:][wanted]
        return Tokens(now, old, advantage, answer, len(wanted))

    def drawn_from(self, score: Score) -> Score:
        """The score of what answers are drawn from: the policy at its temperature, as in TRL."""
        temperature = self.settings.temperature
        return score if temperature == 1 else lambda logits, ids: score(logits / temperature, ids)

    def rolled(self, step: int) -> Batch:
        """The answers of a round with their advantages.

        Raises:
            FaultError: a reward failed.
            Interrupted: it was time to stop.
        """
        rollout, drawn = self.drawn(step)
        batch = self.laid(rollout)
        rewards = torch.tensor(rollout.rewards, dtype=torch.float32, device=batch["labels"].device)
        self.tell(rollout, drawn)
        rewards = rewards + self.penalty(rollout).to(rewards.device)
        if self.past is not None:
            with self.past():
                [batch["before"]] = self.read(batch, self.likelihoods)
        if self.turns > 1 or self.algorithm.held_by_reward:
            batch |= self.noted(batch)
        return self.judged(batch, rewards)

    def noted(self, batch: Batch) -> Batch:
        """What is kept of what the policy thought when it drew the answers: ``old``."""
        [old] = self.read(batch, self.likelihoods)
        return {"old": old}

    def judged(self, batch: Batch, rewards: torch.Tensor) -> Batch:
        """The batch with ``advantage``."""
        if self.algorithm.held_by_reward and "before" in batch:
            apart = (batch["old"] - batch["before"]).sum(1)  # both are zero outside of the answers
            rewards = rewards - self.settings.beta * apart
        return {**batch, "advantage": self.algorithm.advantages(rewards, self.settings)}

    def drawn(self, step: int) -> tuple[Rollout, int]:
        """Rewarded answers to the round's prompts, and how many were drawn to get them."""
        wanted = self.settings.steps_per_generation * self.data.batch_size
        first = step // self.turns * wanted
        order = self.data.order
        places = [order[at % len(order)] for at in range(first, first + wanted)]
        rollout = self.answered(places, step, 0)
        tries, count = getattr(self.settings, "dynamic", 0), len(rollout)
        if not tries:
            return rollout, count
        size = self.settings.group
        kept, unused = _parted(rollout, size)
        for draw in range(1, tries + 1):
            if len(kept) >= wanted * size:
                break
            chance = random.Random(seeded(self.begin.seed, step, f"draw {draw}"))
            more = self.answered([chance.choice(order) for _ in places], step, draw)
            count += len(more)
            useful, useless = _parted(more, size)
            kept.add(useful)
            unused.add(useless)
        kept.add(unused)
        return kept.at(range(wanted * size)), count

    def answered(self, places: Sequence[int], step: int, draw: int) -> Rollout:
        """A group of rewarded answers to each of these rows."""
        rows, prompts, arms = self.asked(places, step, draw)
        rollout = roll(
            self.model,
            self.data.form,
            rows,
            prompts,
            arms,
            seed=seeded(self.begin.seed, step, f"rollout {draw}"),
            temperature=self.settings.temperature,
            precision=self.begin.precision,
            check=self.begin.check,
        )
        self.rewarded(rollout)
        return rollout

    def rewarded(self, rollout: Rollout) -> None:
        """Says of each answer what it earns."""
        scores = self.board(spoken(rollout, self.data.form))
        rollout.rewards, rollout.parts = scores.total, scores.parts

    def asked(self, places: Sequence[int], step: int, draw: int) -> tuple[list[Row], list[list[int]], list[int]]:
        """What is answered: each row and its prompt as often as its group is large, and in which way it is asked."""
        each = [place for place in places for _ in range(self.settings.group)]
        prompts = [self.data.encoded[place].prompt for place in each]
        return [self.data.rows[place] for place in each], prompts, [0] * len(each)

    def laid(self, rollout: Rollout) -> Batch:
        """Prompts and answers as a batch on the model's device."""
        end, lines = self.data.form.end, []
        for prompt, answer in zip(rollout.prompts, rollout.answers, strict=True):
            ids, labels = labelled(prompt, answer)
            if self.settings.mask_truncated and answer[-1] != end:
                labels = [IGNORED] * len(ids)
            lines.append((ids, labels))
        return padded(lines, next(self.model.parameters()).device, filler=end)

    def penalty(self, rollout: Rollout) -> torch.Tensor:
        """(n,) of long answers."""
        limit, end = self.data.form.reserve, self.data.form.end
        margin = round(self.settings.overlong * limit)
        if not margin:
            return torch.zeros(len(rollout))
        return torch.tensor([overlong(len(without(answer, end)), limit, margin) for answer in rollout.answers])

    def likelihoods(self, part: Batch, wanted: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(t,) log-probabilities of the wanted tokens of some answers."""
        return (token_scores(self.model, part, wanted, self.drawn_from(log_likelihood)),)

    def read(self, batch: Batch, said: Said) -> list[torch.Tensor]:
        """(n, tokens) of each number that ``said`` gives for the answers' tokens, zero elsewhere, without gradients."""
        size = max(1, _READ_AT_ONCE // batch["input_ids"].shape[1])
        found: list[list[torch.Tensor]] = []
        with torch.no_grad():
            for start in range(0, len(batch["labels"]), size):
                part = {name: batch[name][start : start + size] for name in ("input_ids", "attention_mask", "labels")}
                wanted = part["labels"][:, 1:] != IGNORED
                found.append([torch.nn.functional.pad(spread(one, wanted), (1, 0)) for one in said(part, wanted)])
        return [torch.cat(column) for column in zip(*found, strict=True)]

    def tell(self, rollout: Rollout, drawn: int) -> None:
        """Remembers what is reported of a round."""
        rewards, size = torch.tensor(rollout.rewards, dtype=torch.float64), self.settings.group
        size = size if size > 1 else len(rewards)
        end = self.data.form.end
        lengths = [len(answer) for answer in rollout.answers]
        self.told = {
            "reward": float(rewards.mean()),
            "reward_spread": float(rewards.view(-1, size).std(1, correction=0).mean()),
            "unanimous": float(unanimous(rewards, size).double().mean()) if size > 1 else 0.0,
            "length": sum(lengths) / len(lengths),
            "ended": sum(answer[-1] == end for answer in rollout.answers) / len(lengths),
            "drawn": drawn / len(rollout),
        }
        if self.settings.mask_truncated:
            self.told["masked"] = 1 - self.told["ended"]
        if len(rollout.parts) > 1:
            self.told |= {f"reward.{name}": sum(values) / len(values) for name, values in rollout.parts.items()}

    def facts(self) -> Mapping[str, float]:
        """Of the round ``reward``, its spread within groups, the share of ``unanimous`` groups, ``length`` in tokens,
        the share of answers that ``ended``, and of those ``masked`` where some may be, answers ``drawn`` over used; of
        the step's tokens ``entropy`` in nats, the share of ``clipped`` ones, and ``kl`` where there is a reference."""
        return {**self.told, **super().facts()}

    def check(self, step: int) -> None:
        """Looks for a collapse, once a round."""
        if self.ends:
            self.watch.look(self.facts(), step)

    def finish(self) -> None:
        """Ends the rewards' processes."""
        self.board.close()
        self.round = None

    def state(self) -> dict[str, Any]:
        """The round, and what was seen."""
        return {"round": self.round, "told": self.told, "watch": self.watch.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        device = next(self.model.parameters()).device
        held = state["round"]
        self.round = None if held is None else {name: column.to(device) for name, column in held.items()}
        self.told = dict(state["told"])
        self.watch.restore(state["watch"])


def _parted(rollout: Rollout, size: int) -> tuple[Rollout, Rollout]:
    """The groups whose answers earned different rewards, and those whose answers did not."""
    apart, alike = Rollout(), Rollout()
    for group in rollout.groups(size):
        (apart if len(set(group.rewards)) > 1 else alike).add(group)
    return apart, alike


def _most(choice: Reward) -> float:
    """The most that a reward adds to the sum."""
    return max(choice.weight * bound for bound in reward(choice.kind).span) if choice.weight else 0.0
