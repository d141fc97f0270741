"""The loss of every step, with every digit: what a reproduction is compared by."""

from __future__ import annotations

import json
from pathlib import Path

from tunewright.domain.frozen import content_hash


class Curve:
    """Appends to ``out/curve.jsonl``: one ``{"step": n, "loss": x}`` a line.

    Args:
        path: the file.
        after: the step of the checkpoint that training goes on from; later lines of an earlier attempt are dropped.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        kept = [point for point in read_curve(path) if point[0] <= after]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(map(_line, kept)), encoding="utf-8")
        partial.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, step: int, loss: float) -> None:
        """One step; on disk, but for a crash of the machine, when this returns."""
        self._file.write(_line((step, loss)))
        self._file.flush()

    def close(self) -> None:
        """May be called twice."""
        self._file.close()

    @property
    def digest(self) -> str:
        """SHA-256 over the pairs of step and loss."""
        return content_hash([list(point) for point in read_curve(self._path)])


def read_curve(path: Path) -> list[tuple[int, float]]:
    """The pairs of step and loss; a line torn by a crash and what follows it are left out."""
    points: list[tuple[int, float]] = []
    if not path.exists():
        return points
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            point = json.loads(line)
            points.append((int(point["step"]), float(point["loss"])))
        except (ValueError, KeyError, TypeError):
            break
    return points


def _line(point: tuple[int, float]) -> str:
    return json.dumps({"step": point[0], "loss": point[1]}) + "\n"
