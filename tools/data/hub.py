"""Hugging Face datasets by name. Finds out quickly whether there is a hub, rather than wait through its retries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from tunewright.domain.errors import DataError, boundary
from tunewright.tools.data.bad_row import BadRow

PROBE_S = 10.0
"""How long the hub may take to say that it knows the dataset. Its own client retries for over twenty seconds."""


def hub_rows(name: str, split: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """Rows of a split, numbered from 1; class numbers become their names. Without a hub, from the local cache.

    Raises:
        DataError: no such dataset or split, or neither a hub nor a cached copy can be reached.
    """
    import datasets

    # A bar of its own would tear the live view.
    datasets.disable_progress_bars()
    reachable = _reachable(name)
    offline = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = offline or not reachable
    try:
        with boundary(DataError, f"load split '{split}' of the dataset '{name}'", "write it as hub:NAME:SPLIT"):
            table = datasets.load_dataset(name, split=split)
    except DataError as error:
        if reachable:
            raise
        raise DataError(
            f"no dataset hub can be reached to load '{name}', and it is not in the local cache",
            "check the network (HF_ENDPOINT names another hub), or give the data as a file",
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    names = {column: kind.names for column, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)}
    for number, row in enumerate(table, start=1):
        for column, classes in names.items():
            # -1 and None mark rows without a label.
            row[column] = classes[row[column]] if row[column] is not None and row[column] >= 0 else None
        yield number, row


def _reachable(name: str) -> bool:
    """Whether the hub answers within ``PROBE_S``.

    Raises:
        DataError: it answers, and has no such dataset.
    """
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            huggingface_hub.HfApi().dataset_info(name, timeout=PROBE_S)
            answer.append(None)
        except Exception as error:
            answer.append(error)

    # A thread, because no timeout of the client bounds the look-up of the host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_S)
    if answer and isinstance(answer[0], RepositoryNotFoundError):
        raise DataError(
            f"there is no dataset '{name}' on the hub, or it is not open to you",
            "check the name (OWNER/NAME); for a private one log in with: hf auth login",
        )
    return bool(answer) and answer[0] is None
