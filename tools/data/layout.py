"""Which column is what: by the names that data sets commonly use, and where those say nothing, by what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.frozen import Frozen
from tunewright.domain.task import DataSource, RowFormat
from tunewright.tools.data.contrast import judged_columns, preference_columns
from tunewright.tools.data.read import HUB, read_source

CHAT_FIELDS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat")
LABEL_FIELDS = ("label", "labels", "category", "class", "topic", "intent", "sentiment", "emotion", "tag", "genre")
TEXT_FIELDS = (
    "text", "message", "sentence", "content", "utterance", "review", "comment", "document", "body", "input", "query",
    "question", "prompt", "title",
)  # fmt: skip
COMPLETION_FIELDS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("query", "answer"),
    ("problem", "solution"),
    ("problem", "answer"),
    ("input", "output"),
    ("input", "target"),
    ("source", "target"),
    ("document", "summary"),
    ("article", "highlights"),
    ("text", "summary"),
)
CONTEXT_FIELDS = {"instruction": "input"}
"""Prompt column -> the column that goes on from it, where the file has one (the layout of Alpaca)."""

CONTRASTED: tuple[RowFormat, ...] = ("preference", "judged")
"""Formats that need a third column."""
RAW_FIELDS = ("text",)
SAID: tuple[RowFormat, ...] = ("label", "completion")
"""Formats of one text and what it is to be answered with."""

SAMPLE = 5000
"""Rows looked at: enough to tell a closed set of labels from free text, and quick."""
FEW = 20
"""Below so many rows values say nothing about what is a label, so the name alone does."""


class Layout(Frozen):
    """How a row is to be read."""

    format: RowFormat
    input_field: str
    target_field: str
    contrast_field: str | None = None
    """Column of the worse answer (preference), or of whether the answer is good (judged)."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every column that it names, each once."""
        named = (self.input_field, self.target_field, self.contrast_field)
        return tuple(dict.fromkeys(name for name in named if name is not None))


class DataFacts(Frozen):
    """What a planner needs to know of a data source while it reads a brief."""

    path: str
    columns: tuple[str, ...]
    rows: int
    layout: Layout | None
    """None where the columns do not say; the brief has to name the fields."""
    labels: int = 0
    """Distinct values of the target, for format ``label``."""
    largest_label: float = 0.0
    """Share of the rows with the target's most common value, for format ``label``."""
    rivals: tuple[str, ...] = ()
    """Other columns that could be the target as well, by name or by values; for format ``label``."""
    examples: tuple[dict[str, str], ...] = ()
    """The first three rows, each value as at most 200 characters of text."""


def context_field(columns: Sequence[str], input_field: str) -> str | None:
    """The column whose text is put after the prompt's, if there is one."""
    field = CONTEXT_FIELDS.get(input_field)
    return field if field in columns else None


