"""The recording: durable, without secrets, whole again after a crash, and good for a replay."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.agents.brains.conftest import KEY, Asker
from tests.conformance.brain import GOOD, Answer, Shelf
from tests.support.openai_server import OpenAiServer, Reply

from tunewright.agents.brains import open_brain
from tunewright.agents.brains.recording import Call, Recording, question_hash, read_recording
from tunewright.agents.brains.replay import ReplayBrain
from tunewright.domain.errors import BrainError, UsageError
from tunewright.domain.event import ModelAsked
from tunewright.domain.frozen import content_hash
from tunewright.domain.study import Study


def call(text: str, prompt: str = "p", **more: object) -> Call:
    fields = {"question": question_hash("planner", "m", prompt), "role": "planner", "model": "m", "prompt": prompt}
    return Call.model_validate({**fields, "text": text, "valid": True, **more})


def test_a_line_is_named_by_its_content(tmp_path: Path) -> None:
    digest = Recording(tmp_path).keep(call("a"))
    document = json.loads((tmp_path / "calls.jsonl").read_text())
    assert document.pop("digest") == digest == content_hash(document)


def test_secrets_do_not_reach_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-secret-value")
    one = call("it is very-secret-value, or sk-proj-abcdefgh", prompt="use very-secret-value", said=("Bearer abc.def",))
    Recording(tmp_path).keep(one)
    text = (tmp_path / "calls.jsonl").read_text()
    assert not any(secret in text for secret in ("very-secret-value", "sk-proj-abcdefgh", "abc.def"))
    assert question_hash("planner", "m", "use very-secret-value") == question_hash("planner", "m", "use ***")


def test_what_a_crash_tore_is_left_out_and_what_follows_is_whole(tmp_path: Path) -> None:
    Recording(tmp_path).keep(call("a"))
    with (tmp_path / "calls.jsonl").open("ab") as file:
        file.write(b'{"digest": "1234", "role": "pla')
    again = Recording(tmp_path)
    again.keep(call("b"))
    again.keep(call("half \ud800 a character"))
    assert [one.text for one in read_recording(tmp_path)] == ["a", "b", "half ? a character"]


@pytest.mark.parametrize("content", [None, "", '{"role": "planner"}\n', "[1]\n"])
def test_what_is_no_recording_is_wrong_use(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "calls.jsonl").write_text(content)
    with pytest.raises(UsageError) as caught:
        ReplayBrain(tmp_path, record=lambda one: None)
    assert caught.value.hint


def test_a_study_is_replayed_by_name_or_by_folder(tmp_path: Path) -> None:
    (tmp_path / "route-01").mkdir()
    Recording(tmp_path / "route-01").keep(call(GOOD))
    for spec in ("replay:route-01", f"replay:{tmp_path / 'route-01'}", f"replay:{tmp_path}/route-01/calls.jsonl"):
        brain = open_brain(spec, record=lambda one: None, study=Study, studies=tmp_path)
        assert brain.structured("planner", "p", Answer).count == 2
    for wrong in ("replay:", "replay:route-02"):
        with pytest.raises(UsageError):
            open_brain(wrong, record=lambda one: None, study=Study, studies=tmp_path)


def test_answers_are_found_by_their_prompt_and_else_in_order(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for number in range(4):
        recording.keep(call(json.dumps({"name": str(number), "count": 1}), prompt=f"p{number}"))
    brain = ReplayBrain(tmp_path, record=lambda one: None)
    asked = ["p2", "another", "p3", "p2"]
    assert [brain.structured("planner", prompt, Answer).name for prompt in asked] == ["2", "0", "3", "1"]
    with pytest.raises(BrainError, match="no answer for 'planner'"):
        brain.structured("planner", "p0", Answer)


def test_a_resumed_replay_goes_on_behind_what_was_answered(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.keep(call("no", prompt="p0"))
    recording.keep(call(GOOD, prompt="p0", said=("a complaint",)))
    recording.keep(call('{"name": "b", "count": 1}', prompt="p1"))
    brain = ReplayBrain(tmp_path, record=lambda one: None, asked={"planner": 2})
    assert brain.structured("planner", "else", Answer).name == "b"


def test_a_conversation_over_http_replays_with_its_faults_and_costs(
    server: OpenAiServer, asker: Asker, tmp_path: Path
) -> None:
    server.replies = [
        Reply(status=429, headers={"Retry-After": "1"}),
        Reply(None, calls=[("history", '{"trial": "t1"}')]),
        Reply("hm"),
        Reply(GOOD, breaks="half"),
        Reply("not yet"),
        Reply(GOOD),
        Reply('{"name": "b", "count": 9}'),
    ]
    recording = Recording(tmp_path)
    asker.keep = recording.keep  # type: ignore[method-assign]
    brain, shelf = asker.brain(), Shelf()
    first = [brain.converse("planner", "How many?", Answer, [shelf.tool]), brain.structured("planner", "Now?", Answer)]
    told: list[ModelAsked] = []
    again, other = ReplayBrain(tmp_path, record=told.append), Shelf()
    second = [again.converse("planner", "How many?", Answer, [other.tool]), again.structured("planner", "Now?", Answer)]
    assert first == second and shelf.seen == other.seen
    before = [(one.cost, one.valid, one.answered) for one in asker.asked]
    assert [(one.cost, one.valid, one.answered) for one in told] == before
    kept = {json.loads(line)["digest"] for line in (tmp_path / "calls.jsonl").read_text().splitlines()}
    assert {one.record for one in asker.asked} < kept
    assert KEY not in (tmp_path / "calls.jsonl").read_text() and os.environ["OPENAI_API_KEY"] == KEY
