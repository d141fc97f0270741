"""Trials whose code is hostile: what they report, leave behind, reach and change. See docs/security.md."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from tests.redteam.conftest import SECRET
from tests.redteam.lab import ROWS, SEALED, Lab, fault, score

from tunewright.agents.stage_cache import StageCache
from tunewright.domain import event as ev
from tunewright.domain.errors import ApprovalError, ModelError
from tunewright.domain.job import SplitIdentity
from tunewright.domain.outcome import Completed, Failed
from tunewright.domain.proposal import Decision
from tunewright.tracking.journal import read_study

# Forging a metric


def test_an_honest_trial_is_believed(lab: Lab) -> None:
    assert score(lab.run("honest")) == pytest.approx(3 / ROWS)
    assert lab.warned == "" and lab.alarms == []


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ("inflated", "it reports 0.99 over 12 rows; its 12 items come to 0.25"),
        ("few_rows", "it scored 3 rows of 12"),
        ("other_rows", "item 0 is not that of row 0"),
        ("easier_targets", "its id or target differs"),
        ("unearned", "has a score that its prediction does not earn"),
        ("beyond_all", "has a score that its prediction does not earn"),
        ("not_a_number", "it reports nan"),
        ("no_items", "left no scored items"),
    ],
)
def test_a_forged_metric_is_a_fault_of_the_trial(exposed: Lab, lie: str, says: str) -> None:
    outcome = exposed.run(lie)
    assert score(outcome) is None and says in fault(outcome)
    (ended,) = [one for one in exposed.journalled if isinstance(one, ev.JobEnded)]
    assert isinstance(ended.outcome, Failed) and ended.outcome.fault.kind == "config"
    assert exposed.study.best() is None and exposed.study.jobs[ended.job].score is None


def test_a_score_without_a_result_is_none(exposed: Lab) -> None:
    assert score(exposed.run("score_alone")) is None
    assert exposed.study.best() is None


# Speaking in the journal's name


def test_a_trial_cannot_approve_itself_nor_name_a_winner(lab: Lab) -> None:
    waiting = lab.proposal()
    decision = Decision(target=waiting.id, action="approve", by="person", binds=waiting.binding)
    forged = [
        ev.Decided(decision=decision).model_dump_json(),
        ev.Finished(winner="t1", reason="the best").model_dump_json(),
        '{"kind": "measured", "measurement": {"value": "all of it"}}',
    ]
    lab.run("forged_events", lines=forged)
    assert [one.kind for one in lab.journalled if one.kind == "finished"] == []
    assert waiting.id not in lab.study.decisions
    assert len(lab.alarms) == len(forged) and all("is no event" in one for one in lab.alarms)


def test_what_a_trial_writes_into_the_journal_is_cut_off(exposed: Lab) -> None:
    waiting = exposed.proposal()
    decision = Decision(target=waiting.id, action="approve", by="person", binds=waiting.binding)
    exposed.run("journal", lines=[ev.Decided(decision=decision).model_dump_json()])
    assert waiting.id not in read_study(exposed.folder).decisions
    if exposed.noted["written"]:
        assert "that somebody else wrote behind the journal's end were cut off unread" in exposed.warned


def test_what_was_not_approved_is_not_launched(exposed: Lab) -> None:
    """Nor what was changed after its approval: the seed, the code, the data, the time that it may take."""
    waiting = exposed.proposal()
    spec = exposed.specifier.trial(exposed.study, waiting.recipe, waiting.id, 160.0)
    with pytest.raises(ApprovalError):
        exposed.launch(spec)
    approved = exposed.approve(waiting)
    test = SplitIdentity(digest="f" * 64, rows=ROWS)
    for changed in (
        {"recipe": approved.recipe.reseeded(7)},
        {"code": approved.code.model_copy(update={"digest": "e" * 64})},
        {"data": approved.data.model_copy(update={"train": test})},
        {"limits": approved.limits.model_copy(update={"wall_s": 1e6})},
        {"model": approved.model.model_copy(update={"digest": "b" * 64})},
    ):
        with pytest.raises(ApprovalError, match="is not what was approved"):
            exposed.launch(approved.model_copy(update=changed))
    assert exposed.study.jobs == {}


# What is left behind


def test_links_and_pipes_are_removed_unread(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "of-the-user" / "id_rsa"
    secret.parent.mkdir()
    secret.write_text(SECRET)
    outcome = lab.run("links", secret=str(secret))
    job = next(iter(lab.study.jobs))
    assert score(outcome) is None
    assert "left what is no plain file, which was removed unread" in lab.warned and "a link to" in lab.warned
    assert not any(path.is_symlink() or path.is_fifo() for path in lab.out(job).rglob("*"))
    assert SECRET not in repr([run.files for run in lab.tracker.store.runs.values()])
    spec = lab.launcher.staged(job)
    StageCache(lab.folder).collect(spec, lab.out(job))  # type: ignore[arg-type]
    assert not any(path.is_symlink() for path in lab.folder.rglob("*")), "no later trial is given it as a stage"
    assert secret.read_text() == SECRET


def test_what_never_ends_holds_nobody_up(lab: Lab) -> None:
    assert score(lab.run("pipe")) is None
    assert "events.jsonl" in lab.warned and "result.json" in lab.warned


# What is reached


def test_nothing_is_sent_out(lab: Lab) -> None:
    if not lab.sandbox.facts()["network"].startswith("none"):
        pytest.skip(f"facts() says: {lab.sandbox.facts()['network']}")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        listener.settimeout(0.1)
        port = listener.getsockname()[1]
        addresses = [["127.0.0.1", port], ["172.17.0.1", port], ["192.0.2.1", 80]]
        lab.run("exfiltrate", addresses=addresses, name="example.com")
        with pytest.raises(TimeoutError):
            listener.accept()
    assert lab.noted == {"reached": []}


def test_the_environment_holds_no_secret(exposed: Lab) -> None:
    exposed.run("read_secrets", mark=SECRET, everywhere=False)
    assert exposed.noted["found"] == [] and "SOME_API_KEY" not in exposed.noted["names"]


@pytest.mark.docker
def test_in_a_container_no_process_and_no_home_gives_one_away(enclosed: Lab, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(SECRET)
    enclosed.run("read_secrets", mark=SECRET, everywhere=True, file=str(file))
    assert enclosed.noted["found"] == []


# What is changed


def targets(lab: Lab) -> list[str]:
    """What a cheat would like to change: scorer, data, specification, journal, model; and the sealed test."""
    from tunewright.tools.evaluation.scorers import accuracy

    trial = lab.folder / "trials" / "t0"
    places = [Path(accuracy.__file__), lab.model / "config.json", lab.folder / "journal.jsonl", trial / "spec.json"]
    places += [trial / "in" / "val.jsonl", lab.folder / "data" / "val.jsonl", lab.folder / "sealed" / "test.jsonl"]
    return [str(place) for place in places]


@pytest.mark.docker
def test_in_a_container_scorer_data_model_and_journal_are_out_of_reach(enclosed: Lab) -> None:
    places = targets(enclosed)
    assert all(Path(place).exists() for place in places[:3])
    enclosed.run("trespass", open=places, look=[str(enclosed.folder / "sealed"), str(enclosed.folder / "data")])
    assert enclosed.noted == {"written": [], "seen": []}


def test_a_base_model_that_was_swapped_launches_nothing_more(exposed: Lab) -> None:
    exposed.run("trespass", open=[], write={str(exposed.model / "config.json"): '{"better": true}'})
    launched = len(exposed.study.jobs)
    if not exposed.noted["written"]:
        pytest.skip("this user's trials cannot write the model")
    with pytest.raises(ModelError, match="were changed while the study ran"):
        exposed.run("honest")
    assert "were changed while the study ran" in exposed.warned and len(exposed.study.jobs) == launched


def test_rows_made_easier_while_the_study_runs_count_for_nobody(exposed: Lab) -> None:
    """As root a trial can write its read-only inputs, which are the study's own frozen rows."""
    val = exposed.folder / "data" / "val.jsonl"
    easier = "".join(
        json.dumps({**json.loads(line), "target": "refund"}) + "\n" for line in val.read_text().splitlines()
    )
    place = exposed.folder / "trials" / "t0" / "in" / "val.jsonl"
    outcome = exposed.run("trespass", open=[], write={str(place): easier})
    if not exposed.noted["written"]:
        assert os.getuid() != 0 and isinstance(outcome, Completed)
        return
    assert fault(outcome) == "its result was not taken: val.jsonl is not as it was frozen"


def test_no_trial_is_given_a_row_of_the_sealed_test(lab: Lab) -> None:
    lab.run("honest")
    job = lab.folder / "trials" / next(iter(lab.study.jobs))
    given = [path for path in job.rglob("*") if path.is_file()]
    assert any(path.name == "train.jsonl" for path in given)
    assert not any(SEALED in path.read_text(errors="ignore") for path in given)
