"""The base of every noun, and the hash that names its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

Json = Any
"""A JSON value. Typed as ``Any`` because a recursive alias costs more than it catches here."""


class Frozen(BaseModel):
    """An immutable value: unknown fields are refused, equality is by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    @property
    def content_digest(self) -> str:
        """SHA-256 of the content, 64 hexadecimal characters. Independent of field order.

        Not named ``digest``: a property of that name would win over a noun's own field ``digest``.
        """
        return content_hash(self.model_dump(mode="json"))


def canonical_json(value: Json) -> str:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Json) -> str:
    """SHA-256 of ``canonical_json(value)``, 64 hexadecimal characters.

    Raises:
        ValueError: the value holds NaN or infinity, which have no portable spelling.
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def short(digest: str) -> str:
    """The first 12 characters, which is what people are shown."""
    return digest[:12]


def flatten(value: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """Nested mappings and lists as one level of dotted paths: ``{"a": [{"b": 1}]}`` -> ``{"a.0.b": 1}``."""
    flat: dict[str, Json] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            flat.update(flatten(inner, f"{path}."))
        elif isinstance(inner, list | tuple) and any(isinstance(item, Mapping) for item in inner):
            flat.update(flatten({str(i): item for i, item in enumerate(inner)}, f"{path}."))
        else:
            flat[path] = inner
    return flat
