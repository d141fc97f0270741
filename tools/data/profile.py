"""What a person should know of the data before anything is spent on it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from tunewright.domain.job import Split
from tunewright.domain.profile import DataProfile, SourceProfile
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.example import Example
from tunewright.tools.data.split import normalised

FEW_VAL_ROWS = 100
"""Below this the 95 % interval of an accuracy near one half is wider than +-0.1."""
FEW_LABEL_ROWS = 5
FEW_PAIRS = 20
MOSTLY = 0.8
"""From this share on it is said that the better answer of a pair is the longer one."""
NAMED = 5
"""Labels named in one warning; the rest are counted."""


def profile(
    task: TaskSpec,
    examples: Sequence[Example],
    ids: Sequence[str],
    sides: Mapping[Split, Sequence[int]],
    sources: Sequence[SourceProfile],
) -> DataProfile:
    """Profiles the examples that are kept.

    Args:
        task: the task, its format above all.
        examples: every row, those of sources that are trained on alone as well.
        ids: the rows' content ids; equal ones are duplicates.
        sides: the split, as indices of ``examples``.
        sources: what was read where, for the record.
    """
    apart = {source.name for source in task.sources if source.apart(task.format)}
    own = [example for example in examples if example.source not in apart]
    labels = Counter(example.target for example in own) if task.format == "label" else Counter[str]()
    return DataProfile(
        sources=tuple(sources),
        rows=len(examples),
        duplicates=len(ids) - len(set(ids)),
        empty=_empty(examples),
        characters=_lengths([len(one.input) + max(len(one.target), len(one.rejected or "")) for one in examples]),
        labels=dict(sorted(labels.items())),
        warnings=(
            *_warnings(examples, ids, sides, sources, labels, apart),
            *(_contradictions(own) if task.format in ("label", "completion", "chat") else ()),
            *_contrast_warnings(examples),
        ),
    )


def _empty(examples: Sequence[Example]) -> int:
    return sum(not example.raw and not example.input.strip() for example in examples)


def _lengths(characters: Sequence[int]) -> tuple[int, int, int]:
    """Median, 95th percentile (nearest rank) and maximum."""
    ordered = sorted(characters)
    return int(statistics.median(ordered)), ordered[-(-len(ordered) * 95 // 100) - 1], ordered[-1]


def _warnings(
    examples: Sequence[Example],
    ids: Sequence[str],
    sides: Mapping[Split, Sequence[int]],
    sources: Sequence[SourceProfile],
    labels: Counter[str],
    apart: Collection[str],
) -> list[str]:
    warnings: list[str] = []
    skipped = sum(len(source.skipped) for source in sources)
    if skipped:
        warnings.append(f"{_count(skipped, 'bad row')} left out, listed in the report")
    for source in sources:
        if source.withheld:
            warnings.append(
                f"{_count(source.withheld, 'row')} of '{source.name}' left out: their content is in val or test"
            )
    empty = _empty(examples)
    if empty:
        warnings.append(f"{_count(empty, 'row')} with an empty input")
    if labels:
        warnings += _label_warnings(examples, sides, labels, apart)
    val = sides["val"]
    if len(val) < FEW_VAL_ROWS:
        warnings.append(f"{_count(len(val), 'row')} in val: intervals will be wide")
    distinct = len({ids[row] for row in val})
    # Items that are copies of each other are right or wrong together, so they count once at most.
    if distinct < 0.8 * len(val):
        warnings.append(
            f"{len(val)} rows in val but only {distinct} different: intervals will be too narrow; "
            "leave out the copies for honest ones"
        )
    return warnings


def _label_warnings(
    examples: Sequence[Example],
    sides: Mapping[Split, Sequence[int]],
    labels: Counter[str],
    apart: Collection[str],
) -> list[str]:
    warnings: list[str] = []
    once = [label for label in sorted(labels) if labels[label] == 1]
    if once:
        warnings.append(f"{_labels(once)} seen once, so trained on and never measured")
    in_train = {examples[row].target for row in sides["train"] if examples[row].source not in apart}
    in_val = Counter(examples[row].target for row in sides["val"])
    unseen = sorted(in_val.keys() - in_train)
    if unseen:
        warnings.append(f"{_labels(unseen)} in val but not in train: they cannot be learned")
    few = [label for label in labels if in_val[label] < FEW_LABEL_ROWS]
    if few:
        warnings.append(f"{_count(len(few), 'label')} with fewer than 5 rows in val: their accuracy will be noisy")
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        spellings[normalised(label)].append(label)
    alike = [" and ".join(map(repr, same)) for same in spellings.values() if len(same) > 1]
    warnings += [f"labels {names} differ in case or spacing only" for names in alike]
    return warnings


def _contradictions(examples: Sequence[Example]) -> list[str]:
    """Inputs with more than one target: no model can be right on all of their rows."""
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        targets[normalised(example.input)].add(example.target)
    several = sum(len(answers) > 1 for answers in targets.values())
    return [f"{_count(several, 'input')} with more than one target"] if several else []


def _contrast_warnings(examples: Sequence[Example]) -> list[str]:
    """What may be learned of answers instead of what makes them good."""
    warnings: list[str] = []
    pairs = [example for example in examples if example.rejected is not None]
    longer = sum(len(example.target) > len(example.rejected or "") for example in pairs)
    if len(pairs) >= FEW_PAIRS and longer >= MOSTLY * len(pairs):
        warnings.append(
            f"the better answer is the longer one in {longer:,} of {len(pairs):,} pairs: length may be what is learned"
        )
    kinds: defaultdict[str, set[bool]] = defaultdict(set)
    for example in examples:
        if example.good is not None:
            kinds[example.source].add(example.good)
    for source, found in sorted(kinds.items()):
        if len(found) == 1:
            word, other = ("good", "bad") if found == {True} else ("bad", "good")
            warnings.append(f"every answer of '{source}' is {word}: nothing says what is {other}")
    return warnings


def _labels(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"label{'s' if len(names) > 1 else ''} {shown}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
