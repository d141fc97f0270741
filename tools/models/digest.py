"""Knows a model by its bytes: the digest that specs, runs and reproductions compare."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from tunewright.domain.frozen import content_hash

_PATTERNS = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template*",
)


def model_files(path: Path) -> list[Path]:
    """The files that decide what a model computes, sorted by name."""
    return sorted({file for pattern in _PATTERNS for file in path.glob(pattern) if file.is_file()})


def digest_model(path: Path, *, cache: Path | None = None) -> str:
    """SHA-256 over names and bytes of weights, configuration and tokenizer files, 64 hexadecimal characters.

    Args:
        path: a model directory; nothing is ever written into it.
        cache: the cache folder, where the digest is kept for as long as no file's size or time changes. Reading
            half a gigabyte takes a second or two, so a study asks again only if it must.
    """
    stamp = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in model_files(path)]
    kept = cache / "digests" / f"{content_hash(str(path.resolve()))[:32]}.json" if cache else None
    if kept is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(kept.read_text(encoding="utf-8"))
            if record["stamp"] == stamp:
                return str(record["digest"])
    digest = _digest(path)
    if kept is not None:
        with suppress(OSError):  # a read-only cache costs time, nothing else
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps({"stamp": stamp, "digest": digest}), encoding="utf-8")
            partial.replace(kept)
    return digest


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    for file in model_files(path):
        with file.open("rb") as stream:
            inner = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{file.name}\0{inner}\n".encode())
    return whole.hexdigest()
