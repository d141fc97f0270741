"""AlphaToken: each step trains the share of the answers' tokens that is worth most. Liu, Wu and Du, arXiv 2606.01635.

::

    Eq. 12  Phi_t = target + lambda * stability, direct and through later tokens (tools/training/valuation.py)
    Eq. 13  m_t = 1 where Phi_t is at least the quantile 1 - rho of the batch's;  L = sum_t m_t CE_t / sum_t m_t

The paper trains all weights; ours works with any adapter that changes weights: ``W - W_ref`` is what it has added since
the stage began. Ours too: the rows to compare with are held out of the task's training rows by their content, never
taken from the study's validation rows or from general data, of which as large a share is left out all the same; the
quantile is that of the optimiser's step, so that micro-batches change no number; dropout is off while tokens are
valued; fewer prompts for the Fisher information, where the paper's code takes 1000. Each step reads the batch and the
held-out rows once more, but goes back through the last layers alone.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension, Float, Int
from tunewright.tools.data.rows import Row
from tunewright.tools.models.precision import autocast, resolve_precision
from tunewright.tools.models.prompt import IGNORED, Encoded, Template
from tunewright.tools.training.batch import padded
from tunewright.tools.training.learning import Batch, Begin, Learning, parts
from tunewright.tools.training.method import MethodConfig, ObjectiveMethod
from tunewright.tools.training.supervised import PackingConfig, TokenLearning

_TOKENS_AT_ONCE = 8192
"""Positions whose attention weights and last layers are held at a time."""
_HELD_OUT = "is held out to compare the others with"


class AlphaTokenConfig(MethodConfig):
    """Settings of AlphaToken."""

    keep: float = Field(0.5, gt=0, le=1)
    """Share of the answers' tokens that is trained: rho."""
    stability: float = Field(1.5, ge=0)
    """What it counts that a token draws the weights back to where they began: lambda."""
    layers: int = Field(3, ge=1)
    """How many of the last layers are looked at: K."""
    window: int = Field(32, ge=0)
    """How many later positions a token is valued through: W."""
    hold_out: float = Field(0.1, gt=0, lt=1)
    """Share of the training rows that are compared with and not trained on."""
    val_rows: int = Field(32, ge=1)
    """How many of them are drawn for a step."""
    fisher_prompts: int = Field(64, ge=1)
    """Prompts that the model answers once, before the first step, to find which weights matter to it."""
    fisher_tokens: int = Field(128, ge=1)
    """Tokens that are sampled for each, at most."""


def held_out(row: Row, share: float) -> bool:
    """Whether a row is compared with and not trained on: by its content, so that copies are never parted."""
    content = json.dumps([row["input"], row["target"], row.get("messages")])
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big") < share * 2**64


