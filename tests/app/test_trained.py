"""A study that really trains, in the process sandbox, and its reproduction from MLflow alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tunewright as tw
from tunewright.domain.errors import UsageError
from tunewright.domain.event import StudyOptions
from tunewright.domain.summary import Summary
from tunewright.settings import Settings

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, store: str) -> tuple[Summary, Settings]:
    """Two trials of LoRA and its kin on 60 rows whose label stands in the text."""
    folder = tmp_path_factory.mktemp("trained")
    rows = folder / "rows.jsonl"
    lines = [{"text": f"{'no' if i % 3 else 'yes'} {i}", "label": "no" if i % 3 else "yes"} for i in range(60)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = Settings(home=folder / "home", cache=cache, tracking_uri=store)
    brief = f"Teach tiny to label {rows} (field label). Maximise accuracy. Only lora. At most 12 minutes and 2 trials."
    return tw.run(brief, options=StudyOptions(review="never"), settings=settings), settings


def test_trials_were_trained_and_measured(trained: tuple[Summary, Settings]) -> None:
    summary, settings = trained
    assert [trial.status for trial in summary.trial_list] == ["completed", "completed"]
    assert summary.best_run_id is not None
    out = settings.studies / summary.study / "trials" / "t0" / "out"
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert len((out / "items.jsonl").read_text().splitlines()) == 9


def test_training_cannot_see_the_sealed_test(trained: tuple[Summary, Settings]) -> None:
    summary, settings = trained
    folder = settings.studies / summary.study
    sealed = {json.loads(line)["input"] for line in (folder / "sealed" / "test.jsonl").read_text().splitlines()}
    for trial in ("t0", "t1"):
        for name in ("train.jsonl", "val.jsonl"):
            seen = {
                json.loads(line)["input"] for line in (folder / "trials" / trial / "in" / name).read_text().splitlines()
            }
            assert not sealed & seen
        assert sorted(path.name for path in (folder / "trials" / trial / "in").iterdir()) == [
            "train.jsonl",
            "val.jsonl",
        ]


def test_a_run_is_reproduced_bit_by_bit_from_mlflow_alone(trained: tuple[Summary, Settings], tmp_path: Path) -> None:
    summary, settings = trained
    run_id = summary.trial_list[1].run_id
    assert run_id is not None
    away = tmp_path / "elsewhere"
    shutil.copytree(settings.studies / summary.study, away)
    elsewhere = settings.model_copy(update={"home": tmp_path / "home"})
    reproduction = tw.reproduce(run_id[:12], settings=elsewhere)
    assert reproduction.verdict == "bit-identical", reproduction
    assert all(check.ok for check in reproduction.checks if check.name in ("data", "model"))


def test_an_adapter_is_exported_with_its_card(trained: tuple[Summary, Settings], tmp_path: Path) -> None:
    summary, settings = trained
    run_id = summary.trial_list[0].run_id
    assert run_id is not None
    folder = tw.export(run_id, tmp_path / "router", settings=settings)
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= {p.name for p in folder.iterdir()}
    with pytest.raises(UsageError):
        tw.export(run_id, tmp_path / "router", settings=settings)


def test_what_trained_nothing_cannot_be_reproduced(trained: tuple[Summary, Settings]) -> None:
    summary, settings = trained
    for run_id in (tw.load(summary.study, settings=settings).runs["study"], "f" * 32):
        with pytest.raises(UsageError):
            tw.reproduce(run_id, settings=settings)
