"""What selectors and mix policies are given in their own tests: the tiny model and rows as a stage has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.models.load import load_model
from tunewright.tools.models.prompt import Template, template
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.mix_policy import Mixing
from tunewright.tools.training.registry import mix_policy, selector
from tunewright.tools.training.selector import Choosing, Work
from tunewright.tools.training.sources import Sources


def task(names: Sequence[str]) -> TaskSpec:
    return TaskSpec(
        model="tiny",
        sources=tuple(DataSource(path=f"{name}.jsonl", name=name) for name in names),
        format="completion",
        input_field="input",
        target_field="target",
        metric=Metric(name="exact_match"),
        max_length=96,
        max_new_tokens=8,
    )


def names_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row["source"] for row in rows))


def choosing(
    tiny: Found, rows: Sequence[Any], kind: str, keep: float = 0.5, seed: int = 3, **settings: Any
) -> Choosing:
    model, tokenizer = load_model(tiny.path, device="cpu")
    about = task(names_of(rows))
    chosen = selector(kind).Config.model_validate(settings)
    return Choosing(chosen, keep, about, template(about, tokenizer), model, seed=seed, batch_size=4)


def select(tiny: Found, rows: Sequence[Any], kind: str, keep: float = 0.5, **more: Any) -> list[int]:
    """What the selector keeps of the rows."""
    given = choosing(tiny, rows, kind, keep, **more)
    return list(selector(kind).select(rows, [given.form.encode(row) for row in rows], given))


def mixing(
    tiny: Found, rows: Sequence[Any], kind: str, *, steps: int = 40, batch: int = 4, given: tuple[float, ...] = (),
    seed: int = 3, names: Sequence[str] = (), **settings: Any,
) -> Mixing:  # fmt: skip
    model, tokenizer = load_model(tiny.path, device="cpu")
    names = tuple(names or names_of(rows))
    about = task(names)
    form: Template = template(about, tokenizer)
    chosen = mix_policy(kind).Config.model_validate(settings)
    sources = Sources(names, rows, tuple(range(len(rows))))
    encoded = [form.encode(row) for row in rows]
    return Mixing(chosen, sources, encoded, given, Work(len(rows), steps, batch), form, model, seed=seed)
