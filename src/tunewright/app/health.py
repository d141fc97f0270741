"""Looks at this machine and says what will work, what will not, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from urllib.parse import urlsplit

from tunewright import settings as settings_
from tunewright.domain.errors import TunewrightError
from tunewright.domain.frozen import Frozen
from tunewright.settings import Settings

_MEMORY_SHARE = 0.85
"""Of the machine's memory, for one trial; the rest is the study's own and the system's."""
_NEEDED = ("torch", "transformers", "peft", "trl", "optuna", "mlflow", "langgraph", "litellm", "docker")


class Check(Frozen):
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed: bool = True
    """False for what a study can do without."""


def doctor(*, settings: Settings | None = None) -> list[Check]:
    """Every check, in the order in which a study would need the thing."""
    settings = settings or settings_.load()
    checks: list[Callable[[Settings], Check]] = [
        _python, _packages, _home, _machine, _memory, _model_cache, _mlflow, _sandbox, _gpu, _docker, _ray,
        _language_model,
    ]  # fmt: skip
    return list(_each(checks, settings))


def _each(checks: list[Callable[[Settings], Check]], settings: Settings) -> Iterator[Check]:
    for check in checks:
        try:
            yield check(settings)
        except TunewrightError as error:
            yield Check(name=check.__name__.strip("_"), ok=False, detail=error.message, hint=error.hint)


def gpu_count() -> int:
    """GPUs that the driver shows; 0 where there is no driver. Loads no framework."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _python(_: Settings) -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check(name="python", ok=sys.version_info >= (3, 11), detail=found, hint="3.11 or newer is needed")


def _packages(_: Settings) -> Check:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    there = ", ".join(f"{name} {metadata.version(name)}" for name in _NEEDED if name not in missing)
    hint = "" if not missing else f"pip install -c constraints.txt -e . (missing: {', '.join(missing)})"
    return Check(name="packages", ok=not missing, detail=there, hint=hint)


def _home(settings: Settings) -> Check:
    home = settings.home.absolute()
    hint = "set TUNEWRIGHT_HOME to a folder that can be written"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home):
            pass
    except OSError as error:
        return Check(name="home", ok=False, detail=f"{home}: {error.strerror}", hint=hint)
    free = shutil.disk_usage(home).free / 2**30
    return Check(name="home", ok=free > 2, detail=f"{home}, {free:.0f} GiB free", hint="a study needs a few GiB")


def _machine(_: Settings) -> Check:
    import psutil

    memory = psutil.virtual_memory()
    detail = (
        f"{os.cpu_count()} CPU cores, {memory.total / 2**30:.0f} GiB memory ({memory.available / 2**30:.0f} free); "
        "one trial at a time has all of it, --slots N shares it"
    )
    return Check(name="machine", ok=memory.available > 2 * 2**30, detail=detail, hint="close what fills the memory")


def trial_memory_gib(slots: int = 1) -> float:
    """What a trial may hold where nobody says: most of this machine's memory, shared by those that run side by side."""
    import psutil

    return float(round(psutil.virtual_memory().total / 2**30 * _MEMORY_SHARE / slots, 1))


def _memory(_: Settings) -> Check:
    """The largest recipe that fits, by the model that prices recipes."""
    from tunewright.tools.models.capacity import BATCH, TOKENS, largest
    from tunewright.tools.models.precision import resolve_precision

    gpu = _gpu_memory_gib()
    limit = trial_memory_gib() if gpu is None else gpu
    fits = largest(limit, computed=resolve_precision("auto", "cpu") if gpu is None else "bf16", gpu=gpu is not None)
    where = "a trial" if gpu is None else "a GPU"
    best = "; ".join(one.says() for one in fits) or "no model of 135M parameters or more"
    detail = f"{limit:.1f} GiB for {where}, which hold a step of {BATCH} x {TOKENS} tokens of: {best}"
    return Check(name="memory", ok=bool(fits), detail=detail, hint="take smaller batches or rows", needed=False)


def _gpu_memory_gib() -> float | None:
    """Of the smallest GPU that the driver shows; None where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    sizes = [int(line) for line in said.split() if line.isdigit()]
    return min(sizes) / 1024 if sizes else None


def _model_cache(settings: Settings) -> Check:
    root = settings.cache / "models"
    cached = sorted(path.name for path in root.glob("*") if path.is_dir()) if root.is_dir() else []
    return Check(name="models", ok=True, detail=f"cached: {', '.join(cached) or 'none yet'} in {root}", needed=False)


def _mlflow(settings: Settings) -> Check:
    uri = settings.mlflow_uri
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return Check(name="mlflow", ok=True, detail=uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.scheme}://{parts.hostname}:{port}"
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=3):
            return Check(name="mlflow", ok=True, detail=where)
    except OSError as error:
        hint = "start the server, or unset MLFLOW_TRACKING_URI to use SQLite"
        return Check(name="mlflow", ok=False, detail=f"{where} does not answer: {error}", hint=hint)


def _sandbox(_: Settings) -> Check:
    from tunewright.sandbox.registry import open_sandbox

    facts = open_sandbox("process", {}).facts()
    return Check(name="sandbox", ok=True, detail=f"{facts['isolation']}; network {facts['network']}", needed=False)


def _gpu(_: Settings) -> Check:
    count = gpu_count()
    hint = "trials train on the CPU; a GPU needs its driver and nvidia-smi on the path"
    side_by_side = f"; with --gpus 1, {count} trials run side by side" if count > 1 else ""
    return Check(name="gpu", ok=count > 0, detail=f"{count or 'none'}{side_by_side}", hint=hint, needed=False)


def _docker(_: Settings) -> Check:
    from tunewright.sandbox.container import connect

    hint = "the process sandbox needs none; for --sandbox docker start an Engine"
    try:
        with closing(connect()) as client:
            return Check(name="docker", ok=True, detail=f"Engine {client.version()['Version']}", needed=False)
    except TunewrightError as error:
        return Check(name="docker", ok=False, detail=error.message, hint=hint, needed=False)


def _ray(_: Settings) -> Check:
    if importlib.util.find_spec("ray") is None:
        hint = 'only --sandbox ray needs it: pip install "tunewright[ray]"'
        return Check(name="ray", ok=False, detail="not installed", hint=hint, needed=False)
    return Check(name="ray", ok=True, detail=f"Ray {metadata.version('ray')}", needed=False)


def _language_model(_: Settings) -> Check:
    keys = [name for name in os.environ if name.endswith(("_API_KEY", "_API_BASE"))]
    detail = f"set in the environment: {', '.join(sorted(keys))}" if keys else "no provider is configured"
    hint = "the rules planner does every job without one; --llm MODEL takes any litellm model string"
    return Check(name="llm", ok=bool(keys), detail=detail, hint=hint, needed=False)
