"""A command of the user's: it is given one pair as JSON on stdin and prints which answer is better."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import suppress

from tunewright.domain.errors import AnnotatorError, UsageError
from tunewright.tools.preference.annotator import Question, Reply, choice_of

_HINT = "it has to print 1, 2 or tie, and end with code 0"


class ProgramAnnotator:
    """Runs the command once a pair, without a shell, so that nothing in a prompt or an answer is ever a command.

    On stdin is one JSON object with ``prompt``, ``answer_1``, ``answer_2``, ``target`` (the reference, or null) and
    ``meta`` (the row's other columns). On stdout it says ``1``, ``2`` or ``tie``.

    Args:
        command: split as a shell would split it.
        timeout_s: for one pair; then the program and all that it started are killed.

    Raises:
        UsageError: there is no command, or its quotes are not closed.
    """

    def __init__(self, command: str, *, timeout_s: float = 120.0) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"'{command}' is no command: {error}", "close its quotes") from None
        if not self._words:
            raise UsageError("'program:' names no command", "for example: --annotator 'program:python judge.py'")
        self.name = f"program:{self._words[0]}"
        self._timeout_s = timeout_s

    def answer(self, question: Question) -> Reply:
        """What the program prints.

        Raises:
            AnnotatorError: it cannot be run, fails, hangs, or prints something else.
        """
        asked = {
            "prompt": question.prompt,
            "answer_1": question.first,
            "answer_2": question.second,
            "target": question.row.get("target") or None,
            "meta": question.row.get("meta", {}),
        }
        said = self._run(json.dumps(asked).encode() + b"\n")
        choice = choice_of(said)
        if choice is None:
            raise AnnotatorError(f"the annotator '{self.name}' printed {said.strip()[:100]!r}", _HINT)
        return Reply(choice)

    def _run(self, asked: bytes) -> str:
        try:
            # A session of its own, so that whatever the program starts can be ended with it.
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise AnnotatorError(
                f"the annotator '{self.name}' cannot be run: {error.strerror}", "check the command's name and path"
            ) from error
        with process:
            try:
                out, complaints = process.communicate(asked, self._timeout_s)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise AnnotatorError(
                    f"the annotator '{self.name}' said nothing in {self._timeout_s:g} s", _HINT
                ) from None
        if process.returncode != 0:
            last = complaints.decode(errors="replace").strip().rpartition("\n")[2][:200]
            how = f"ended with code {process.returncode}" if process.returncode > 0 else "was killed"
            raise AnnotatorError(f"the annotator '{self.name}' {how}{': ' + last if last else ''}", _HINT)
        return out.decode(errors="replace")
