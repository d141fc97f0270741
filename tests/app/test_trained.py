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
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert (Path(base) / "config.json").is_file(), "transformers knows no alias of ours"
    assert f'AutoModelForCausalLM.from_pretrained("{base}")' in (folder / "README.md").read_text()
    with pytest.raises(UsageError):
        tw.export(run_id, tmp_path / "router", settings=settings)


def test_what_trained_nothing_cannot_be_reproduced(trained: tuple[Summary, Settings]) -> None:
    summary, settings = trained
    for run_id in (tw.load(summary.study, settings=settings).runs["study"], "f" * 32):
        with pytest.raises(UsageError):
            tw.reproduce(run_id, settings=settings)


def runs_of(summary: Summary) -> list[str]:
    found = [trial.run_id for trial in summary.trial_list if trial.run_id is not None]
    assert len(found) == 2
    return found


def test_finished_trials_are_merged_into_one_adapter(trained: tuple[Summary, Settings], tmp_path: Path) -> None:
    from peft import LoraConfig, PeftConfig

    summary, settings = trained
    runs = runs_of(summary)
    merged = tw.merge(runs, tmp_path / "both", measure=True, settings=settings)
    assert [run.run_id for run in merged.runs] == runs and [run.weight for run in merged.runs] == [1.0, 1.0]
    assert type(PeftConfig.from_pretrained(str(merged.path))) is LoraConfig
    (score,) = merged.measured
    assert score.rows == 9 and 0 <= score.value <= 1
    card = (merged.path / "README.md").read_text()
    assert runs[0] in card and "mdm-oc (global)" in card
    assert {path.name for path in tmp_path.iterdir()} == {"both"}
    learned = tw.merge(runs, tmp_path / "learned", weights="learned", settings=settings)
    assert all(-1.5 < run.weight < 2.5 for run in learned.runs)


def test_a_merge_without_all_but_one_is_that_one(trained: tuple[Summary, Settings], tmp_path: Path) -> None:
    summary, settings = trained
    runs = runs_of(summary)
    left = tw.merge(runs, tmp_path / "left", unmerge=runs[0][:8], exact=True, measure=True, settings=settings)
    assert left.unmerged == runs[0]
    assert left.measured[0].value == left.runs[1].score
    averaged = tw.merge(runs, tmp_path / "averaged", method="cat", weights=[0.0, 1.0], measure=True, settings=settings)
    assert averaged.measured[0].value == left.runs[1].score


def test_a_merge_that_cannot_be_is_one_line_and_leaves_nothing(
    trained: tuple[Summary, Settings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tunewright.cli.door import run

    summary, settings = trained
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(settings.home))
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(settings.cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    runs, out = runs_of(summary), str(tmp_path / "out")
    study = tw.load(summary.study, settings=settings).runs["study"]
    for words, said in (
        (runs[:1], "at least two runs"),
        ([runs[0], runs[0]], "given twice"),
        ([runs[0], "f" * 32], "there is no run"),
        ([runs[0], study], "is the study"),
        ([*runs, "--method", "tiess"], "unknown merge method 'tiess'"),
        ([*runs, "--weights", "0.5"], "1 weights for 2 runs"),
        ([*runs, "--weights", "a,b"], "'a,b' are no weights"),
        ([*runs, "--method", "cat", "--weights", "learned"], "'cat' has no weights to learn"),
        ([*runs, "--method", "cat", "--unmerge", runs[0]], "'cat' cannot take a run out"),
        ([*runs, "--unmerge", "abcdef"], "none of those that are merged"),
        ([*runs, "--exact"], "exact says how"),
        ([*runs, "--density", "0"], "0 is no density"),
    ):
        assert run(["merge", *words, "--out", out]) == 2
        told = capsys.readouterr().err
        assert said in told and told.startswith("error: ") and len(told.splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []
    assert run(["merge", *runs, "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "mdm-oc"
    assert run(["merge", *runs, "--out", out]) == 2
    assert "not an empty folder" in capsys.readouterr().err
