"""Prompt tuning: trained embeddings are put before every input. Lester et al., arXiv 2104.08691.

The model reads ``[P; E(x)]`` with ``P`` (tokens, hidden) trained and all else frozen. From the paper: the equation, and
that ``P`` should start from embeddings of the vocabulary, at best those of the label words (``init``). Ours: label
tokens are those of the answers in the stage's first rows, by frequency; the rest is drawn from the vocabulary.

The function changes at once, before the first step, and nothing can be merged. Each pass is longer by ``tokens``
positions, which the model's context must have room for. Weak on small models: the paper finds it level with full
fine-tuning only from billions of parameters on.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training import tokens
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import UnplacedMethod


class PromptTuningSettings(MethodConfig):
    """Settings of prompt tuning."""

    tokens: int = Field(20, gt=0)
    """Length of the trained prompt."""
    init: Literal["vocabulary", "labels", "random"] = "vocabulary"
    """What it starts from: drawn tokens, the answers' tokens, or normal deviates."""


class PromptTuning(UnplacedMethod):
    """A soft prompt."""

    kind = "prompt_tuning"
    names = ("prompt tuning", "soft prompt", "soft prompts")
    summary = "trains a prompt instead of the model; tiny, for large models and little data"
    paper = "arXiv 2104.08691"
    Config: type[MethodConfig] = PromptTuningSettings
    mergeable = False
    identity = False
    step_cost = 3.8
    activation_cost = 1.7
    lr = (1e-3, 1e-1, 1e-2)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-3, the paper at 0.3 with Adafactor; between them is ours"

    def own_dimensions(self, stage: str) -> list[Dimension]:
        """Length and start."""
        where = f"{stage}.adapter"
        return [
            Choice(name="tokens.prompt_tuning", path=f"{where}.tokens", options=(5, 10, 20, 50), default=20),
            Choice(
                name="init.prompt_tuning",
                path=f"{where}.init",
                options=("vocabulary", "labels"),
                default="vocabulary",
                why="arXiv 2104.08691, section 3.2",
            ),
        ]

    def config(self, settings: Any, model: Any, start: Start) -> Any:
        """PEFT's ``PromptTuningConfig``."""
        from peft import PromptTuningConfig

        check_room(self.kind, settings.tokens, getattr(model.config, "max_position_embeddings", None))
        return PromptTuningConfig(
            num_virtual_tokens=settings.tokens,
            prompt_tuning_init="RANDOM" if settings.init == "random" else "SAMPLE_VOCAB",
            task_type="CAUSAL_LM",
        )

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper, its prompt begun with the labels if that is asked for."""
        import torch

        settings: Any = self.Config.model_validate(adapter.settings)
        chosen = tokens.frequent(start, labelled=True) if settings.init == "labels" else []
        embeddings = model.get_input_embeddings()
        model = super().build(model, adapter, start)
        prompt = model.prompt_encoder["default"].embedding.weight
        chosen = chosen[: len(prompt)]
        with torch.no_grad():
            prompt[: len(chosen)] = embeddings.weight[chosen]
        return model

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """``tokens hidden``."""
        settings: Any = self.Config.model_validate(adapter.settings)
        check_room(self.kind, settings.tokens, facts.max_positions)
        return int(settings.tokens) * facts.hidden


def check_room(kind: str, count: int, positions: int | None) -> None:
    """Whether a model's context has room for that many positions and an input.

    Raises:
        UsageError: it has not.
    """
    if positions is not None and count >= positions:
        raise UsageError(
            f"'{kind}' with {count} tokens leaves no room in the model's context of {positions}",
            "take fewer tokens, such as 20",
        )


METHOD = PromptTuning()
