"""Makes data/sums.jsonl and data/divisors.jsonl from tasks of the package reasoning-gym.

python examples/arithmetic/prepare.py
"""

from __future__ import annotations

import json
from importlib import metadata
from itertools import islice
from pathlib import Path

PACKAGE, VERSION = "reasoning-gym", "0.1.25"
ROWS = 600
DATA = Path(__file__).parent / "data"
TASKS = {
    # One-digit sums are few, so a third of the draws repeat an earlier question.
    "sums.jsonl": ("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2, "seed": 7}),
    "divisors.jsonl": ("gcd", {"min_numbers": 2, "max_numbers": 2, "min_value": 2, "max_value": 40, "seed": 7}),
}
"""File -> task and its settings."""


def main() -> None:
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise SystemExit(f"the package {PACKAGE} is not installed: pip install {PACKAGE}=={VERSION}") from None
    if version != VERSION:
        print(f"note: {PACKAGE} {version} is installed; the files here were made from {VERSION}")
    DATA.mkdir(exist_ok=True)
    for name, (task, settings) in TASKS.items():
        lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows(task, settings)]
        (DATA / name).write_bytes("".join(lines).encode())
        print(f"{DATA / name}: {len(lines)} rows")


def rows(task: str, settings: dict[str, int]) -> list[dict[str, object]]:
    """Different questions, each with what the package's verifier needs to score an answer."""
    import reasoning_gym

    different: dict[str, dict[str, object]] = {}
    for entry in reasoning_gym.create_dataset(task, size=900, **settings):
        different.setdefault(entry["question"], entry)
    return [
        {"question": question, "answer": entry["answer"], "dataset": task, "entry_metadata": entry["metadata"]}
        for question, entry in islice(different.items(), ROWS)
    ]


if __name__ == "__main__":
    main()
