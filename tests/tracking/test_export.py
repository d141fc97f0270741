"""Export: a folder PEFT can load, a card that says what it is, and nothing overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.tracking.records import Recorded
from tests.tracking.test_reproduction import Told

from tunewright.domain.errors import TrackingError, UsageError
from tunewright.tracking.export import export
from tunewright.tracking.memory import MemoryStore
from tunewright.tracking.mlflow import MlflowTracker
from tunewright.tracking.tracker import StudyTracker


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path, StudyTracker(MemoryStore()))


def card(folder: Path) -> tuple[dict[str, object], str]:
    """Front matter and body."""
    _, front, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), body


class TestCard:
    def test_it_says_what_it_is_and_how_good(self, told: Told, tmp_path: Path) -> None:
        folder = export(told.runs[told.trial], tmp_path / "router", told.tracker.store)
        front, body = card(folder)
        assert front["base_model"] == "smollm2-135m" and front["library_name"] == "peft"
        assert front["tags"] == ["tunewright", "lora", "sft"]
        assert "| validation | 0.800 | 0.755 to 0.845 | 304 |" in body
        assert "| test (sealed, read once) | 0.700 |" in body and "| validation, base model | 0.100 |" in body
        assert told.recorded.data.train.digest in body and f"tunewright reproduce {told.runs[told.trial]}" in body
        assert "| stages.0.adapter.kind | lora |" in body and "billing, delivery" in body
        assert "{{" not in body and "{%" not in body and "\n\n\n" not in body

    def test_a_trial_that_did_not_win_does_not_wear_the_test_score(self, tmp_path: Path) -> None:
        told = Told(tmp_path, StudyTracker(MemoryStore()))
        store = told.tracker.store
        assert isinstance(store, MemoryStore)
        store.runs[told.parent].tags["tunewright.winner.run"] = "0" * 32
        _, body = card(export(told.runs[told.trial], tmp_path / "router", store))
        assert "sealed, read once" not in body

    def test_the_code_in_it_loads_from_the_right_place(self, told: Told, tmp_path: Path) -> None:
        _, body = card(export(told.runs[told.trial], tmp_path / "router", told.tracker.store))
        code = body.split("```python\n")[1].split("```")[0]
        compile(code, "README.md", "exec")
        assert 'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("smollm2-135m"), "router")' in code

    def test_the_base_is_named_so_that_it_can_be_loaded(self, told: Told, tmp_path: Path) -> None:
        folder = export(
            told.runs[told.trial], tmp_path / "router", told.tracker.store, base=lambda ref: f"/there/{ref}"
        )
        front, body = card(folder)
        assert 'from_pretrained("/there/smollm2-135m")' in body
        assert front["base_model"] == "smollm2-135m", "what others read names no folder of this machine"
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "/there/smollm2-135m"


class TestFolder:
    def test_files_are_those_of_the_trial_and_name_the_base_as_the_user_did(self, told: Told, tmp_path: Path) -> None:
        folder = export(told.runs[told.trial], tmp_path / "deep" / "router", told.tracker.store)
        assert {path.name for path in folder.iterdir()} == {
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
        }
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "smollm2-135m" and config["r"] == 8
        assert [path.name for path in folder.parent.iterdir()] == ["router"]

    def test_from_mlflow_too(self, home: Path, tmp_path: Path) -> None:
        told = Told(tmp_path, MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", home))
        folder = export(told.runs[told.trial], tmp_path / "router", told.tracker.store)
        assert "| test (sealed, read once) | 0.700 |" in card(folder)[1]
        config = told.tracker.store.download(told.runs[told.trial], "adapter/adapter_config.json", tmp_path / "kept")
        assert config is not None and json.loads(config.read_text())["base_model_name_or_path"] == "/model"

    def test_a_full_fine_tune_is_a_plain_model(self, tmp_path: Path) -> None:
        tracker, recorded = StudyTracker(MemoryStore()), Recorded(tmp_path)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        recorded.end(job)
        adapter = recorded.job(job) / "out" / "adapter"
        (adapter / "adapter_config.json").unlink()
        (adapter / "config.json").write_text("{}")
        tracker.finish_job(recorded.study, job, recorded.job(job))
        front, body = card(export(run, tmp_path / "model", tracker.store))
        assert front["library_name"] == "transformers" and "A full fine-tune" in body
        assert 'AutoModelForCausalLM.from_pretrained("model")' in body and "PeftModel" not in body

    def test_what_is_there_is_not_touched(self, told: Told, tmp_path: Path) -> None:
        (tmp_path / "router").mkdir()
        (tmp_path / "router" / "mine.txt").write_text("mine")
        (tmp_path / "file").write_text("mine")
        for name in ("router", "file"):
            with pytest.raises(UsageError, match="exists and is not an empty folder"):
                export(told.runs[told.trial], tmp_path / name, told.tracker.store)
        assert [path.name for path in (tmp_path / "router").iterdir()] == ["mine.txt"]

    def test_an_empty_folder_is_filled(self, told: Told, tmp_path: Path) -> None:
        (tmp_path / "router").mkdir()
        assert (export(told.runs[told.trial], tmp_path / "router", told.tracker.store) / "README.md").exists()

    def test_a_run_without_weights_leaves_nothing_behind(self, told: Told, tmp_path: Path) -> None:
        store = told.tracker.store
        assert isinstance(store, MemoryStore)
        files = store.runs[told.runs[told.trial]].files
        for name in [name for name in files if name.startswith("adapter/")]:
            del files[name]
        (tmp_path / "to").mkdir()
        with pytest.raises(TrackingError, match="has no trained weights"):
            export(told.runs[told.trial], tmp_path / "to" / "router", store)
        assert list((tmp_path / "to").iterdir()) == []

    def test_the_base_model_has_nothing_to_hand_out(self, told: Told, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="trained nothing"):
            export(told.runs["base"], tmp_path / "router", told.tracker.store)
        assert not (tmp_path / "router").exists()
