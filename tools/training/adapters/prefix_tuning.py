"""Prefix tuning: trained keys and values come before those of every layer. Li and Liang, arXiv 2101.00190.

In layer l attention sees ``[K_l; k(x)]`` and ``[V_l; v(x)]`` with ``K_l``, ``V_l`` (tokens, width of keys) trained and
all else frozen. More expressive than prompt tuning, which reaches the layers through the first one only. From the
paper: the equation, and that a start from the activations of real words helps with little data. Ours: those words are
the beginning of the stage's rows, so that the model at first reads them before every input; and no
reparametrisation by an MLP, which that start makes unnecessary. ``zero`` is PEFT's: values of zero still draw
attention away.

The function changes at once, before the first step, and nothing can be merged; the prefix takes ``tokens`` positions.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training import tokens
from tunewright.tools.training.adapters.prompt_tuning import check_room
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import UnplacedMethod


class PrefixTuningSettings(MethodConfig):
    """Settings of prefix tuning."""

    tokens: int = Field(16, gt=0)
    """Length of the prefix."""
    init: Literal["rows", "zero", "random"] = "rows"
    """What it starts from: the training rows' activations, zero, or normal deviates."""


class PrefixTuning(UnplacedMethod):
    """Trained keys and values."""

    kind = "prefix_tuning"
    names = ("prefix tuning", "prefix-tuning")
    summary = "trains keys and values that every layer sees before the input; stronger than a soft prompt"
    paper = "arXiv 2101.00190"
    Config: type[MethodConfig] = PrefixTuningSettings
    mergeable = False
    identity = False
    step_cost = 2.7
    activation_cost = 1.4
    recomputes = False  # a layer that is run again would put its keys and values before themselves
    lr = (5e-4, 3e-2, 5e-3)
    lr_source = "PEFT's comparison on a 3B model trains at 5e-3 where the prefix starts from a text"

    def own_dimensions(self, stage: str) -> list[Dimension]:
        """The length."""
        path = f"{stage}.adapter.tokens"
        return [Choice(name="tokens.prefix_tuning", path=path, options=(4, 8, 16, 32), default=16)]

    def config(self, settings: Any, model: Any, start: Start) -> Any:
        """PEFT's ``PrefixTuningConfig``."""
        from peft import PrefixTuningConfig

        check_room(self.kind, settings.tokens, getattr(model.config, "max_position_embeddings", None))
        return PrefixTuningConfig(
            num_virtual_tokens=settings.tokens,
            init_weights="zero" if settings.init == "zero" else None,
            task_type="CAUSAL_LM",
        )

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper, its prefix begun with the rows' activations if that is asked for."""
        import torch

        settings: Any = self.Config.model_validate(adapter.settings)
        read = _activations(model, tokens.running(start, settings.tokens)) if settings.init == "rows" else None
        model = super().build(model, adapter, start)
        if read is not None:
            with torch.no_grad():
                model.prompt_encoder["default"].embedding.weight.copy_(read)
        return model

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """``2 tokens`` widths of keys, in each layer."""
        settings: Any = self.Config.model_validate(adapter.settings)
        check_room(self.kind, settings.tokens, facts.max_positions)
        keys = [linear.outputs for linear in facts.linears if linear.name.endswith(("k_proj", "key"))]
        width = keys[0] if keys else facts.hidden // facts.heads * facts.kv_heads
        return 2 * int(settings.tokens) * width * facts.layers


def _activations(model: Any, ids: list[int]) -> Any:
    """Keys and values of every layer for a text, (tokens, 2 * layers * width), in PEFT's order."""
    import torch

    before = model.training
    model.eval()
    with torch.no_grad():
        place = model.get_input_embeddings().weight.device
        cache = model(input_ids=torch.tensor([ids], device=place), use_cache=True).past_key_values
    model.train(before)
    # (layers * 2, heads, tokens, width of a head)
    every = torch.cat([part for layer in cache.layers for part in (layer.keys, layer.values)])
    return every.permute(2, 0, 1, 3).flatten(1)


METHOD = PrefixTuning()
