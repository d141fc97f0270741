"""Makes data/messages.jsonl from the English files of the package chatterbot-corpus; see README.md for what it does.

python examples/routing/prepare.py
"""

from __future__ import annotations

import json
from importlib import metadata, resources
from pathlib import Path

import yaml

PACKAGE, VERSION = "chatterbot-corpus", "1.3.3"
DATA = Path(__file__).parent / "data"
TARGET = "messages.jsonl"


def main() -> None:
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise SystemExit(f"the package {PACKAGE} is not installed: pip install {PACKAGE}=={VERSION}") from None
    if version != VERSION:
        print(f"note: {PACKAGE} {version} is installed; data/messages.jsonl was made from {VERSION}")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows()]
    DATA.mkdir(exist_ok=True)
    (DATA / TARGET).write_bytes("".join(lines).encode())
    print(f"{DATA / TARGET}: {len(lines)} rows")


def rows() -> list[dict[str, str | int]]:
    """One row for each message of a topic, with the number of the corpus's conversations that begin with it."""
    found: list[dict[str, str | int]] = []
    folder = resources.files("chatterbot_corpus") / "data" / "english"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yml"):
            topic = file.name.removesuffix(".yml")
            messages = first_messages(yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"])
            # A topic with one message can be learned or measured, not both.
            if len(messages) > 1:
                found += [{"text": text, "label": topic, "pairs": pairs} for text, pairs in messages.values()]
    return found


def first_messages(conversations: list[object]) -> dict[str, tuple[str, int]]:
    """Message, told apart without regard to case -> its first spelling and how often it stands there."""
    messages: dict[str, tuple[str, int]] = {}
    for turns in conversations:
        # One entry of trivia.yml is a question on its own, without an answer: no pair.
        if isinstance(turns, list) and (text := " ".join(str(turns[0]).split())):
            spelling, pairs = messages.get(text.casefold(), (text, 0))
            messages[text.casefold()] = (spelling, pairs + 1)
    return messages


if __name__ == "__main__":
    main()
