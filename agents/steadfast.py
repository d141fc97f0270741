"""Whether the base model on disk is still the one that was approved, asked before each launch."""

from __future__ import annotations

from pathlib import Path

from tunewright.domain.errors import ModelError
from tunewright.domain.job import ModelIdentity
from tunewright.tools.models.digest import digest_model, model_files

_Stamp = list[tuple[str, int, int, int, int]]


class Steadfast:
    """Looks at the files' sizes, times and numbers, which costs nothing, and reads them again where those differ.

    The time of a file's last change is the kernel's own: a program can set the time of modification back and not it.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, _Stamp] = {}

    def require(self, path: Path, known: ModelIdentity) -> None:
        """
        Raises:
            ModelError: the files are not those that the study began with.
        """
        stamp = _stamp(path)
        if self._seen.setdefault(path, stamp) == stamp:
            return
        if digest_model(path) != known.digest:
            raise ModelError(
                f"the files of model '{known.ref}' were changed while the study ran; nothing was launched",
                f"bring back the model with digest {known.digest[:12]}, and find out which trial changed it",
            )
        self._seen[path] = stamp


def _stamp(path: Path) -> _Stamp:
    found = [(file.name, file.stat()) for file in model_files(path)]
    return [(name, one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) for name, one in found]
