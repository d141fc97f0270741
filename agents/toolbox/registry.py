"""Finds tools by name, and calls them: checked arguments in, bounded text out.

A tool is a file in ``tools/`` with an object ``TOOL``; the file's name is the tool's. Packages add theirs by the entry
point ``tunewright.tools``. A file is imported when its tool is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from tunewright.agents.brains.answer import BadAnswerError, fit
from tunewright.agents.toolbox.tool import MOST_CHARACTERS, Arguments, StudyTool, bounded
from tunewright.domain.errors import TunewrightError, UsageError, boundary, unknown_name
from tunewright.domain.frozen import Json
from tunewright.domain.study import Study
from tunewright.domain.tool import REFUSAL, Tool

GROUP = "tunewright.tools"


def names() -> list[str]:
    """Every tool's name, sorted. Imports none of them."""
    return sorted({*_built_in(), *_plugins()})


def tool(name: str) -> StudyTool[Any, Any]:
    """The tool of that name.

    Raises:
        UnknownNameError: there is none.
        UsageError: it comes from another package and cannot be imported.
    """
    if name in _built_in():
        return cast(StudyTool[Any, Any], importlib.import_module(f"tunewright.agents.toolbox.tools.{name}").TOOL)
    plugins = _plugins()
    if name not in plugins:
        raise unknown_name("tool", name, names())
    point = plugins[name]
    with boundary(UsageError, f"load '{name}' from {point.value}", "repair or remove that package"):
        return cast(StudyTool[Any, Any], point.load())


def call(study: Study, folder: Path, name: str, arguments: Mapping[str, Json], *, most: int = MOST_CHARACTERS) -> str:
    """What the tool says, or what was wrong with the call: always an answer that a language model can act on.

    Args:
        folder: the study's.
        arguments: as a model gave them; checked here.
        most: characters of the answer.
    """
    try:
        found = tool(" ".join(name.split())[:60])
        checked = fit(dict(arguments), found.Arguments)
    except BadAnswerError as error:
        return bounded(
            f"{REFUSAL}the arguments of {name} do not fit: {error}. Its arguments are {_expected(found)}", most
        )
    except TunewrightError as error:
        return bounded(_error(error), most)
    return _answer(found, study, folder, checked, most)


def for_study(study: Study, folder: Path, *, most: int = MOST_CHARACTERS) -> list[Tool]:
    """The tools as ``Brain.converse`` takes them: bound to a study, with its journal as it is when they are called."""
    return [_bound(tool(name), study, folder, most) for name in names()]


def _bound(found: StudyTool[Any, Any], study: Study, folder: Path, most: int) -> Tool:
    return Tool(
        name=found.name,
        description=found.description,
        arguments=found.Arguments,
        call=lambda arguments: _answer(found, study, folder, arguments, most),
    )


def _answer(found: StudyTool[Any, Any], study: Study, folder: Path, arguments: Arguments, most: int) -> str:
    try:
        return bounded(found.said(found.run(study, folder, arguments)), most)
    except TunewrightError as error:
        return bounded(_error(error), most)


def _error(error: TunewrightError) -> str:
    return f"{REFUSAL}{error.message}" + (f"; {error.hint}" if error.hint else "")


def _expected(found: StudyTool[Any, Any]) -> str:
    fields = found.Arguments.model_fields
    return ", ".join(f"{name}{'' if one.is_required() else ' (optional)'}" for name, one in fields.items()) or "none"


@cache
def _built_in() -> tuple[str, ...]:
    return tuple(file.stem for file in (Path(__file__).parent / "tools").glob("*.py") if file.stem != "__init__")


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
