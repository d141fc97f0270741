"""Every call of a study's language models, in ``calls.jsonl`` beside its journal: what was asked, what came, its cost.

The journal's ``ModelAsked`` names a call by the digest of its line's content, and ``--llm replay:STUDY`` answers from
the file. A line is durable before the journal names it. Secrets are taken out before anything is written.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tunewright.agents.brains.secret import scrubbed
from tunewright.domain.budget import Cost
from tunewright.domain.errors import TrackingError, UsageError
from tunewright.domain.frozen import Frozen, Json, content_hash

NAME = "calls.jsonl"
PROBE = "probe"
"""The role in which a server is asked what it can do."""


class ToolCall(Frozen):
    """A function that a model wants called."""

    id: str
    name: str
    arguments: str
    """As the model wrote them: JSON, or what it takes for it."""


class ToolRun(Frozen):
    """What became of a function that a model wanted called."""

    said: str
    """What the model was told: a result, quoted and cut to its bound, or what was wrong with the call."""
    at: float
    ended: float
    refused: bool = False
    """Whether it was not run, failed, or had nothing to say to these arguments."""


class Call(Frozen):
    """One attempt of one call. Recordings of earlier versions lack some of it: those fields have a default."""

    at: float = Field(default_factory=time.time)
    """When it began, in seconds since the epoch."""
    ended: float | None = None
    """When the answer, or the news that there is none, had arrived."""
    piece: str = ""
    """Shared by all calls that one answer took: the rounds of tools, and the tries."""
    source: str = ""
    """``NAME@VERSION`` of the prompt's file."""
    about: tuple[str, ...] = ()
    """The jobs that it asked about, where that was known when it was asked."""
    question: str
    """``question_hash`` of role, model and prompt: all tries of one question have the same."""
    role: str
    model: str
    prompt: str
    said: tuple[str, ...] = ()
    """What it was told since its last answer to the same question: a complaint, or what each tool returned. Empty for
    the first."""
    form: Literal["schema", "object", "plain", "tools"] = "plain"
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    ran: tuple[ToolRun, ...] = ()
    """What became of each of ``calls``."""
    cut_off: bool = False
    cost: Cost = Cost()
    wrote: int | None = None
    """Tokens of the answer, where the server tells them apart."""
    valid: bool = False
    answered: bool = True
    attempt: int = 1
    key: str = ""
    """The idempotency key that all attempts of the call share."""
    why: str = ""
    """Why no answer came."""


def question_hash(role: str, model: str, prompt: str) -> str:
    """The name of a question: SHA-256, of the prompt without its secrets."""
    return content_hash([role, model, scrubbed(prompt)])


class Recording:
    """The one writer of a study's recording. Threads may share it.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._turn = threading.Lock()
        self._begun = False

    def keep(self, call: Call) -> str:
        """Appends a call; it is on disk when its digest is returned.

        Raises:
            TrackingError: it could not be written.
        """
        content = _scrubbed(call.model_dump(mode="json"))
        digest = content_hash(content)
        line = json.dumps({"digest": digest, **content}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            with self._turn, self.path.open("ab") as file:
                if not self._begun:
                    self._begun = True
                    _close_last_line(self.path)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrackingError(
                f"could not write to '{self.path}': {error.strerror}",
                f"make room on the disk, then: tunewright resume {self.path.parent.name}",
            ) from error
        return digest


def read_recording(path: Path) -> list[Call]:
    """The calls of a recording, oldest first. What a crash has torn is left out.

    Args:
        path: a study's folder, or the file itself.

    Raises:
        UsageError: there is no recording, or its lines are none of this version's.
    """
    path = path / NAME if path.is_dir() else path
    try:
        calls = list(_read(path))
    except OSError as error:
        raise UsageError(
            f"there is no recording '{path}': {error.strerror}",
            "give --llm replay:STUDY, the name or the folder of a study that a language model has worked on",
        ) from error
    if not calls:
        raise UsageError(f"the recording '{path}' holds no call", "give a study that a language model has worked on")
    return calls


def follow_recording(folder: Path, offset: int = 0) -> tuple[list[tuple[str, Call]], int]:
    """The calls from byte ``offset`` on, each with its digest, and the offset to go on from: follows a running study.
    None where there is no recording. A line that is no call of this version is left out.
    """
    found: list[tuple[str, Call]] = []
    try:
        with (folder / NAME).open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written, or torn by a crash
                offset += len(line)
                try:
                    found.append(_call(json.loads(line)))
                except (ValueError, AttributeError):
                    continue
    except OSError:
        return found, offset
    return found, offset


def _read(path: Path) -> Iterator[Call]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                document = json.loads(line)
            except ValueError:
                continue  # torn by a crash
            try:
                yield _call(document)[1]
            except (ValidationError, AttributeError) as error:
                raise UsageError(
                    f"'{path}' line {number} is no call that this version knows", "record the study anew"
                ) from error


def _call(document: dict[str, Json]) -> tuple[str, Call]:
    fields = {name: one for name, one in document.items() if name != "digest"}
    return str(document.get("digest", "")), Call.model_validate(fields)


def _close_last_line(path: Path) -> None:
    """Ends what a crash has torn, so that the next line is one of its own."""
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _scrubbed(value: Json) -> Json:
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, list):
        return [_scrubbed(one) for one in value]
    if isinstance(value, dict):
        return {name: _scrubbed(one) for name, one in value.items()}
    return value
