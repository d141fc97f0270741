"""A working directory with data files for briefs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.briefs import TOPICS, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files the briefs below name."""
    labelled = [{"text": f"message number {i}", "label": TOPICS[i % 3]} for i in range(60)]
    topical = [{"message": f"message number {i}", "topic": TOPICS[i % 3], "source": f"s{i}"} for i in range(60)]
    write(tmp_path / "rows.jsonl", labelled)
    write(tmp_path / "more.jsonl", labelled[:20])
    write(tmp_path / "my data" / "rows of may.jsonl", labelled)
    write(tmp_path / "data" / "messages.jsonl", topical)
    write(tmp_path / "sums.jsonl", [{"question": f"{i} + {i + 1}?", "answer": str(2 * i + 1)} for i in range(60)])
    write(
        tmp_path / "essays.jsonl", [{"prompt": f"on {i}", "completion": f"{i} " + "and so on " * 19} for i in range(60)]
    )
    write(
        tmp_path / "pairs.jsonl", [{"left": f"a text that is long {i}", "right": f"b {i}", "x": i} for i in range(60)]
    )
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    write(tmp_path / "chats.jsonl", [{"messages": turns} for _ in range(30)])
    (tmp_path / "table.CSV").write_text("text,label\n" + "".join(f"row {i},{TOPICS[i % 3]}\n" for i in range(40)))
    monkeypatch.chdir(tmp_path)
    return tmp_path
