"""The Hugging Face hub, asked with patience that ends: a machine without it must not wait for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tunewright.domain.errors import ModelError, boundary

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.jinja", "merges.txt", "vocab.*"]
"""No pickles: a model is data."""
_PATIENCE_S = 3.0


def offline() -> bool:
    """Whether the user forbids the hub (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def reachable() -> bool:
    """Whether the hub answers at all. Never takes longer than about three seconds."""
    if offline():
        return False
    answered = threading.Event()

    def ask() -> None:
        import httpx

        try:
            # Through httpx, so that proxies from the environment are honoured.
            httpx.head(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", timeout=_PATIENCE_S)
            answered.set()
        except (httpx.HTTPError, OSError, ValueError):
            pass

    # A thread, because looking up a name has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S + 0.5)
    return answered.is_set()


def cached(name: str) -> Path | None:
    """The model's folder in the local hub cache, if it is there with its weights."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(name, local_files_only=True, allow_patterns=_PATTERNS))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return path if (path / "config.json").exists() and any(path.glob("*.safetensors")) else None


def fetch(name: str) -> Path:
    """Downloads the model into the local hub cache and gives its folder there.

    Raises:
        ModelError: there is no such model, it may not be read, or the hub broke off.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        with boundary(ModelError, f"fetch '{name}' from the hub", "try again; what has come is kept"):
            try:
                return Path(snapshot_download(name, allow_patterns=_PATTERNS, etag_timeout=_PATIENCE_S))
            except GatedRepoError:
                raise ModelError(
                    f"the hub asks for permission to read '{name}'", "accept its terms there and run: hf auth login"
                ) from None
    except ModelError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError | HFValidationError):
            raise ModelError(f"the hub has no model '{name}'", "check the spelling of owner/name") from error.__cause__
        raise
