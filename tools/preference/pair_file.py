"""The file of labelled pairs that the rest of the program reads as format ``preference``: a view of the journal.

One line a pair that has a winner: ``prompt``, ``chosen``, ``rejected``; ``at`` and ``by``, when and by whom it was
labelled; ``posterior``, what was believed of the winner before; ``bits``, what the label taught. Lines are appended;
an answer that is taken back takes its line with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tunewright.domain.errors import UsageError, boundary
from tunewright.tools.preference.journal import Answered, History, write


class PairFile:
    """The view and how it is kept equal to the journal.

    Args:
        path: the file.
        prompts: the prompt of each answer.
        answers: every answer, by its number.
    """

    def __init__(self, path: Path, prompts: Sequence[str], answers: Sequence[str]) -> None:
        self.path = path
        self._prompts, self._answers = prompts, answers

    def restore(self, history: History) -> None:
        """Makes the file what the journal says, where a crash came between the two.

        Raises:
            UsageError: the file says something else; it is left as it is.
        """
        meant = b"".join(self.line(one) for one in history.answered)
        found = self.path.read_bytes() if self.path.exists() else b""
        if found == meant:
            return
        undone = self.line(history.taken_back) if history.taken_back else b""
        gone = not found
        torn = meant.startswith(found) and b"\n" not in meant[len(found) : -1]
        if gone or torn or found == meant + undone:
            self._put(meant[len(found) :], min(len(found), len(meant)))
            return
        raise UsageError(
            f"'{self.path}' is not as it was left: its lines are not those of the journal beside it",
            "move it away to have it written again, or give another --pairs",
        )

    def add(self, one: Answered) -> None:
        """Appends an answer's line, if it has one."""
        if line := self.line(one):
            self._put(line, self.path.stat().st_size if self.path.exists() else 0)

    def retract(self, one: Answered) -> None:
        """Takes the last line, which is that of ``one`` if it has any, out again."""
        if line := self.line(one):
            self._put(b"", self.path.stat().st_size - len(line))

    def line(self, one: Answered) -> bytes:
        """An answer's line; nothing for a tie and for what was skipped."""
        if one.choice not in ("1", "2"):
            return b""
        chosen, rejected = one.pair if one.choice == "1" else one.pair[::-1]
        sign = 1 if one.choice == "1" else -1
        probability = one.before.probability if one.choice == "1" else 1 - one.before.probability
        row = {
            "prompt": self._prompts[chosen],
            "chosen": self._answers[chosen],
            "rejected": self._answers[rejected],
            "at": one.at,
            "by": one.by,
            "posterior": {
                "probability": probability,
                "mean": sign * one.before.mean,
                "variance": one.before.variance,
            },
            "bits": one.bits,
        }
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    def _put(self, data: bytes, offset: int) -> None:
        """Writes ``data`` at ``offset``, which is the end from then on."""
        with boundary(UsageError, f"write to '{self.path}'", "make room; the journal beside it has every answer"):
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.ftruncate(file, offset)
                os.lseek(file, offset, os.SEEK_SET)
                write(file, data)
            finally:
                os.close(file)
