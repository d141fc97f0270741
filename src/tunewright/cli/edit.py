"""Editing a recipe: as YAML in the person's own editor, or line by line where there is none."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunewright.cli import yaml
from tunewright.cli.selection import read_assignment
from tunewright.domain import path as paths
from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Space
from tunewright.domain.study import Study

Changed = tuple[Recipe, dict[str, Any]]
"""The recipe as edited, and the edits (path -> value) that lead to it."""


class Editor:
    """Lets a person change a proposal's recipe until it is in the study's space, or they give up.

    Args:
        ask: shows a prompt and gives what was typed.
        say: tells one line.
        command: the editor; by default what ``VISUAL`` or ``EDITOR`` names.
    """

    def __init__(self, ask: Callable[[str], str], say: Callable[[str], None], command: str | None = None) -> None:
        self._ask, self._say = ask, say
        self._command = command or os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""

    def edit(self, study: Study, target: str) -> Changed | None:
        """The changed recipe, valid in the space; None if nothing was changed."""
        assert study.plan is not None
        recipe = study.recipe_of(target).recipe
        space = study.plan.space
        return self._in_editor(recipe, space, target) if self._command else self._by_line(recipe, space)

    def _in_editor(self, recipe: Recipe, space: Space, target: str) -> Changed | None:
        document = recipe.model_dump(mode="json")
        text, found = yaml.write(document), list[str]()
        while True:
            edited = _without_comments(self._open(_commented(text, space, target, found)))
            if edited.strip() in ("", text.strip() if not found else ""):
                return None
            text = edited
            try:
                changed = yaml.read_mapping(text)
                found = problems(space, changed)
            except UsageError as error:
                found = [error.message]
            if not found:
                edits = edits_between(document, changed)
                return (Recipe.model_validate(changed), edits) if edits else None
            for problem in found:
                self._say(problem)
            if self._ask("[e]dit on  [d]rop the edit ? ").strip().startswith("d"):
                return None

    def _by_line(self, recipe: Recipe, space: Space) -> Changed | None:
        document = recipe.model_dump(mode="json")
        self._say("set EDITOR to edit the whole recipe; here one PATH=VALUE a line, an empty line ends")
        edits: dict[str, Any] = {}
        while True:
            typed = self._ask("PATH=VALUE ").strip()
            try:
                if typed:
                    path, value = read_assignment(typed)
                    paths.get(document, path)
                    edits[path] = value
                    continue
                changed = apply(document, edits)
                found = problems(space, changed)
            except UsageError as error:
                self._say(error.message)
                continue
            except KeyError:
                self._say(f"the recipe has no {typed.partition('=')[0]}")
                continue
            if not edits:
                return None
            if not found:
                return Recipe.model_validate(changed), edits
            for problem in found:
                self._say(problem)
            if self._ask("[e]dit on  [d]rop the edit ? ").strip().startswith("d"):
                return None

    def _open(self, text: str) -> str:
        with tempfile.TemporaryDirectory(prefix="tunewright-") as folder:
            file = Path(folder) / "recipe.yaml"
            file.write_text(text, encoding="utf-8")
            command = [*shlex.split(self._command), str(file)]
            try:
                # The editor draws on stdout, which may be a pipe for our own result.
                done = subprocess.run(command, stdout=None if sys.stdout.isatty() else sys.stderr, check=False)
            except OSError as error:
                raise UsageError(
                    f"could not start the editor '{self._command}': {error.strerror}", "set EDITOR"
                ) from error
            if done.returncode != 0:
                raise UsageError(
                    f"the editor '{self._command}' ended with code {done.returncode}", "nothing was changed"
                )
            return file.read_text(encoding="utf-8", errors="replace")


def apply(document: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    """``document`` with ``edits`` in it."""
    for path, value in edits.items():
        document = paths.put(document, path, value)
    return document


def problems(space: Space, document: dict[str, Any]) -> list[str]:
    """Why ``document`` is no recipe of the space, one line each; empty if it is."""
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc'])) or 'the recipe'}: {one['msg']}" for one in error.errors()]
    return space.problems(recipe)


def edits_between(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Path -> value that turns ``before`` into ``after``.

    A mapping that lost a key is given whole, since setting paths cannot take one away.
    """
    edits: dict[str, Any] = {}
    for key, value in after.items():
        path, old = f"{prefix}{key}", before.get(key)
        if old == value:
            continue
        inner_old, inner_new = _as_mapping(old), _as_mapping(value)
        if inner_old is not None and inner_new is not None and inner_old.keys() <= inner_new.keys():
            edits |= edits_between(inner_old, inner_new, f"{path}.")
        else:
            edits[path] = value
    return edits


def _as_mapping(value: Any) -> dict[str, Any] | None:
    """A mapping, or a list of mappings by index."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return {str(index): item for index, item in enumerate(value)}
    return None


def _commented(text: str, space: Space, target: str, found: list[str]) -> str:
    """The document under what a person needs to know to edit it."""
    head = [f"# {target}: save and close to take the change, empty the file to drop it.", "# Searched in this study:"]
    head += [f"#   {dimension.path}  {dimension.says()}" for dimension in space.dimensions]
    head += [f"# ! {problem}" for problem in found]
    return "\n".join([*head, "", text])


def _without_comments(text: str) -> str:
    """What was typed, without the head: it is written anew each time."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip() + "\n"
