"""Which heavy libraries the host would import to ask a method something.

    assert heavy("from tunewright.tools.training.registry import objective; objective('sft')") == []

Each snippet runs in a fork of one interpreter that has imported the registries and nothing else: to start Python for
each costs half a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
_FORKING = f"""
import json, os, sys
import tunewright.tools.training.registry, tunewright.tools.training.scoreboard
for line in sys.stdin:
    if not os.fork():
        exec(json.loads(line), {{}})
        print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print("null", flush=True)
"""


def heavy(snippet: str) -> list[str]:
    """Those that a fresh interpreter has imported after it ran ``snippet``; fails where the snippet does."""
    forking = _forking()
    assert forking.stdin and forking.stdout
    print(json.dumps(snippet), file=forking.stdin, flush=True)
    found: list[str] | None = json.loads(forking.stdout.readline())
    assert found is not None, f"it failed, as stderr says: {snippet}"
    return found


@cache
def _forking() -> subprocess.Popen[str]:
    """It ends with the tests, when its stdin is closed."""
    return subprocess.Popen([sys.executable, "-c", _FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
