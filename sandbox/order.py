"""What the host asks a keeper to run: plain data that crosses a socket or a command line as JSON.

Imports nothing outside the standard library, as everything that runs beside a job: a keeper must start in
milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """One job with its limits, spelled out for the machine it runs on."""

    module: str
    folder: str
    model: str
    environment: dict[str, str]
    """All of the job's environment."""
    wall_s: float
    grace_s: float
    disk_bytes: int
    log_bytes: int
    pids: int
    memory_bytes: int | None
    """Resident memory of the job's processes together; None where the engine enforces it."""
    own_network: bool
    """Whether to put the job into a network namespace of its own."""
    warm: bool
    """Call ``MODULE.__main__.main`` in this interpreter instead of starting a new one."""
    recorded: bool
    """Whether to leave ``running.json`` and ``exit.json`` in the folder for a later host."""

    @property
    def arguments(self) -> list[str]:
        """What the job's module is given."""
        return [self.folder, "--model", self.model]

    @property
    def out(self) -> Path:
        return Path(self.folder) / "out"

    @property
    def scratch(self) -> Path:
        """Temporary files and home of the job; removed when it ends."""
        return self.out / "tmp"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Order:
        return cls(**json.loads(text))
