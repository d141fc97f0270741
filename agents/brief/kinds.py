"""Files of several kinds in one brief: which of them the task is, and which are trained on beside it."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.task import DataSource, Fields, RowFormat
from tunewright.tools.data.layout import DataFacts, Layout

USUAL_OBJECTIVES: dict[RowFormat, str] = {"preference": "dpo", "judged": "kto", "text": "cpt"}
"""Format of the task -> what it is trained by where the brief does not say; for all others ``sft``."""


def task_facts(facts: Sequence[DataFacts]) -> list[DataFacts]:
    """The files that the task is: of the kind of the first, raw text passed over where there is anything else."""
    main = next((one for one in facts if _kind(one.layout) != "text"), facts[0])
    return [one for one in facts if _kind(one.layout) == _kind(main.layout)]


def of_kind(facts: Sequence[DataFacts], form: RowFormat) -> list[DataFacts]:
    """The files that can be read as this format; all if none of them says so."""
    wanted = "answers" if form in ("label", "completion") else form
    return [one for one in facts if _kind(one.layout) == wanted] or list(facts)


def with_formats(
    sources: Sequence[DataSource], facts: Sequence[DataFacts], form: RowFormat, notes: list[str]
) -> tuple[DataSource, ...]:
    """The sources, those of another kind than the task's with their format and columns.

    Args:
        facts: of each source.
        form: the task's.
    """
    own = {one.path for one in of_kind(facts, form)}
    made = []
    for source, one in zip(sources, facts, strict=True):
        layout = one.layout
        if one.path in own or layout is None:
            made.append(source)
            continue
        notes.append(f"{one.path} is read as {layout.format}: trained on where an objective takes it, never measured")
        fields = Fields(input=layout.input_field, target=layout.target_field, contrast=layout.contrast_field)
        made.append(source.model_copy(update={"format": layout.format, "fields": fields}))
    return tuple(made)


def _kind(layout: Layout | None) -> str:
    """Labels and completions are answers to a text, which columns alone do not always tell apart."""
    return "answers" if layout is None or layout.format in ("label", "completion") else layout.format
