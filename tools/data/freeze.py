"""Raw files become three frozen splits: what every trial reads, and what no training ever sees."""

from __future__ import annotations

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
from tunewright.tools.data.firewall import split_off
from tunewright.tools.data.layout import Layout, context_field
from tunewright.tools.data.profile import profile
from tunewright.tools.data.raw_text import CHARACTERS_A_TOKEN
from tunewright.tools.data.read import RawSource, read_source, skipped_row
from tunewright.tools.data.rows import Row
from tunewright.tools.data.source_layout import source_layout
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
    is there whole or not at all. Sources that are trained on alone are all in ``train``, after the task's own rows and
    without what is in ``val`` or ``test``.

    Args:
        task: names sources, fields and format.
        folder: the study's folder.
        seed: decides the split.
        skip_bad_rows: leave out rows that cannot be used and list them in the profile.

    Raises:
        DataError: a source or a row cannot be used, or there is too little to split.
        TunewrightError: the folder cannot be written to.
    """
    own, apart, sources = _read(task, skip_bad_rows=skip_bad_rows)
    labels = _labels(task, own, apart)
    # Copies of a content are put in one order whatever order they came in, so that the files are the same.
    own.sort(key=_place)
    sides = _sides(task, own, seed)
    apart, withheld = split_off(apart, [own[row] for side in ("val", "test") for row in sides[side]])
    apart.sort(key=lambda example: (content_id(str(seed), "\x1e".join(example.content)), *_place(example)))
    examples = [*own, *apart]
    sides["train"] += range(len(own), len(examples))
    ids = [content_id(*example.content) for example in examples]
    found = profile(task, examples, ids, sides, [_without(one, withheld.get(one.name, 0)) for one in sources])
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


def _read(task: TaskSpec, *, skip_bad_rows: bool) -> tuple[list[Example], list[Example], list[SourceProfile]]:
    """The examples of the task, those that are trained on alone, and what was read where.

    Raises:
        DataError: there are none of the task, or a source or a row cannot be used.
    """
    own: list[Example] = []
    apart: list[Example] = []
    sources: list[SourceProfile] = []
    for source in task.sources:
        raw = read_source(source, skip_bad_rows=skip_bad_rows)
        kept, skipped = _examples(raw, source_layout(raw, task), task, skip_bad_rows=skip_bad_rows)
        (apart if source.apart(task.format) else own).extend(kept)
        sources.append(SourceProfile(name=source.name, rows=len(kept), skipped=skipped))
    if not own:
        raise DataError(
            f"no source has rows of the task, which is of format {task.format}: all are of another format or general",
            "add a source to measure on, or make the format of one of these the task's",
        )
    return own, apart, sources


def _without(source: SourceProfile, withheld: int) -> SourceProfile:
    return source.model_copy(update={"rows": source.rows - withheld, "withheld": withheld})


def _examples(
    raw: RawSource, layout: Layout, task: TaskSpec, *, skip_bad_rows: bool
) -> tuple[list[Example], tuple[str, ...]]:
    """The source's examples, and every row of it that was left out."""
    context = context_field(raw.columns, layout.input_field) if layout.format not in ("label", "chat", "text") else None
    if context in (layout.target_field, layout.contrast_field):
        context = None
    size = task.max_length * CHARACTERS_A_TOKEN
    kept: list[Example] = []
    skipped = list(raw.skipped)
    for number, row in zip(raw.numbers, raw.rows, strict=True):
        found = read_example(row, layout, raw.source.name, context, size)
        if not isinstance(found, BadRow):
            kept += found
        elif skip_bad_rows:
            skipped.append(skipped_row(raw.source.path, raw.unit, number, found.reason))
        else:
            raise raw.bad(number, found.reason)
    if not kept:
        raise DataError(f"'{raw.source.path}' has no usable row, the first: {skipped[0]}", "fix the file")
    return kept, tuple(skipped)


def _sides(task: TaskSpec, examples: Sequence[Example], seed: int) -> dict[Split, list[int]]:
    """The split of the task's own rows; of raw text by the text."""
    inputs = [example.target if example.raw else example.input for example in examples]
    return split(inputs, [example.target if task.format == "label" else "" for example in examples], seed=seed)


def _place(example: Example) -> tuple[str, str, str, str]:
    return (*example.content, example.source, json.dumps(example.meta, sort_keys=True))


def _labels(task: TaskSpec, own: Sequence[Example], apart: Sequence[Example]) -> tuple[str, ...]:
    """The closed set, for format ``label``: of all rows of the task, those that are trained on alone as well."""
    if task.format != "label":
        return ()
    named = {source.name for source in task.sources if source.of_task(task.format)}
    labels = sorted({example.target for example in (*own, *apart) if example.source in named})
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
        if example.rejected is not None:
            row["rejected"] = example.rejected
        if example.good is not None:
            row["good"] = example.good
        if example.raw:
            row["raw"] = True
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
