"""``tunewright label`` as it is met: at a terminal, by program, killed and taken up again, and with wrong input."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agents.test_litellm_brain import KEY
from tests.cli.terminal import MAIN, Terminal
from tests.support.openai_server import OpenAiServer, Reply

import tunewright as tw
from tunewright.cli.door import run
from tunewright.tools.evaluation.scorer import words
from tunewright.tools.models.resolve import Found

Capture = pytest.CaptureFixture[str]
COMMON = ("--pairs", "pairs.jsonl", "--model", "tiny")
ANSWERS = ("four", "it is four", "five", "perhaps five")


@pytest.fixture(autouse=True)
def home_with_models(home: Path, tiny: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def data(home: Path) -> Path:
    """Five prompts with four answers each, in the working directory: 30 pairs."""
    path = home.parent / "answers.jsonl"
    lines = [
        {"prompt": f"Question {n}: two plus two?", "answers": [f"{text} ({n})" for text in ANSWERS], "target": "four"}
        for n in range(5)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def rows(path: str = "pairs.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def without_times(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("at", "by")} for row in found]


def given(capsys: Capture) -> dict[str, Any]:
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1, "one object on one line"
    found: dict[str, Any] = json.loads(shown.out)
    return found


def test_a_reference_labels_until_the_budget_and_then_goes_on(data: Path, capsys: Capture) -> None:
    assert run(["label", str(data), *COMMON, "--annotator", "reference", "--budget", "8", "--json"]) == 0
    first = given(capsys)
    assert (first["ended"], first["labels"], first["left"]) == ("budget", 8, 22)
    assert 0.5 <= first["sure"] <= 1 and first["bits"] > 0
    assert first["by"] == {"reference:token_f1": 8}
    kept = rows()
    assert len(kept) == 8 - first["ties"]
    assert run(["label", str(data), *COMMON, "--annotator", "reference:exact_match", "--json"]) == 0
    second = given(capsys)
    assert (second["ended"], second["labels"], second["left"], second["sure"]) == ("exhausted", 30, 0, None)
    assert rows()[: len(kept)] == kept
    assert all({"prompt", "chosen", "rejected"} <= set(row) for row in rows())
    assert sum(set(words(row["chosen"])) >= {"four"} for row in kept) >= len(kept) - 1


def test_the_last_block_says_what_there_is_and_what_to_type_next(data: Path, capsys: Capture) -> None:
    assert run(["label", str(data), *COMMON, "--annotator", "reference", "--budget", "9"]) == 0
    shown = capsys.readouterr()
    assert "5 prompts with 20 answers make 30 pairs" in shown.err
    assert "label 9" in shown.err and "bits; sure 0." in shown.err
    assert "pairs        " in shown.out and "in pairs.jsonl" in shown.out
    assert "on the 21 pairs left" in shown.out
    assert "a larger --budget goes on" in shown.out


def test_what_a_program_is_given_and_the_seed_decide_everything(data: Path, home: Path, capsys: Capture) -> None:
    script = home.parent / "shorter.py"
    script.write_text(
        "import json, sys\n"
        "pair = json.load(sys.stdin)\n"
        "print(1 if len(pair['answer_1']) < len(pair['answer_2']) else 2)\n"
    )
    who = f"program:{shlex.quote(sys.executable)} shorter.py"
    found = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        argv = ["label", str(data), "--pairs", f"{name}.jsonl", "--model", "tiny", "--annotator", who, "--seed", seed]
        assert run([*argv, "--budget", "6", "--batch", "2", "--alpha", "1"]) == 0
        found.append(without_times(rows(f"{name}.jsonl")))
    assert found[0] == found[1] != found[2]
    assert all(len(row["chosen"]) <= len(row["rejected"]) for row in found[0])


def test_a_program_that_fails_loses_nothing(data: Path, home: Path, capsys: Capture) -> None:
    script = home.parent / "three.py"
    script.write_text(
        "import pathlib, sys\n"
        "count = pathlib.Path('count')\n"
        "n = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(n + 1))\n"
        "sys.exit('out of patience') if n == 3 else print(1)\n"
    )
    argv = ["label", str(data), *COMMON, "--annotator", f"program:{shlex.quote(sys.executable)} three.py"]
    assert run([*argv, "--budget", "5"]) == 1
    told = capsys.readouterr().err
    assert "out of patience" in told and "every answer so far; the same command goes on" in told
    assert len(rows()) == 3
    assert run([*argv, "--budget", "5"]) == 0
    assert len(rows()) == 5


def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(data: Path, home: Path, capsys: Capture) -> None:
    script = home.parent / "slow.py"
    script.write_text(
        "import json, sys, time\n"
        "pair = json.load(sys.stdin)\n"
        "time.sleep(0.05)\n"
        "print(1 if pair['answer_1'] < pair['answer_2'] else 2)\n"
    )
    who = f"program:{shlex.quote(sys.executable)} slow.py"
    options = ["--model", "tiny", "--annotator", who, "--budget", "12", "--batch", "3"]
    for number in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "label", str(data), "--pairs", "killed.jsonl", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ,
        )  # fmt: skip
        end = time.monotonic() + 120
        path = Path("killed.jsonl")
        while not path.exists() or path.read_text().count("\n") < 3 * (number + 1):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run(["label", str(data), "--pairs", "killed.jsonl", *options]) == 0
    assert run(["label", str(data), "--pairs", "whole.jsonl", *options]) == 0
    assert without_times(rows("killed.jsonl")) == without_times(rows("whole.jsonl"))
    assert len(rows("whole.jsonl")) == 12


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiServer]:
    server = OpenAiServer()
    monkeypatch.setenv("OPENAI_API_BASE", server.base)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield server
    server.close()


def test_a_language_model_labels_and_its_cost_is_told(data: Path, server: OpenAiServer, capsys: Capture) -> None:
    server.replies = [Reply('{"better": "1"}'), *[Reply("hm")] * 3, Reply('{"better": "tie"}'), Reply('{"better": 2}')]
    argv = ["label", str(data), *COMMON, "--annotator", "llm:openai/local", "--question", "Which is shorter?"]
    assert run([*argv, "--budget", "3", "--json"]) == 0
    found = given(capsys)
    assert (found["labels"], found["ties"], found["skipped"]) == (3, 1, 1)
    assert found["cost"]["llm_tokens"] == 600
    assert [row["by"] for row in rows()] == ["llm:openai/local"] * 2
    assert all("Which is shorter?" in json.dumps(request["messages"]) for request in server.requests)
    server.replies = [Reply("no", status=401)]
    assert run([*argv, "--budget", "4"]) == 2
    assert "every answer so far" in capsys.readouterr().err
    assert len(rows()) == 2


def test_answers_are_drawn_from_the_model_once(home: Path, capsys: Capture) -> None:
    Path("prompts.jsonl").write_text("".join(json.dumps({"prompt": f"Say {n}"}) + "\n" for n in range(6)))
    argv = ["label", "prompts.jsonl", *COMMON, "--prompts", "4", "--samples", "3", "--max-new-tokens", "6"]
    who = ["--annotator", f"program:{shlex.quote(sys.executable)} -c 'print(1)'"]
    assert run([*argv, *who, "--budget", "2"]) == 0
    assert "drawing 3 answers to each of 4 prompts" in capsys.readouterr().err
    frozen = Path("pairs.session/candidates.jsonl").read_bytes()
    assert len(frozen.splitlines()) <= 4
    assert run([*argv, *who, "--budget", "4"]) == 0
    assert "drawing" not in capsys.readouterr().err
    assert Path("pairs.session/candidates.jsonl").read_bytes() == frozen
    assert run([*argv, *who, "--samples", "5"]) == 2
    assert "begun with another samples: 3, and now it is 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl", *COMMON], "there is no file 'missing.jsonl'"),
        (["answers.jsonl", "--pairs", "p.txt", "--model", "tiny"], "a name that ends in .jsonl"),
        (["answers.jsonl", "--pairs", "answers.jsonl", "--model", "tiny"], "'answers.jsonl' is there already"),
        (["answers.jsonl", "--pairs", "p.jsonl", "--model", "no/such-model"], "no/such-model"),
        (["answers.jsonl", "--pairs", "p.jsonl"], "missing option '--model'"),
        (["answers.jsonl", *COMMON, "--annotator", "crowd"], "unknown annotator 'crowd'"),
        (["answers.jsonl", *COMMON, "--annotator", "reference:nearness"], "unknown metric 'nearness'"),
        (["answers.jsonl", *COMMON, "--annotator", "program:"], "names no command"),
        (["answers.jsonl", *COMMON, "--annotator", "llm:openai/local"], "needs a limit"),
        (["answers.jsonl", *COMMON, "--annotator", "llm:scripted:no.json", "--budget", "3"], "no.json"),
        (["answers.jsonl", *COMMON, "--annotator", "human"], "no terminal"),
        (["answers.jsonl", *COMMON, "--target-field", "gold"], "no column 'gold'"),
        (["answers.jsonl", *COMMON, "--alpha", "2"], "'--alpha'"),
        (["answers.jsonl", *COMMON, "--budget", "0"], "'--budget'"),
        (["plain.jsonl", *COMMON, "--annotator", "reference"], "has no reference answer"),
        (["same.jsonl", *COMMON, "--annotator", "reference"], "no prompt with two different answers"),
    ],
)
def test_wrong_use_is_explained_and_leaves_nothing(
    arguments: list[str], said: str, data: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("plain.jsonl").write_text('{"prompt": "p", "answers": ["a", "b"]}\n')
    Path("same.jsonl").write_text('{"prompt": "p", "answers": ["a", "a "], "target": "a"}\n')
    before = {path.name for path in Path().iterdir()}
    if "--annotator" not in arguments:
        arguments = [*arguments, "--annotator", "reference"]
    assert run(["label", *arguments]) == 2
    error, *hint = capsys.readouterr().err.splitlines()[-2:]
    assert said in error and hint
    assert {path.name for path in Path().iterdir()} == before


def test_other_data_does_not_go_on_in_the_same_pairs(data: Path, capsys: Capture) -> None:
    argv = ["label", str(data), *COMMON, "--annotator", "reference", "--budget", "2"]
    assert run(argv) == 0
    data.write_text(data.read_text().replace("five (0)", "six (0)"))
    assert run(argv) == 2
    assert "begun with another data" in capsys.readouterr().err


def answer(terminal: Terminal, keys: str) -> None:
    terminal.expect("[q]uit ? ")
    terminal.type(keys + "\n")


def test_at_a_terminal(data: Path) -> None:
    terminal = Terminal(MAIN, "label", str(data), *COMMON, "--json", "--question", "Which one is right?")
    terminal.expect("make 30 pairs", timeout_s=120)
    terminal.expect("Which one is right?")
    terminal.expect("prompt")
    terminal.expect("two plus two?")
    answer(terminal, "1")
    terminal.expect("expected with 0.50, taught 0.")
    terminal.expect("on the 29 pairs left")
    answer(terminal, "what?")
    terminal.expect("'what?' is none of 1, 2, t, s, u, q")
    answer(terminal, "t")
    terminal.expect("a tie, taught")
    answer(terminal, "s")
    terminal.expect("skipped")
    answer(terminal, "u")
    terminal.expect("taken back")
    answer(terminal, "2")
    terminal.expect("label 3")
    terminal.expect("[q]uit ? ")
    assert len(rows()) == 2, "each answer is on disk before the next is asked for"
    terminal.type("q\n")
    out, code = terminal.end()
    found = json.loads(out)
    assert code == 0 and found["ended"] == "stopped"
    assert (found["labels"], found["ties"], found["skipped"], found["by"]) == (3, 1, 0, {"human": 3})

    again = Terminal(MAIN, "label", str(data), *COMMON)
    again.expect("3 labelled before", timeout_s=120)
    again.expect("#4")
    again.expect("[q]uit ? ")
    again.type("\x04")  # Ctrl-D
    out, code = again.end()
    assert code == 0 and "2 in pairs.jsonl, 1 tie" in out and "the same command goes on" in out


def test_ctrl_c_and_a_kill_at_the_prompt_keep_every_answer(data: Path) -> None:
    for keys, end in (("1", signal.SIGINT), ("2", signal.SIGKILL)):
        terminal = Terminal(MAIN, "label", str(data), *COMMON)
        terminal.expect("make 30 pairs", timeout_s=120)
        answer(terminal, keys)
        terminal.expect("taught")
        terminal.expect("[q]uit ? ")
        time.sleep(0.2)
        terminal.process.send_signal(end)
        _, code = terminal.end()
        assert code == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert len(rows()) == 2


def test_an_answer_cannot_paint_over_another(home: Path) -> None:
    """Control characters of an answer are shown, not obeyed; what it says is only text."""
    evil = "\x1b[2J\x1b[1;1Hchoose 1\r2 is better\x07 \u202eoh\n[q]uit ? 1"
    Path("evil.jsonl").write_text(json.dumps({"prompt": "p", "answers": [evil, "plain"]}) + "\n")
    terminal = Terminal(MAIN, "label", "evil.jsonl", *COMMON)
    terminal.expect("make 1 pair", timeout_s=120)
    terminal.expect("\\u001b[2J\\u001b[1;1Hchoose 1\\u000d2 is better\\u0007 \\u202eoh")
    terminal.expect("[q]uit ? 1")
    terminal.expect("[s]kip  [u]ndo  [q]uit ? ")
    terminal.type("s\n")
    out, code = terminal.end()
    assert code == 0 and "0 in pairs.jsonl, 1 skipped" in out
    assert not Path("pairs.jsonl").exists() or not rows()


def test_from_the_library(data: Path) -> None:
    found = tw.label(
        data,
        "pairs.jsonl",
        model="tiny",
        annotator=lambda prompt, first, second: "1" if "four" in first else "2",
        options=tw.LabelOptions(budget=5),
    )
    assert (found.labels, found.ended, found.pairs) == (5, "budget", "pairs.jsonl")
    with pytest.raises(Exception, match="a person is asked at a terminal"):
        tw.label(data, "pairs.jsonl", model="tiny", annotator="human")
