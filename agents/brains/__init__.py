"""Language models and their stand-ins, behind the domain's ``Brain``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tunewright.agents.beside.relay import Here, here
from tunewright.agents.brains.account import Intend, Keep, Record
from tunewright.agents.brains.guard import Guard, budget_guard, time_left
from tunewright.domain.errors import UsageError
from tunewright.domain.event import ModelAsked, ModelAsking
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study

SCRIPTED = "scripted:"
REPLAY = "replay:"


@dataclass(frozen=True)
class Limits:
    """What is waited for, and how fast a provider may be asked."""

    timeout_s: float = 60.0
    """For one attempt."""
    patience_s: float = 180.0
    """For one call with all its attempts and waits."""
    max_tokens: int = 2048
    """The longest answer."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    sleep: Callable[[float], None] = time.sleep


def open_brain(
    spec: str,
    *,
    record: Record,
    study: Callable[[], Study],
    intend: Intend | None = None,
    keep: Keep | None = None,
    studies: Path = Path(),
    limits: Limits = Limits(),
    where: Here = here,
) -> Brain:
    """The brain that ``--llm`` names.

    Args:
        spec: ``scripted:FILE``, ``replay:STUDY``, or a litellm model string such as ``openai/gpt-4o-mini`` or
            ``ollama/qwen3``.
        record: is told every call and its cost, before its answer is used.
        study: the study as it stands; its budget is asked before every call.
        intend: is told what is held for a call before it is made.
        keep: is given every call with all that was said.
        studies: where ``replay:NAME`` is looked for.
        where: does what looks at the study or writes its journal, for a brain that is asked in another thread.

    Raises:
        UsageError: the script or the recording cannot be read.
    """
    guard, asked = _guard(study, where), study().model_calls
    record, intend, keep = _recorder(record, where), _intention(intend, study, where), _keeper(keep, where)
    if spec.startswith(SCRIPTED):
        from tunewright.agents.brains.scripted import ScriptedBrain

        path = spec.removeprefix(SCRIPTED)
        return ScriptedBrain(path, record=record, guard=guard, intend=intend, keep=keep, asked=asked)
    if spec.startswith(REPLAY):
        from tunewright.agents.brains.replay import ReplayBrain

        folder = recorded(spec.removeprefix(REPLAY), studies)
        return ReplayBrain(folder, record=record, guard=guard, intend=intend, keep=keep, asked=asked)
    from tunewright.agents.brains.bucket import Bucket
    from tunewright.agents.brains.litellm import LitellmBrain
    from tunewright.agents.brains.sending import Patience

    return LitellmBrain(
        spec,
        record=record,
        guard=guard,
        intend=intend,
        keep=keep,
        bucket=Bucket(limits.requests_per_minute, limits.tokens_per_minute),
        max_tokens=limits.max_tokens,
        patience=Patience(limits.timeout_s, limits.patience_s, partial(where, time_left(study)), limits.sleep),
        nonce=_nonce(study, where),
    )


def _guard(study: Callable[[], Study], where: Here) -> Guard:
    guard = budget_guard(study)
    return lambda tokens, usd: where(partial(guard, tokens, usd))


def _recorder(record: Record, where: Here) -> Record:
    def told(one: ModelAsked) -> None:
        where(partial(record, one))

    return told


def _keeper(keep: Keep | None, where: Here) -> Keep | None:
    """Where nobody writes any more, an answer is not kept either: it was not used, and is no answer to give again."""
    return None if keep is None else lambda call: where(partial(keep, call))


def _intention(intend: Intend | None, study: Callable[[], Study], where: Here) -> Intend | None:
    """What is held is held for good: since the guard was asked, something may have been launched."""
    if intend is None:
        return None
    guard = budget_guard(study)

    def held(one: ModelAsking) -> None:
        guard(one.reserved.llm_tokens, one.reserved.usd)
        intend(one)

    return lambda one: where(partial(held, one))


def recorded(name: str, studies: Path) -> Path:
    """The folder of a recorded study: by its name under ``studies``, else by its path."""
    if not name:
        raise UsageError("'replay:' names no study", "for example: --llm replay:route-01")
    known = studies / name
    return known if "/" not in name and known.is_dir() else Path(name).expanduser()


def _nonce(study: Callable[[], Study], where: Here) -> Callable[[str], str]:
    """The same again for a call that a crash cut off: the study has not been given its answer."""

    def nonce(role: str) -> str:
        now = study()
        return f"{now.name} {role} {now.model_calls.get(role, 0)}"

    return lambda role: where(partial(nonce, role))