def detect(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Layout | None:
    """The layout of a data source, or None where neither names nor values tell.

    Names are tried first (case does not matter): raw text alone, two answers of which one is better, a list of
    messages, an answer and whether it is good, a text with a label, a pair such as prompt and completion. A column with
    a label's name but as good as no value twice is no label. Then values: a short text with few distinct values is the
    label, and the column with the longest text its input.
    """
    sample = rows[:SAMPLE]
    by_name = {column.lower(): column for column in reversed(columns)}
    found = _text(by_name) or _preference(by_name) or _chat(by_name, sample) or _judged(by_name, sample)
    if found is not None:
        return found
    label = next((by_name[name] for name in LABEL_FIELDS if name in by_name), None)
    text = next((by_name[name] for name in TEXT_FIELDS if name in by_name and by_name[name] != label), None)
    if label and text and (len(sample) < FEW or _is_closed_set(label, sample, distinct_share=0.8)):
        return Layout(format="label", input_field=text, target_field=label)
    completion = _completion(by_name)
    if completion is not None:
        return completion
    if label and text:
        return Layout(format="completion", input_field=text, target_field=label)
    return _by_values(columns, sample, text)


def detect_as(wanted: RowFormat, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Layout | None:
    """The layout of a data source whose format is known, or None where names do not tell its columns."""
    sample = rows[:SAMPLE]
    by_name = {column.lower(): column for column in reversed(columns)}
    match wanted:
        case "text":
            return _text(by_name, alone=False)
        case "chat":
            return _chat(by_name, sample)
        case "preference":
            return _preference(by_name)
        case "judged":
            return _judged(by_name, sample, sure=True)
        case "completion":
            return _completion(by_name)
        case "label":
            found = detect(columns, rows)
            return found.model_copy(update={"format": "label"}) if found and found.format in SAID else None


def _text(by_name: Mapping[str, str], *, alone: bool = True) -> Layout | None:
    """Raw text.

    Args:
        alone: whether no other column may be there.
    """
    names = RAW_FIELDS if len(by_name) == 1 or not alone else ()
    found = next((by_name[name] for name in names if name in by_name), None)
    return Layout(format="text", input_field=found, target_field=found) if found else None


def _chat(by_name: Mapping[str, str], sample: Sequence[Mapping[str, Any]]) -> Layout | None:
    for name in CHAT_FIELDS:
        if name in by_name and _holds_messages(by_name[name], sample):
            return Layout(format="chat", input_field=by_name[name], target_field=by_name[name])
    return None


def _completion(by_name: Mapping[str, str]) -> Layout | None:
    for prompt, completion in COMPLETION_FIELDS:
        if prompt in by_name and completion in by_name:
            return Layout(format="completion", input_field=by_name[prompt], target_field=by_name[completion])
    return None


def _preference(by_name: Mapping[str, str]) -> Layout | None:
    found = preference_columns(by_name)
    return _contrasted("preference", *found) if found else None


def _judged(by_name: Mapping[str, str], sample: Sequence[Mapping[str, Any]], *, sure: bool = False) -> Layout | None:
    found = judged_columns(by_name, sample, COMPLETION_FIELDS, sure=sure)
    return _contrasted("judged", *found) if found else None


def _contrasted(form: RowFormat, prompt: str, answer: str, contrast: str) -> Layout:
    return Layout(format=form, input_field=prompt, target_field=answer, contrast_field=contrast)


def inspect(path: Path | str) -> DataFacts:
    """Reads a source and says what is in it. Bad rows are passed over here: ``freeze`` is where they count.

    Args:
        path: a file, or ``hub:NAME[:SPLIT]``.

    Raises:
        DataError: the source cannot be read at all.
    """
    name = str(path)
    stem = name if name.startswith(HUB) else Path(name).stem
    raw = read_source(DataSource(path=name, name=stem), skip_bad_rows=True)
    layout = detect(raw.columns, raw.rows)
    labels = _counted(layout.target_field, raw.rows) if layout and layout.format == "label" else Counter[str]()
    return DataFacts(
        path=name,
        columns=raw.columns,
        rows=len(raw.rows),
        layout=layout,
        labels=len(labels),
        largest_label=max(labels.values(), default=0) / max(1, len(raw.rows)),
        rivals=_rivals(layout, raw.columns, raw.rows[:SAMPLE]) if layout and labels else (),
        examples=tuple({column: str(value)[:200] for column, value in row.items()} for row in raw.rows[:3]),
    )


def _counted(column: str, rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(str(row.get(column)) for row in rows)


def _rivals(layout: Layout, columns: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Columns of labels that only their place tells from the target: those with a label's name where the target has
    one, else those with as many distinct values. A column that says the same in other words is none.
    """
    target = layout.target_field
    by_name, values = target.lower() in LABEL_FIELDS, len(_counted(target, sample))

    def rival(column: str) -> bool:
        if column in layout.fields or (by_name and column.lower() not in LABEL_FIELDS):
            return False
        if not _is_closed_set(column, sample):
            return False
        own = len(_counted(column, sample))
        pairs = len({(str(row.get(target)), str(row.get(column))) for row in sample})
        return own > 1 and (by_name or own == values) and not pairs == own == values

    return tuple(column for column in columns if rival(column))


def _holds_messages(column: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    values = [row.get(column) for row in sample[:20]]
    return any(isinstance(value, list) and value and isinstance(value[0], dict) for value in values)


def _is_closed_set(column: str, sample: Sequence[Mapping[str, Any]], distinct_share: float = 0.5) -> bool:
    """Whether a column's values repeat as labels do: short, on one line, and at most so many of them distinct."""
    values = [row[column] for row in sample if row.get(column) not in (None, "")]
    if not values or any(isinstance(value, list | dict | bytes) for value in values):
        return False
    texts = [str(value) for value in values]
    distinct = len(set(texts))
    short = max(map(len, texts)) <= 100 and not any("\n" in text for text in texts)
    return short and distinct <= max(2, int(len(texts) * distinct_share))


def _by_values(columns: Sequence[str], sample: Sequence[Mapping[str, Any]], text: str | None) -> Layout | None:
    """A label is the column with the fewest distinct values, of those that have at least two and repeat."""
    lengths = {column: _mean_length(column, sample) for column in columns}
    texts = [column for column in columns if lengths[column] > 0]
    text = text or max(texts, key=lambda column: lengths[column], default=None)
    closed = {
        column: distinct
        for column in texts
        if column != text
        and _is_closed_set(column, sample)
        and (distinct := len(Counter(str(row.get(column)) for row in sample))) > 1
    }
    if text is None or not closed:
        return None
    return Layout(format="label", input_field=text, target_field=min(closed, key=lambda column: closed[column]))


def _mean_length(column: str, sample: Sequence[Mapping[str, Any]]) -> float:
    """Mean characters of a column of text; 0 if it holds anything else."""
    values = [row.get(column) for row in sample]
    if not all(value is None or isinstance(value, str) for value in values):
        return 0.0
    return sum(len(value or "") for value in values) / max(1, len(values))
