"""Attention heads as blocks of weight matrices: which rows and columns of which module belong to a head.

Works on names and sizes alone, so that the same rule serves a loaded model and a model known only by its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunewright.tools.models.facts import Linear

_SEPARATE = ("q_proj", "k_proj", "v_proj")
_FUSED = ("c_attn", "qkv_proj")
"""Queries, keys and values one after the other in one matrix, as GPT-2 and Phi-3 have them."""
_OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj")


@dataclass(frozen=True)
class Heads:
    """How the heads of a model lie in its matrices."""

    heads: int
    kv_heads: int
    size: int
    """Numbers a head."""

    def shared(self, heads: Iterable[int]) -> list[int]:
        """The key-value heads that these query heads use, each once."""
        return sorted({head // (self.heads // self.kv_heads) for head in heads})

    def rows(self, part: str, heads: Sequence[int]) -> list[int]:
        """Of the module called ``part`` inside the attention: which of its outputs belong to these query heads; for
        the output projection, which of its inputs. Each once, in rising order."""
        if part in ("k_proj", "v_proj"):
            return self._spread(0, self.shared(heads))
        own = self._spread(0, sorted(heads))
        if part not in _FUSED:
            return own
        first = self.heads * self.size
        keys, values = first, first + self.kv_heads * self.size
        return own + self._spread(keys, self.shared(heads)) + self._spread(values, self.shared(heads))

    def _spread(self, first: int, heads: Sequence[int]) -> list[int]:
        return [first + head * self.size + at for head in heads for at in range(self.size)]


@dataclass(frozen=True)
class Attention:
    """One attention."""

    name: str
    """Of its module."""
    heads: Heads
    inputs: tuple[Linear, ...]
    """The projections to queries, keys and values: three, or one that is fused."""
    output: Linear

    @property
    def modules(self) -> tuple[Linear, ...]:
        """All of its linear modules."""
        return (*self.inputs, self.output)

    @property
    def head_size(self) -> int:
        """Weights of a head that are its own: query rows and output columns."""
        return self.heads.size * (self.inputs[0].inputs + self.output.outputs)

    @property
    def kv_size(self) -> int:
        """Weights of a key-value head."""
        return 2 * self.heads.size * self.inputs[-1].inputs


def is_output(part: str) -> bool:
    """Whether a module of that name inside an attention is its output projection."""
    return part in _OUTPUTS


def attentions(linears: Sequence[Linear], heads: int, kv_heads: int) -> list[Attention]:
    """The attentions whose heads can be told apart, in the order given; others, such as NeoX's, are left out.

    Args:
        linears: the model's linear modules.
        heads: query heads of a layer.
        kv_heads: key-value heads of a layer.
    """
    groups: dict[str, dict[str, Linear]] = {}
    for linear in linears:
        parent, _, part = linear.name.rpartition(".")
        groups.setdefault(parent, {})[part] = linear
    found = []
    for name, parts in groups.items():
        inputs = _inputs(parts)
        output = next((parts[part] for part in _OUTPUTS if part in parts), None)
        if not inputs or output is None or output.inputs % heads or heads % kv_heads:
            continue
        shape = Heads(heads, kv_heads, output.inputs // heads)
        if _outputs(shape, inputs) == [linear.outputs for linear in inputs]:
            found.append(Attention(name, shape, inputs, output))
    return found


def _inputs(parts: dict[str, Linear]) -> tuple[Linear, ...]:
    if all(part in parts for part in _SEPARATE):
        return tuple(parts[part] for part in _SEPARATE)
    return tuple(parts[part] for part in _FUSED if part in parts)[:1]


def _outputs(shape: Heads, inputs: Sequence[Linear]) -> list[int]:
    """How wide the projections must be."""
    widths = [shape.heads * shape.size, shape.kv_heads * shape.size, shape.kv_heads * shape.size]
    return widths if len(inputs) == len(widths) else [sum(widths)]
