"""Finds a model by what the user calls it: a directory, an alias, the local hub cache, the hub, in this order."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.errors import ModelError, boundary
from tunewright.domain.job import ModelIdentity
from tunewright.tools.models import hub
from tunewright.tools.models.aliases import Notify, alias, aliases
from tunewright.tools.models.digest import digest_model
from tunewright.tools.models.facts import facts

__all__ = ["Found", "aliases", "resolve"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_MARKER = "tunewright.json"


@dataclass(frozen=True)
class Found:
    """A model directory on this machine, and what identifies it everywhere."""

    path: Path
    identity: ModelIdentity


def resolve(ref: str, *, cache: Path, notify: Notify = lambda message: None) -> Found:
    """The model that ``ref`` names, made or fetched if need be.

    Args:
        ref: a directory with ``config.json``, an alias, or a hub name such as ``owner/name``.
        cache: where converted models are kept, shared by all studies.
        notify: is told in one line what takes long.

    Raises:
        ModelError: nothing answers to that name, or what does cannot be used.
    """
    path = _find(ref, cache.expanduser(), notify)
    known = facts(path)
    identity = ModelIdentity(ref=ref, digest=digest_model(path, cache=cache), parameters=known.parameters)
    return Found(path, identity)


def _find(ref: str, cache: Path, notify: Notify) -> Path:
    directory = Path(ref).expanduser()
    if (directory / "config.json").is_file():
        return directory.resolve()
    if ref in aliases():
        return _made(ref, cache, notify)
    if directory.exists() or not _HUB_NAME.fullmatch(ref):
        what = "is no model directory: it has no config.json" if directory.exists() else "does not exist"
        raise ModelError(f"model '{ref}' {what}", f"give a directory as transformers saves it, or {_others(ref)}")
    kept = hub.cached(ref)
    if kept is not None:
        return kept
    if not hub.reachable():
        why = "HF_HUB_OFFLINE is set" if hub.offline() else "the hub cannot be reached"
        raise ModelError(
            f"model '{ref}' is no directory, no alias and not in the local hub cache, and {why}",
            f"check the name, or use {_others(ref)}",
        )
    notify(f"fetching {ref} from the hub")
    return hub.fetch(ref)


def _others(ref: str) -> str:
    close = difflib.get_close_matches(ref.lower().rpartition("/")[2], aliases(), n=1, cutoff=0.5)
    known = ", ".join(f"'{name}'" for name in aliases())
    return f"the alias '{close[0]}'" if close else f"one of the aliases {known}"


def _made(name: str, cache: Path, notify: Notify) -> Path:
    """The alias's folder in the cache, made there if it is not, or not whole."""
    home = cache / "models"
    path = home / name
    if _intact(path, cache):
        return path
    with boundary(ModelError, f"make a model in '{cache}'", "set TUNEWRIGHT_CACHE to a folder that can be written"):
        home.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=home))
        try:
            alias(name).find(scratch, notify)
            marker = {"alias": name, "digest": digest_model(scratch)}
            (scratch / _MARKER).write_text(json.dumps(marker), encoding="utf-8")
            scratch.chmod(0o755)  # mkdtemp makes it private; a sandbox may run as another user
            _move(scratch, path, cache)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return path


def _intact(path: Path, cache: Path) -> bool:
    """Whether the folder holds what was put there."""
    try:
        marker = json.loads((path / _MARKER).read_text(encoding="utf-8"))
        return bool(marker["digest"] == digest_model(path, cache=cache))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _move(scratch: Path, path: Path, cache: Path) -> None:
    """Puts the folder in place at once. If another process was faster, its folder stays."""
    try:
        scratch.rename(path)
    except OSError:
        if _intact(path, cache):
            return
        broken = scratch.with_name(f"{scratch.name}.broken-{os.getpid()}")
        path.rename(broken)
        scratch.rename(path)
        shutil.rmtree(broken, ignore_errors=True)
