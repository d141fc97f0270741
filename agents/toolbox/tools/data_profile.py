"""What the data is like: rows, sources, lengths, labels, and what was found wrong with it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tunewright.agents.prompt import quoted
from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.profile import DataProfile
from tunewright.domain.study import Study


class DataProfileArguments(Arguments):
    labels: int = Field(20, ge=1, le=100, description="How many labels to list, the most frequent first.")


class ProfileResult(Frozen):
    """The profile, and what is seen of it."""

    format: str
    train: int
    val: int
    profile: DataProfile
    labels: tuple[tuple[str, int], ...]
    """The most frequent, with their rows."""


class DataProfileTool(StudyTool[DataProfileArguments, ProfileResult]):
    name = "data_profile"
    description = (
        "What the study's data is like: rows for training and validation, the sources, how long the texts are, "
        "duplicates and empty rows, how many rows each label has, and warnings. Of use before an idea about data, "
        "lengths, rare labels or mixes."
    )
    Arguments = DataProfileArguments

    def run(self, study: Study, folder: Path, arguments: DataProfileArguments) -> ProfileResult:
        if study.task is None or study.data is None or study.profile is None:
            raise UsageError("the study's data has not been read yet")
        ranked = sorted(study.profile.labels.items(), key=lambda pair: (-pair[1], pair[0]))
        return ProfileResult(
            format=study.task.format,
            train=study.data.train.rows,
            val=study.data.val.rows,
            profile=study.profile,
            labels=tuple(ranked[: arguments.labels]),
        )

    def said(self, result: ProfileResult) -> str:
        found = result.profile
        middle, most, longest = found.characters
        lines = [
            f"format {result.format}; {found.rows} rows, {result.train} to train on, {result.val} for validation",
            f"characters of input and target together: median {middle}, 95th percentile {most}, longest {longest}",
            f"duplicates {found.duplicates}, empty {found.empty}",
            *(f"warning: {quoted(warning)}" for warning in found.warnings),
        ]
        for source in found.sources:
            more = f", {len(source.skipped)} skipped" if source.skipped else ""
            more += f", {source.withheld} withheld" if source.withheld else ""
            lines.append(f"source {quoted(source.name)}: {source.rows} rows{more}")
        if found.labels:
            lines.append(f"{len(found.labels)} labels; rows of each, the most frequent first:")
            lines += [f"{quoted(label)}: {rows}" for label, rows in result.labels]
        return "\n".join(lines)


TOOL = DataProfileTool()
