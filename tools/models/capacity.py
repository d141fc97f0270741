"""The largest model that fits into some memory, by the memory model: of a few that are widely known. No torch."""

from __future__ import annotations

from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Memory, Optimisation, Stage
from tunewright.tools.models.facts import Linear, ModelFacts, Weight
from tunewright.tools.models.memory import BESIDE_EVALUATION, RUNTIME, Flow, parts
from tunewright.tools.training.memory import ladder

GIB = 2**30
BATCH, TOKENS = 16, 512
"""Rows of a step and tokens of each, all of which carry loss."""
_SHAPES = (
    ("SmolLM2-135M", 49152, 576, 1536, 30, 9, 3, True),
    ("SmolLM2-360M", 49152, 960, 2560, 32, 15, 5, True),
    ("Qwen2.5-0.5B", 151936, 896, 4864, 24, 14, 2, True),
    ("Llama-3.2-1B", 128256, 2048, 8192, 16, 32, 8, True),
    ("SmolLM2-1.7B", 49152, 2048, 8192, 24, 32, 32, True),
    ("Llama-3.2-3B", 128256, 3072, 8192, 28, 24, 8, True),
    ("Llama-3.1-8B", 128256, 4096, 14336, 32, 32, 8, False),
    ("Qwen2.5-14B", 152064, 5120, 13824, 48, 40, 8, False),
    ("Qwen2.5-32B", 152064, 5120, 27648, 64, 40, 8, False),
    ("Llama-3.1-70B", 128256, 8192, 28672, 80, 64, 8, False),
)
"""Name, vocabulary, hidden and intermediate width, layers, heads, heads of keys, whether the embeddings are one."""


class Fit(Frozen):
    """A recipe of a known model that fits."""

    model: str
    adapter: str
    memory: Memory
    peak_gib: float

    def says(self) -> str:
        """Such as ``lora on Llama-3.2-3B with micro_batch 1 (13.4 GiB)``."""
        set_ = {name: value for name, value in self.memory if value != getattr(Memory(), name)}
        how = ", ".join(name if value is True else f"{name} {value}" for name, value in set_.items())
        return f"{self.adapter} on {self.model}{f' with {how}' if how else ''} ({self.peak_gib:.1f} GiB)"


def largest(gib: float, *, computed: str = "fp32", gpu: bool = False) -> list[Fit]:
    """The largest model that fits under LoRA as it is, with what keeps memory low, and in full; those that there are.

    Args:
        gib: that a trial may hold.
        computed: ``fp32`` or ``bf16``.
        gpu: whether it is a GPU's memory.
    """
    leanest = list(ladder(BATCH, gpu=gpu))[-1]
    ways = (("lora", Memory()), ("lora", leanest), ("full", Memory()))
    found: list[Fit] = []
    for adapter, memory in ways:
        fits = [
            Fit(model=shape[0], adapter=adapter, memory=memory, peak_gib=peak / GIB)
            for shape in _SHAPES
            if (peak := _peak(known(*shape[1:]), adapter, memory, computed, gpu=gpu)) <= gib * GIB
        ]
        found += fits[-1:]
    return found


def known(vocab: int, hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, tied: bool) -> ModelFacts:
    """The facts of a Llama of that shape."""
    key = hidden * kv_heads // heads
    sizes = {
        "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden, key), "self_attn.v_proj": (hidden, key),
        "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (hidden, intermediate),
        "mlp.up_proj": (hidden, intermediate), "mlp.down_proj": (intermediate, hidden),
    }  # fmt: skip
    linears = tuple(
        Linear(name=f"model.layers.{layer}.{name}", inputs=inputs, outputs=outputs)
        for layer in range(layers)
        for name, (inputs, outputs) in sizes.items()
    )
    ends = ["model.embed_tokens.weight", *([] if tied else ["lm_head.weight"])]
    weights = [Weight(name=name, shape=(vocab, hidden)) for name in ends]
    weights += [Weight(name=f"{one.name}.weight", shape=(one.outputs, one.inputs)) for one in linears]
    norms = [f"model.layers.{at}.{name}_layernorm" for at in range(layers) for name in ("input", "post_attention")]
    weights += [Weight(name=f"{name}.weight", shape=(hidden,)) for name in (*norms, "model.norm")]
    return ModelFacts(
        architecture="LlamaForCausalLM", parameters=sum(one.size for one in weights), hidden=hidden, layers=layers,
        heads=heads, kv_heads=kv_heads, intermediate=intermediate, vocab=vocab, max_positions=8192, tied=tied,
        has_chat_template=True, conv1d=False, linears=linears, weights=tuple(weights),
    )  # fmt: skip


def _peak(facts: ModelFacts, adapter: str, memory: Memory, computed: str, *, gpu: bool) -> float:
    """Bytes, of training and of loading and measuring the model in fp32."""
    stage = Stage.model_validate(
        {"adapter": {"kind": adapter}, "optimisation": Optimisation(lr=1e-4, batch_size=BATCH, steps=1)}
    )
    stage = stage.model_copy(update={"memory": memory})
    training = parts(facts, stage, Flow(BATCH, TOKENS, BATCH * TOKENS), computed, gpu=gpu)
    loaded = 4.0 * facts.parameters + (0 if gpu else RUNTIME + BESIDE_EVALUATION)
    return max(training.peak, loaded + training.adapter + training.optimiser)
