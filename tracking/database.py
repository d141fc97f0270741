"""The SQLite file that MLflow keeps its runs in: made quickly, in write-ahead mode, or refused in clear words."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from importlib import metadata
from pathlib import Path

from tunewright.domain.errors import TrackingError, UsageError

_SQLITE = "sqlite:///"


def prepare(uri: str, home: Path, cache: Path | None) -> None:
    """Makes sure that a SQLite file can be written; does nothing for other stores.

    The file under the home is put in write-ahead mode: ``mlflow ui`` reads while we write, and a commit costs less.

    Args:
        uri: the tracking URI.
        home: ``TUNEWRIGHT_HOME``, absolute.
        cache: where an empty database of MLflow's schema is kept, or None.

    Raises:
        UsageError: the file cannot be written.
        TrackingError: the file is no database.
    """
    if not uri.startswith(_SQLITE):
        return
    path = Path(uri.removeprefix(_SQLITE))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if cache is not None and not path.exists():
            with contextlib.suppress(OSError):  # MLflow then makes the file itself, only slower
                partial = path.with_name(path.name + ".partial")
                shutil.copyfile(empty_database(cache), partial)
                partial.replace(path)
        with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as database:
            if path.parent == home:
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except (OSError, sqlite3.OperationalError) as error:
        raise UsageError(
            f"cannot write the MLflow store '{path}': {getattr(error, 'strerror', None) or error}",
            "make it writable, set TUNEWRIGHT_HOME to a folder that is, or name a server in MLFLOW_TRACKING_URI",
        ) from error
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"'{path}' is no SQLite database: {error}", "move it away; tunewright then makes a new one"
        ) from error


def empty_database(cache: Path) -> Path:
    """An empty database of the installed MLflow's schema: its migrations take seconds, copying it does not."""
    path = cache / f"mlflow-{metadata.version('mlflow')}.db"
    if not path.exists():
        from mlflow import MlflowClient

        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / "mlflow.db"
            MlflowClient(f"{_SQLITE}{made}").search_experiments()
            made.replace(path)
    return path
