"""How much each attention head matters for what the training rows ask, by two scores. Both only look.

``attribution``: ``|sum over tokens of <dL/dz, z>|`` of a head's output ``z`` (what it hands to the output projection),
averaged over rows: to first order how much a row's loss changes without the head (Michel et al., arXiv 1905.10650).

``path_patch``, after Yang et al., arXiv 2604.15294: a clean and a corrupted prompt with different answers; the head's
output is taken from the corrupted one, every other head's stays as it was, MLPs follow; how far does the logit of the
clean answer over that of the corrupted one go towards what the corrupted prompt gives? The paper has such pairs by
design. Ours, for any labelled rows: a row's partner is another row with another answer after a prompt of equal length,
and they are compared at the first token in which the answers differ (a common beginning is there in both). Pairs
count by how much their two prompts differ.

With every head's output given, no position looks at another. So a patched pass needs the one position of the
answer alone, and all heads of a pair are a batch of single tokens: seconds, where whole passes would take hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.tools.models.attention import Attention

ROWS, PAIR_ROWS, PAIRS = 32, 256, 16
"""Rows that attribution looks at, rows among which path patching looks for pairs, pairs that it patches."""
_CHUNK = 256
"""Heads in a patched pass."""

Head = tuple[str, int]
"""Name of the attention, number of the query head."""
_Outputs = dict[str, Any]
"""Name of an attention -> what its heads hand to the output projection, (rows, tokens, width)."""


@dataclass(frozen=True)
class Pair:
    """Two rows up to the token before the one in which their answers differ; both of equal length."""

    clean: Any
    """Tokens (length,)."""
    corrupted: Any
    answers: tuple[int, int]
    """The next token of either."""


def attribution(model: Any, rows: Sequence[Mapping[str, Any]], found: Sequence[Attention]) -> dict[Head, float]:
    """The score of every head, by the gradients of each row's mean loss."""
    import torch

    totals = {one.name: torch.zeros(one.heads.heads) for one in found}
    for batch in rows:
        seen: _Outputs = {}
        probes: _Outputs = {}

        def probe(name: str, z: Any, seen: _Outputs = seen, probes: _Outputs = probes) -> Any:
            seen[name] = z.detach()
            probes[name] = torch.zeros_like(z, requires_grad=True)  # its gradient is z's, frozen weights or not
            return z + probes[name]

        with _evaluating(model), _at_outputs(model, found, probe):
            loss = _row_losses(model, batch).sum()
        gradients = torch.autograd.grad(loss, [probes[one.name] for one in found])
        for one, gradient in zip(found, gradients, strict=True):
            products = (gradient * seen[one.name]).float().unflatten(-1, (one.heads.heads, -1))
            totals[one.name] += products.sum((1, 3)).abs().sum(0).cpu()
    count = sum(batch["input_ids"].shape[0] for batch in rows)
    return {(name, head): float(total) / count for name, each in totals.items() for head, total in enumerate(each)}


def path_patch(model: Any, rows: Sequence[Mapping[str, Any]], found: Sequence[Attention]) -> dict[Head, float]:
    """The score of every head: 1 would be one that carries the whole difference, 0 one that carries nothing.

    Raises:
        UsageError: there are no pairs, or the model's positions meet elsewhere than in these attentions.
    """
    import torch

    pairs = pairs_of(rows)
    if not pairs:
        raise UsageError(
            "'headtune' finds no two training rows with prompts of equal length and different answers to patch between",
            "take the scorer 'attribution', which needs no pairs",
        )
    heads = [(one.name, head) for one in found for head in range(one.heads.heads)]
    moved, whole = torch.zeros(len(heads)), 0.0
    with _evaluating(model), torch.no_grad():
        for pair in pairs:
            clean, kept = _answered(model, pair.clean, pair.answers, found)
            corrupted, given = _answered(model, pair.corrupted, pair.answers, found)
            replayed = float(_patched(model, pair, found, kept, kept, heads[:1]))
            if abs(replayed - clean) > 1e-2 * max(1.0, abs(clean)):
                raise UsageError(
                    "'headtune' cannot patch this model's heads: its positions meet outside of its attentions",
                    "take the scorer 'attribution'",
                )
            chunks = [heads[first : first + _CHUNK] for first in range(0, len(heads), _CHUNK)]
            patched = torch.cat([_patched(model, pair, found, kept, given, chunk) for chunk in chunks])
            moved += (patched - clean) * (1.0 if corrupted > clean else -1.0)
            whole += abs(corrupted - clean)
    return {head: float(score) / max(whole, 1e-9) for head, score in zip(heads, moved, strict=True)}


