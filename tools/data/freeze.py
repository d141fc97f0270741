"""Raw files become three frozen splits: what every trial reads, and what no training ever sees."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tunewright.domain.errors import DataError, TunewrightError, boundary
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import DataIdentity, Split, SplitIdentity
from tunewright.domain.profile import DataProfile, SourceProfile
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.example import Example, read_example
from tunewright.tools.data.layout import context_field
from tunewright.tools.data.profile import profile
from tunewright.tools.data.read import RawSource, read_source, skipped_row
from tunewright.tools.data.rows import Row
from tunewright.tools.data.split import content_id, split

PLACES: dict[Split, str] = {"train": "data/train.jsonl", "val": "data/val.jsonl", "test": "sealed/test.jsonl"}
"""Where each split is in a study's folder. The test lies apart, so that no mount of ``data`` can show it."""


class FrozenData(Frozen):
    """What ``freeze`` did."""

    task: TaskSpec
    """The task with its labels filled in, sorted."""
    data: DataIdentity
    profile: DataProfile


def freeze(task: TaskSpec, folder: Path, *, seed: int, skip_bad_rows: bool = False) -> FrozenData:
    """Reads the task's sources and writes their splits under ``folder``, readable as ``rows.Row``.

    May be called twice: the same content and seed give the same bytes, whatever the order of rows or files. A file
    is there whole or not at all.

    Args:
        task: names sources, fields and format.
        folder: the study's folder.
        seed: decides the split.
        skip_bad_rows: leave out rows that cannot be used and list them in the profile.

    Raises:
        DataError: a source or a row cannot be used, or there is too little to split.
        TunewrightError: the folder cannot be written to.
    """
    examples: list[Example] = []
    sources: list[SourceProfile] = []
    for source in task.sources:
        raw = read_source(source, skip_bad_rows=skip_bad_rows)
        _check_fields(raw, task)
        kept, skipped = _examples(raw, task, skip_bad_rows=skip_bad_rows)
        examples += kept
        sources.append(SourceProfile(name=source.name, rows=len(kept), skipped=skipped))
    labels = _labels(task, examples)
    # Copies of a content are put in one order whatever order they came in, so that the files are the same.
    examples.sort(key=lambda e: (e.input, e.target, e.source, json.dumps(e.meta, sort_keys=True)))
    ids = [content_id(example.input, example.target) for example in examples]
    targets = [example.target if task.format == "label" else "" for example in examples]
    sides = split([example.input for example in examples], targets, seed=seed)
    found = profile(task, examples, ids, sides, sources)
    with boundary(
        TunewrightError, f"write the frozen data under '{folder}'", "make it writable, or set TUNEWRIGHT_HOME"
    ):
        identities = {
            side: _write(folder / PLACES[side], _rows(examples, ids, sides[side]), sealed=side == "test")
            for side in sides
        }  # fmt: skip
    return FrozenData(
        task=task.model_copy(update={"labels": labels}),
        data=DataIdentity(train=identities["train"], val=identities["val"], test=identities["test"]),
        profile=found,
    )


def _check_fields(raw: RawSource, task: TaskSpec) -> None:
    """Raises if a field of the task is in no row: that is the brief's mistake, not a row's."""
    for name in (task.input_field, task.target_field):
        if name not in raw.columns:
            close = difflib.get_close_matches(name, raw.columns, n=len(raw.columns), cutoff=0.6)
            ordered = dict.fromkeys((*close, *raw.columns))
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise DataError(
                f"'{raw.source.path}' has no field '{name}'", f"{meant}choose from {', '.join(map(repr, ordered))}"
            )


def _examples(raw: RawSource, task: TaskSpec, *, skip_bad_rows: bool) -> tuple[list[Example], tuple[str, ...]]:
    """The source's examples, and every row of it that was left out."""
    context = context_field(raw.columns, task.input_field) if task.format == "completion" else None
    if context == task.target_field:
        context = None
    kept: list[Example] = []
    skipped = list(raw.skipped)
    for number, row in zip(raw.numbers, raw.rows, strict=True):
        example = read_example(row, task, raw.source.name, context)
        if not isinstance(example, BadRow):
            kept.append(example)
        elif skip_bad_rows:
            skipped.append(skipped_row(raw.source.path, raw.unit, number, example.reason))
        else:
            raise raw.bad(number, example.reason)
    if not kept:
        raise DataError(f"'{raw.source.path}' has no usable row, the first: {skipped[0]}", "fix the file")
    return kept, tuple(skipped)


def _labels(task: TaskSpec, examples: Sequence[Example]) -> tuple[str, ...]:
    """The closed set, for format ``label``."""
    if task.format != "label":
        return ()
    labels = sorted({example.target for example in examples})
    if len(labels) < 2:
        raise DataError(
            f"every row has the same '{task.target_field}': {labels[0]!r}; expected at least two labels",
            "name another target field in the brief, or add rows of another label",
        )
    return tuple(labels)


def _rows(examples: Sequence[Example], ids: Sequence[str], chosen: Sequence[int]) -> Iterator[Row]:
    """Frozen rows in the given order; all copies of a content are among ``chosen``."""
    seen: Counter[str] = Counter()
    for index in chosen:
        example, name = examples[index], ids[index]
        seen[name] += 1
        row = Row(
            id=name if seen[name] == 1 else f"{name}-{seen[name]}",
            source=example.source,
            input=example.input,
            target=example.target,
            meta=example.meta,
        )
        if example.messages:
            row["messages"] = list(example.messages)
        yield row


def _write(path: Path, rows: Iterator[Row], *, sealed: bool) -> SplitIdentity:
    """Writes beside ``path`` and renames, so that a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sealed:
        path.parent.chmod(0o700)
    digest = hashlib.sha256()
    count = 0
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for row in rows:
                line = json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"
                digest.update(line)
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o600 if sealed else 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return SplitIdentity(digest=digest.hexdigest(), rows=count)
