"""Finds a sandbox by name. A backend's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.protocols import Sandbox

BACKENDS = {
    "process": "tunewright.sandbox.process:ProcessSandbox:ProcessConfig",
    "docker": "tunewright.sandbox.docker:DockerSandbox:DockerConfig",
    "ray": "tunewright.sandbox.ray:RaySandbox:RayConfig",
    "replay": "tunewright.sandbox.replay:ReplaySandbox:ReplayConfig",
}


def sandboxes() -> tuple[str, ...]:
    """The names there are."""
    return tuple(BACKENDS)


def backend(name: str) -> type:
    """The class behind a name of ``sandboxes()``."""
    module, sandbox, _ = BACKENDS[name].split(":")
    found: type = getattr(importlib.import_module(module), sandbox)
    return found


def open_sandbox(name: str, options: Mapping[str, str] | None = None, *, preload: Sequence[str] = ()) -> Sandbox:
    """The sandbox of that name; nothing runs before its ``with`` block is entered.

    Args:
        name: one of ``sandboxes()``.
        options: as the user wrote them; ``fork-server`` and ``fork_server`` are the same.
        preload: modules that a sandbox which forks may import ahead of the first job.

    Raises:
        UnknownNameError: no such sandbox.
        UsageError: no such option, or a value that does not fit it.
    """
    if name not in BACKENDS:
        raise unknown_name("sandbox", name, BACKENDS)
    module, sandbox, config = BACKENDS[name].split(":")
    backend = importlib.import_module(module)
    settings = getattr(backend, config)
    given = {key.replace("-", "_"): value for key, value in (options or {}).items()}
    try:
        built = settings.model_validate(given)
    except ValidationError as error:
        raise _refusal(name, list(settings.model_fields), error) from error
    opened: Sandbox = getattr(backend, sandbox)(built, preload=preload)
    return opened


def _refusal(name: str, known: list[str], error: ValidationError) -> UsageError:
    first = error.errors()[0]
    option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "options"
    options = ", ".join(field.replace("_", "-") for field in known)
    if first["type"] == "extra_forbidden":
        return UsageError(f"the {name} sandbox has no option '{option}'", f"choose from {options}")
    return UsageError(
        f"option '{option}' of the {name} sandbox is '{first['input']}': {first['msg'].lower()}",
        f"its options are {options}",
    )