class AlphaTokenLearning(TokenLearning):
    """Teacher forcing on the tokens that are worth most."""

    def __init__(self, model: Any, settings: AlphaTokenConfig, begin: Begin) -> None:
        super().__init__(model, PackingConfig(), begin)
        from tunewright.tools.training.drift import moved
        from tunewright.tools.training.trace import projections

        self.chosen = settings
        self.pool = [place for place, row in enumerate(self.data.rows) if self._compares(place, row)]
        if not self.pool:
            raise UsageError(
                f"none of {len(self.data.rows)} training rows is held out to compare the others with",
                "raise hold_out, or give more rows",
            )
        self.said: dict[str, float] = {}
        self.at = projections(model, settings.layers)
        draws_back = settings.keep < 1 and settings.stability > 0
        began = [moved(one.module) for one in self.at] if draws_back else []
        self.began = began if any(one is not None for one in began) else []
        self.fisher = self._fisher() if self.began else []

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The batch without labels on the tokens that are worth least."""
        if self.chosen.keep == 1:
            return batch
        from tunewright.tools.training.scoring import spread
        from tunewright.tools.training.valuation import best

        wanted = batch["labels"][:, 1:] != IGNORED
        worth = self.worth(batch, step)
        mask = best(worth, self.chosen.keep)
        self.said = {"kept": float(mask.float().mean()), "worth": float(worth[mask].mean())}
        labels = batch["labels"].clone()
        labels[:, 1:][wanted & ~spread(mask, wanted)] = IGNORED
        return {**batch, "labels": labels}

    def worth(self, batch: Batch, step: int) -> Any:
        """(n,) in fp32: Phi of the labelled tokens of a batch, in the order of rows and positions."""
        import torch

        from tunewright.tools.training.trace import traces
        from tunewright.tools.training.valuation import values

        forms = self._forms(step, batch["input_ids"].device)
        found = []
        for part, wanted in _pieces(batch):
            with torch.no_grad():
                found.append(values(self.at, traces(self.model, self.at, part, wanted), forms, wanted, self._window))
        return torch.cat(found)

    def facts(self) -> Mapping[str, float]:
        """``kept``: the share of the last step's tokens that were trained; ``worth``: the mean worth of these."""
        return self.said

    @property
    def _window(self) -> int:
        return self.chosen.window

    def _forms(self, step: int, device: Any) -> list[Any]:
        """Of each projection ``G + lambda V``."""
        import torch

        from tunewright.tools.training.drift import moved
        from tunewright.tools.training.trace import traces
        from tunewright.tools.training.valuation import gradients

        chance = random.Random(f"{self.begin.seed} {step}")
        places = chance.sample(self.pool, min(self.chosen.val_rows, len(self.pool)))
        rows = [self.data.encoded[place] for place in places]
        batch = padded([(one.input_ids, one.labels) for one in rows], device, filler=self.data.form.end)
        with torch.no_grad():
            forms = gradients((traces(self.model, self.at, part, wanted), wanted) for part, wanted in _pieces(batch))
            for number, (began, fisher) in enumerate(zip(self.began, self.fisher, strict=True)):
                now = moved(self.at[number].module)
                if now is not None and began is not None:
                    forms[number] += self.chosen.stability * fisher * (now - began)
        return forms

    def _compares(self, place: int, row: Row) -> bool:
        """Whether it is held out and of the task: what helps general data is not what the stage is for."""
        sources = self.data.sources
        own = sources is None or row["source"] in sources.names
        return own and bool(self.data.encoded[place].completion) and held_out(row, self.chosen.hold_out)

    def _fisher(self) -> list[Any]:
        from tunewright.tools.training.fisher import fisher

        chance = random.Random(f"{self.begin.seed} fisher")
        places = sorted(set(self.data.order))
        drawn = chance.sample(places, min(self.chosen.fisher_prompts, len(places)))
        self.begin.note(f"{len(drawn)} prompts are answered to find which weights matter to the model as it is")
        precision = resolve_precision(self.begin.precision, self.begin.device)
        with autocast(precision, self.begin.device):
            return fisher(
                self.model,
                self.at,
                [self.data.encoded[place].prompt for place in drawn],
                new_tokens=self.chosen.fisher_tokens,
                end=self.data.form.end,
                seed=self.begin.seed,
                check=self.begin.check,
            )


def _pieces(batch: Batch) -> Iterator[tuple[Batch, Any]]:
    """Parts of a batch small enough to look at, each with its labelled positions."""
    rows = max(1, _TOKENS_AT_ONCE // batch["input_ids"].shape[1])
    for part in parts(batch, rows):
        yield part, part["labels"][:, 1:] != IGNORED


class AlphaToken(ObjectiveMethod):
    """Learns from given answers, the tokens that help most and disturb least."""

    kind = "alphatoken"
    summary = "learn the half of the answers' tokens that helps held-out rows most and moves the model least"
    paper = "arXiv 2606.01635"
    names = ("AlphaToken", "alpha token")
    Config = AlphaTokenConfig
    step_cost = 2.5
    reads_layers = True

    def dimensions(self, stage: str) -> list[Dimension]:
        """How many tokens are kept, and what makes them worth it."""
        path = f"{stage}.objective"
        return [
            Float(
                name=f"keep.{self.kind}", path=f"{path}.keep", low=0.3, high=0.9, default=0.5,
                why="0.5 in the paper's code; 1 is plain fine-tuning (range ours)",
            ),
            Float(
                name=f"stability.{self.kind}", path=f"{path}.stability", low=0.0, high=3.0, default=1.5,
                why="1.5 in the paper's code (range ours)",
            ),
            Int(
                name=f"layers.{self.kind}", path=f"{path}.layers", low=1, high=4, default=3,
                why="3 in the paper's code (range ours)",
            ),
            Int(
                name=f"window.{self.kind}", path=f"{path}.window", low=8, high=64, log=True, default=32,
                why="32 in the paper's code (range ours)",
            ),
        ]  # fmt: skip

    def admit(self, row: Row, encoded: Encoded, form: Template, objective: Objective) -> str | None:
        """Leaves out the rows that the others are compared with."""
        reason = super().admit(row, encoded, form, objective)
        if reason is not None:
            return reason
        settings = AlphaTokenConfig.model_validate(objective.settings)
        return _HELD_OUT if held_out(row, settings.hold_out) else None

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing with a mask for each step."""
        return AlphaTokenLearning(model, AlphaTokenConfig.model_validate(objective.settings), begin)


METHOD = AlphaToken()
