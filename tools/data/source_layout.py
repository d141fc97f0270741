"""How the rows of each source are read, where sources differ."""

from __future__ import annotations

import difflib

from tunewright.domain.errors import DataError
from tunewright.domain.task import RowFormat, TaskSpec
from tunewright.tools.data.layout import CONTRASTED, Layout, detect_as
from tunewright.tools.data.read import RawSource

EXAMPLES: dict[RowFormat, str] = {
    "label": "text, label",
    "completion": "prompt, completion",
    "chat": "messages",
    "preference": "prompt, chosen, rejected",
    "judged": "prompt, completion, label",
    "text": "text",
}
"""Format -> columns that are always understood."""


def source_layout(raw: RawSource, task: TaskSpec) -> Layout:
    """How the source's rows are read: as it says itself, else as the task says, else by the usual names.

    Raises:
        DataError: it has not the fields that it should have, or its fields cannot be told.
    """
    source = raw.source
    form = source.format or task.format
    if source.fields is not None:
        named = source.fields
        layout = Layout(format=form, input_field=named.input, target_field=named.target, contrast_field=named.contrast)
    elif form == task.format and not source.general:
        layout = Layout(
            format=form,
            input_field=task.input_field,
            target_field=task.target_field,
            contrast_field=task.contrast_field,
        )
    else:
        found = detect_as(form, raw.columns, raw.rows)
        if found is None:
            raise DataError(
                f"'{source.path}' is to be read as {form}, and its columns {', '.join(map(repr, raw.columns))} do not "
                f"say how",
                f"name them by the source's fields, or rename them as in {EXAMPLES[form]}",
            )
        layout = found
    _check_fields(raw, layout)
    return layout


def _check_fields(raw: RawSource, layout: Layout) -> None:
    """Raises if a field is in no row: that is the brief's mistake, not a row's."""
    if layout.format in CONTRASTED and layout.contrast_field is None:
        what = "the worse answer" if layout.format == "preference" else "whether the answer is good"
        raise DataError(
            f"'{raw.source.path}' is to be read as {layout.format}, and no field is named that says {what}",
            f"name one of {', '.join(map(repr, raw.columns))} as contrast_field",
        )
    for name in layout.fields:
        if name not in raw.columns:
            close = difflib.get_close_matches(name, raw.columns, n=len(raw.columns), cutoff=0.6)
            ordered = dict.fromkeys((*close, *raw.columns))
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise DataError(
                f"'{raw.source.path}' has no field '{name}'", f"{meant}choose from {', '.join(map(repr, ordered))}"
            )
