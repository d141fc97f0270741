"""The brief from the command line: a sentence, or a file that is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.cli.brief import read_brief
from tunewright.domain.errors import BriefError

SENTENCE = "Teach tiny to label data/rows.jsonl. At most 5 minutes and 4 trials."


def test_a_sentence_is_taken_as_it_is() -> None:
    assert (read_brief(SENTENCE).text, read_brief(SENTENCE).source) == (SENTENCE, None)


def test_a_very_long_sentence_is_no_file_name() -> None:
    assert read_brief(SENTENCE * 100).source is None


@pytest.mark.parametrize("name", ["brief.md", "my brief.txt", "BRIEF.MD"])
def test_a_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"# Route\n\n{SENTENCE}\n")
    found = read_brief(str(tmp_path / name))
    assert found.text == f"# Route\n\n{SENTENCE}"
    assert found.source == str(tmp_path / name)


@pytest.mark.parametrize("given", ["brief.md", "briefs/route", "data.jsonl", "./x"])
def test_what_looks_like_a_file_and_is_none(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BriefError, match=given.replace(".", r"\.")):
        read_brief(given)


def test_a_data_file_is_no_brief_even_if_it_exists(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("{}")
    with pytest.raises(BriefError, match="no brief"):
        read_brief(str(tmp_path / "data.jsonl"))


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b" \n", "empty"), (b"\xff\xfe\x00", "could not read")])
def test_an_unreadable_brief(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_bytes(content)
    with pytest.raises(BriefError, match=said):
        read_brief(str(tmp_path / "brief.md"))


def test_a_folder_is_no_brief(tmp_path: Path) -> None:
    (tmp_path / "brief.md").mkdir()
    with pytest.raises(BriefError, match="could not read"):
        read_brief(str(tmp_path / "brief.md"))
