"""Head-selective tuning: only the attention heads that matter most for the data are trained. arXiv 2604.15294.

    ``W_Q[h], W_K[kv(h)], W_V[kv(h)]`` (head size, inputs) and ``W_O[:, h]`` (outputs, head size) get a change each

for the ``heads`` best of all layers' query heads; ``kv(h) = h // group`` with grouped queries, a slice that several
heads share being trained once. Where a model has fewer heads, all are trained. Which heads were chosen is saved in the
adapter's config, so loading needs no data.

From the paper (Yang et al., ACL 2026): the 32 heads of the highest path-patching effect, whole slices of their four
matrices at Adam's 2e-5, and the finding that other skills suffer far less than from full fine-tuning; random heads do
almost nothing, hence ``random`` as a control. Ours: changes instead of masked gradients, since AdamW's weight decay
moves masked weights too; the scorer ``attribution``, which needs no pairs; pairs for ``path_patch`` from any labelled
rows (both in ``tools/training/head_score.py``); the range of learning rates, upwards for changes that start at zero.
The paper's gradients times H / h, heads over chosen heads, are nothing under Adam, which does not see a gradient's
scale: ``lr_multiplier`` is what is left of it.

Traps: biases are not trained. Heads that lie between each other, as in NeoX's fused projection, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.attention import Attention, attentions
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, linears_of


class HeadtuneSettings(MethodConfig):
    """Settings of head-selective tuning."""

    heads: int = Field(32, gt=0)
    """Query heads that are trained, of all layers together."""
    scorer: Literal["attribution", "path_patch", "random"] = "attribution"
    """What chooses them; ``random`` is the paper's control."""
    lr_multiplier: float = Field(1.0, gt=0)
    """On the learning rate."""


class Headtune(PeftMethod):
    """Training of chosen attention heads."""

    kind = "headtune"
    names = ("head-selective tuning", "head-selective fine-tuning", "selective head tuning")
    counts_exactly = False
    summary = "trains the attention heads that matter most for the data; leaves other skills alone"
    paper = "arXiv 2604.15294"
    converts_to_lora = True
    Config: type[MethodConfig] = HeadtuneSettings
    placements = ("all-linear",)
    fits_conv1d = True
    lr = (1e-5, 1e-3, 1e-4)
    lr_source = "arXiv 2604.15294 trains models of 3B and 7B at 2e-5"
    step_cost = 2.5
    activation_cost = 1.2

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """How many heads, and by which score."""
        return [
            Choice(name="heads.headtune", path=f"{stage}.adapter.heads", options=(8, 16, 32, 64), default=32),
            Choice(
                name="scorer.headtune",
                path=f"{stage}.adapter.scorer",
                options=("attribution", "path_patch", "random"),
                default="attribution",
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config, with the chosen heads."""
        from tunewright.tools.models.tuners.headtune import Config

        text = model.config.get_text_config()
        heads = int(text.num_attention_heads)
        kv_heads = int(getattr(text, "num_key_value_heads", None) or heads)
        found = _known(attentions(linears_of(model, targets), heads, kv_heads))
        chosen = _best(_scores(settings.scorer, model, found, start), settings.heads)
        modules = [linear.name for one in found if one.name in chosen for linear in one.modules]
        return Config(
            chosen=chosen,
            heads=heads,
            kv_heads=kv_heads,
            head_size=found[0].heads.size,
            target_modules=placement.suffixes(modules, [name for name, _ in model.named_modules()]),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """All weights of these modules, the most there could be: ``trainable_parameters`` knows their heads."""
        return sum(linear.inputs * linear.outputs for linear in linears)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """Exact where every head has keys and values of its own or all are trained; else as if no two chosen heads
        shared theirs, while there are enough."""
        settings = HeadtuneSettings.model_validate(adapter.settings)
        found = _known(attentions(self.linears(facts, adapter), facts.heads, facts.kv_heads))
        own = sorted((one.head_size for one in found for _ in range(one.heads.heads)), reverse=True)
        shared = sorted((one.kv_size for one in found for _ in range(one.heads.kv_heads)), reverse=True)
        return sum(own[: settings.heads]) + sum(shared[: settings.heads])

    def lr_factor(self, weight: str, adapter: Adapter) -> float:
        """As the settings say."""
        return HeadtuneSettings.model_validate(adapter.settings).lr_multiplier


def _scores(scorer: str, model: Any, found: Sequence[Attention], start: Start) -> dict[tuple[str, int], float]:
    """Of every query head."""
    import torch

    from tunewright.tools.training import head_score

    if scorer == "attribution":
        return head_score.attribution(model, start.rows(head_score.ROWS), found)
    if scorer == "path_patch":
        return head_score.path_patch(model, start.rows(head_score.PAIR_ROWS), found)
    heads = [(one.name, head) for one in found for head in range(one.heads.heads)]
    drawn = torch.rand(len(heads), generator=torch.Generator().manual_seed(start.seed))
    return {head: float(score) for head, score in zip(heads, drawn, strict=True)}


def _best(scores: dict[tuple[str, int], float], count: int) -> dict[str, list[int]]:
    """Name of an attention -> the heads in it that are among the best ``count`` of all."""
    chosen: dict[str, list[int]] = {}
    for name, head in sorted(sorted(scores), key=lambda one: -scores[one])[:count]:
        chosen.setdefault(name, []).append(head)
    return {name: sorted(heads) for name, heads in sorted(chosen.items())}


def _known(found: list[Attention]) -> list[Attention]:
    if not found:
        raise UsageError(
            "'headtune' finds no attention whose heads it can tell apart in this model",
            "take 'lora', which fits every model",
        )
    return found


METHOD = Headtune()
