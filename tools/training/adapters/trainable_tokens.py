"""Trainable tokens: the embeddings of a few tokens are trained, nothing else. ``peft.TrainableTokensConfig``.

``E'[t] = v_t`` for the chosen tokens t, ``v_t`` (hidden,) starting at ``E[t]``; where the output head is tied to the
embeddings the same vectors are its rows, elsewhere the head stays as it is. From PEFT: the method. Ours: which tokens,
if none are named: those of the answers in the stage's first rows by frequency, which with few labels are all label
tokens, then those of the prompts, then the lowest ids; always exactly ``count``, so the size is known beforehand.

Fits tasks whose labels are words that the model knows in another sense, or tokens it never saw. With untied heads
little can be learned, since the answer's own embedding is looked up only after it was given.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training import tokens
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import UnplacedMethod


class TrainableTokensSettings(MethodConfig):
    """Settings of trainable tokens."""

    count: int = Field(32, gt=0)
    """How many tokens, where none are named."""
    tokens: tuple[int, ...] = ()
    """Their ids, instead."""


class TrainableTokens(UnplacedMethod):
    """Trains single embeddings; they start as they are, so the seed decides nothing."""

    kind = "trainable_tokens"
    names = ("trainable tokens", "token embedding tuning")
    summary = "trains the embeddings of a few tokens; for labels that the model knows in another sense"
    paper = "peft: TrainableTokensConfig"
    Config: type[MethodConfig] = TrainableTokensSettings
    reads_weights = True
    step_cost = 2.2
    activation_cost = 1.4
    lr = (2e-4, 2e-2, 2e-3)
    lr_source = "ours"

    def own_dimensions(self, stage: str) -> list[Dimension]:
        """How many tokens."""
        path = f"{stage}.adapter.count"
        return [Choice(name="count.trainable_tokens", path=path, options=(8, 32, 128), default=32)]

    def config(self, settings: Any, model: Any, start: Start) -> Any:
        """PEFT's ``TrainableTokensConfig``."""
        from peft import TrainableTokensConfig

        vocabulary = model.get_input_embeddings().weight.shape[0]
        count = _count(settings, vocabulary)
        chosen = list(settings.tokens)
        if not chosen:
            seen = tokens.frequent(start, labelled=True) + tokens.frequent(start, labelled=False)
            chosen = list(dict.fromkeys((*seen, *range(vocabulary))))[:count]
        return TrainableTokensConfig(token_indices=sorted(chosen), task_type="CAUSAL_LM")

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper."""
        model = super().build(model, adapter, start)
        # The head is tied by now. PEFT 0.21 would look for it again at a second adapter and wrap its base layer too.
        model.base_model._get_module_names_tied_with_embedding = list
        return model

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """``count hidden``."""
        return _count(self.Config.model_validate(adapter.settings), facts.vocab) * facts.hidden


def _count(settings: Any, vocabulary: int) -> int:
    """How many tokens, checked."""
    named = settings.tokens
    if len(set(named)) < len(named) or any(not 0 <= token < vocabulary for token in named):
        raise UsageError(
            f"'trainable_tokens' needs different token ids from 0 to {vocabulary - 1}, not {list(named)[:8]}",
            "correct 'tokens', or leave it out and set 'count'",
        )
    count = len(named) or int(settings.count)
    if count > vocabulary:
        raise UsageError(
            f"'trainable_tokens' with count {count} has more tokens than the vocabulary's {vocabulary}",
            f"take a count of at most {vocabulary}",
        )
    return count


METHOD = TrainableTokens()
