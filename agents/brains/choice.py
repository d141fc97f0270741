"""Which language model answers in which role: what ``--llm`` says, read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.event import ModelsChosen, StudyOptions
from tunewright.domain.options import NO_MODEL

_CONSTANT = re.compile(r'^ROLE = "([a-z][a-z0-9.-]*)"$', re.MULTILINE)
_FOR_A_ROLE = re.compile(r"([A-Za-z][\w.-]*)=(.*)", re.DOTALL)
_EXAMPLE = "for example: --llm openai/gpt-4o-mini --llm proposer=ollama/qwen3"


@cache
def roles() -> tuple[str, ...]:
    """Every role in which a study asks a language model, sorted: the public ``ROLE`` constants of the team's files, and
    of those with kinds, such as ``critic.data``, the role itself."""
    found: set[str] = set()
    folders: list[Traversable] = [files("tunewright.agents")]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.is_dir():
                folders.append(entry)
            elif entry.name.endswith(".py"):
                found.update(_CONSTANT.findall(entry.read_text(encoding="utf-8")))
    return tuple(sorted(found | {role.partition(".")[0] for role in found}))


def chosen(words: Sequence[str], before: StudyOptions | None = None) -> ModelsChosen:
    """What the words choose: each is ``MODEL`` for every role, or ``ROLE=MODEL``; ``none`` is the rules.

    Args:
        before: what was chosen before. A model for every role takes its place; models for some roles are added to it.

    Raises:
        UsageError: a word is neither, or two say different things of one role.
    """
    llm: str | None = None
    llms: dict[str, str] = {}
    for word in words:
        match = _FOR_A_ROLE.fullmatch(word.strip())
        role, model = match.groups() if match else ("", word.strip())
        if not model or any(character.isspace() for character in model.partition(":")[0]):
            raise UsageError(f"'{word}' is neither MODEL nor ROLE=MODEL", _EXAMPLE)
        if llms.get(role, model) != model or (not role and llm not in (None, model)):
            raise UsageError(f"two language models are given for {f'role {role}' if role else 'every role'}", _EXAMPLE)
        if role:
            llms[role] = model
        else:
            llm = model
    if llm is None and before is not None:
        llm, llms = before.llm, before.llms | llms
    found = ModelsChosen(llm=None if llm == NO_MODEL else llm, llms=llms)
    check_roles(found.llms)
    return found


def check_roles(llms: dict[str, str]) -> None:
    """Raises:
    UnknownNameError: a study asks nobody in that role.
    """
    for role in llms:
        if role not in roles():
            raise unknown_name("role", role, roles(), _EXAMPLE)
