"""What a merge fetches: trials of one base model, each once, and a card that says what was merged."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.tracking.test_reproduction import Told

from tunewright.domain.errors import TrackingError, UsageError
from tunewright.tracking.memory import MemoryStore
from tunewright.tracking.merging import Merged, MergedRun, MergedScore, fetch_parts, merge_card
from tunewright.tracking.tracker import StudyTracker


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def two(tmp_path: Path, store: MemoryStore) -> list[str]:
    """Run ids of two trials of two studies."""
    found = []
    for name in ("one", "two"):
        told = Told(tmp_path / name, StudyTracker(store))
        found.append(told.runs[told.trial])
    return found


def test_trials_come_with_their_weights_and_rows(two: list[str], store: MemoryStore, tmp_path: Path) -> None:
    parts = fetch_parts([two[0], two[1][:10]], tmp_path / "there", store)
    assert [part.bundle.run_id for part in parts] == two
    assert all((part.adapter / "adapter_config.json").is_file() for part in parts)
    assert parts[0].adapter != parts[1].adapter and parts[0].kind == "lora"


def test_one_run_is_no_merge(two: list[str], store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two runs"):
        fetch_parts(two[:1], tmp_path / "there", store)
    with pytest.raises(UsageError, match="given twice"):
        fetch_parts([two[0], two[0][:8]], tmp_path / "there", store)


def test_another_base_model_is_refused_by_name(two: list[str], store: MemoryStore, tmp_path: Path) -> None:
    files = store.runs[two[1]].files
    text = files["spec.json"].decode()
    digest = fetch_parts(two, tmp_path / "a", store)[0].bundle.spec.model.digest
    files["spec.json"] = text.replace(digest, "f" * 64).encode()
    with pytest.raises(UsageError, match=r"was trained on smollm2-135m \(ffffffffffff\)") as caught:
        fetch_parts(two, tmp_path / "b", store)
    assert caught.value.hint == "merge trials of one base model"


def test_a_run_without_weights_is_named(two: list[str], store: MemoryStore, tmp_path: Path) -> None:
    files = store.runs[two[1]].files
    for name in [name for name in files if name.startswith("adapter/")]:
        del files[name]
    with pytest.raises(TrackingError, match=f"run {two[1]} has no trained weights"):
        fetch_parts(two, tmp_path / "there", store)


def test_the_card_says_what_was_merged_and_how_to_make_it_again() -> None:
    runs = tuple(
        MergedRun(run_id=f"{n}" * 32, study=f"s-{n}", trial="t0", adapter="lora", weight=0.5, score=0.8) for n in "ab"
    )
    score = MergedScore(study="s-a", metric="accuracy", value=0.75, low=0.7, high=0.8, rows=40)
    merged = Merged(
        path=Path("out/both"), base="tiny", method="mdm-oc", scope="global", runs=runs, unmerged="b" * 32, exact=True,
        rank=16, parameters=12345, bytes=50000, measured=(score,),
    )  # fmt: skip
    card = merge_card(merged, base="/there/tiny", model_digest="0" * 64, command="tunewright merge a b --out both")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "peft" and front["tags"] == ["tunewright", "merge", "mdm-oc"]
    assert f"| `{'a' * 32}` | s-a | t0 | lora | 0.5 | 0.800 |" in card
    assert f"| `{'b' * 32}` | s-b | t0 | lora | taken out | 0.800 |" in card
    assert "as if it had never been there" in card and "| s-a | accuracy | 0.750 | 0.700 to 0.800 | 40 |" in card
    assert 'from_pretrained("/there/tiny"), "both")' in card and "tunewright merge a b --out both" in card
    assert "{{" not in card and "{%" not in card and "\n\n\n" not in card
    alone = merge_card(
        merged.model_copy(update={"unmerged": None, "measured": ()}), base="/there/tiny", model_digest="0", command="x"
    )
    assert "taken out" not in alone and "Scores of" not in alone and "\n\n\n" not in alone