def pairs_of(rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """At most ``PAIRS``, each row in one of them; the same for the same rows."""
    import torch

    alone: dict[int, list[tuple[Any, Any]]] = {}
    pairs: list[Pair] = []
    for batch in rows:
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            wanted = torch.nonzero(labels != -100).flatten()
            if not len(wanted) or not int(wanted[0]):
                continue
            prompt, answer = ids[: int(wanted[0])], labels[wanted]
            others = alone.setdefault(len(prompt), [])
            for at, (corrupted, other) in enumerate(others):
                first = _differ(answer, other)
                if first is not None:
                    ends = int(answer[first]), int(other[first])
                    clean = torch.cat([prompt, answer[:first]])
                    pairs.append(Pair(clean, torch.cat([corrupted, other[:first]]), ends))
                    del others[at]
                    break
            else:
                others.append((prompt, answer))
            if len(pairs) == PAIRS:
                return pairs
    return pairs


def _differ(one: Any, other: Any) -> int | None:
    """The first place in which two answers differ; None where one is the beginning of the other."""
    length = min(len(one), len(other))
    places = (one[:length] != other[:length]).nonzero()
    return int(places[0]) if len(places) else None


def _answered(model: Any, ids: Any, answers: tuple[int, int], found: Sequence[Attention]) -> tuple[float, _Outputs]:
    """How far the first answer's logit is above the second's after the last token, and all heads' outputs there."""
    import torch

    seen: _Outputs = {}

    def keep(name: str, z: Any) -> None:
        seen[name] = z[:, -1:]

    with _at_outputs(model, found, keep):
        logits = model(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None], use_cache=False).logits
    return float(logits[0, -1, answers[0]] - logits[0, -1, answers[1]]), seen


def _patched(
    model: Any,
    pair: Pair,
    found: Sequence[Attention],
    kept: _Outputs,
    given: _Outputs,
    heads: Sequence[Head],
) -> Any:
    """The same difference (heads,) with ``given``'s output of that head and ``kept``'s of all others."""
    import torch

    sizes = {one.name: one.heads.size for one in found}
    outputs = {name: z.repeat(len(heads), 1, 1) for name, z in kept.items()}
    for row, (name, head) in enumerate(heads):
        part = slice(head * sizes[name], (head + 1) * sizes[name])
        outputs[name][row, 0, part] = given[name][0, 0, part]
    ids = pair.clean[-1:].repeat(len(heads), 1)
    places = torch.full_like(ids, len(pair.clean) - 1)
    with _at_outputs(model, found, lambda name, z: outputs[name]):
        found_logits = model(
            input_ids=ids, position_ids=places, attention_mask=torch.ones_like(ids), use_cache=False
        ).logits[:, -1]
    return (found_logits[:, pair.answers[0]] - found_logits[:, pair.answers[1]]).float().cpu()


def _row_losses(model: Any, batch: Mapping[str, Any]) -> Any:
    """Each row's mean over its labelled tokens, (rows,)."""
    import torch

    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    logits = model(**given, use_cache=False).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2).float(), labels, reduction="none")
    return losses.sum(1) / (labels != -100).sum(1).clamp(min=1)


@contextmanager
def _at_outputs(model: Any, found: Sequence[Attention], look: Callable[[str, Any], Any | None]) -> Iterator[None]:
    """Within the block ``look`` sees what each attention's output projection is given, and may give it another."""

    def watch(name: str) -> Callable[[Any, tuple[Any, ...]], Any]:
        return lambda module, args: look(name, args[0])

    hooks = [model.get_submodule(one.output.name).register_forward_pre_hook(watch(one.name)) for one in found]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode within the block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
