"""The command line: a thin door. It parses, calls ``tunewright.app``, and shows; it decides nothing."""

from __future__ import annotations


def main() -> None:
    """The console script ``tunewright``."""
    import sys

    from tunewright.cli.door import run

    sys.exit(run(sys.argv[1:]))
