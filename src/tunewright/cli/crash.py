"""Where the traceback of an unexpected failure is kept, without what nobody else should read."""

from __future__ import annotations

import os
import re
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def keep(error: BaseException) -> str:
    """Writes the traceback to ``crash-TIME.log`` in the home, or else in the temporary folder; gives the path."""
    text = censor("".join(traceback.format_exception(error)), os.environ)
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (_home(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return str(path)
    return "no file, since neither the home nor the temporary folder can be written"


def censor(text: str, environment: Mapping[str, str]) -> str:
    """``text`` without the values of variables named like secrets and without user names in addresses."""
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, f"<{name}>")
    return _USERINFO.sub("***", text)


def _home() -> Path:
    return Path(os.environ.get("TUNEWRIGHT_HOME") or ".tunewright").expanduser()
