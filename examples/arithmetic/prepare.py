"""Makes data/sums.jsonl from the task chain_sum of the package reasoning-gym: two numbers, one or two digits.

python examples/arithmetic/prepare.py
"""

from __future__ import annotations

import json
from importlib import metadata
from itertools import islice
from pathlib import Path

PACKAGE, VERSION = "reasoning-gym", "0.1.25"
TASK = "chain_sum"
ROWS = 600
TARGET = Path(__file__).parent / "data" / "sums.jsonl"


def main() -> None:
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise SystemExit(f"the package {PACKAGE} is not installed: pip install {PACKAGE}=={VERSION}") from None
    if version != VERSION:
        print(f"note: {PACKAGE} {version} is installed; data/sums.jsonl was made from {VERSION}")
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows()]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes("".join(lines).encode())
    print(f"{TARGET}: {len(lines)} rows")


def rows() -> list[dict[str, object]]:
    """Different questions, each with what the package's verifier needs to score an answer."""
    import reasoning_gym

    # One-digit sums are few, so a third of the draws repeat an earlier question.
    entries = reasoning_gym.create_dataset(TASK, min_terms=2, max_terms=2, min_digits=1, max_digits=2, seed=7, size=900)
    different: dict[str, dict[str, object]] = {}
    for entry in entries:
        different.setdefault(entry["question"], entry)
    return [
        {"question": question, "answer": entry["answer"], "dataset": TASK, "entry_metadata": entry["metadata"]}
        for question, entry in islice(different.items(), ROWS)
    ]


if __name__ == "__main__":
    main()
