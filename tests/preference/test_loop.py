"""The loop over its journal: stopped anywhere it goes on as if it had not been; what was edited is not overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.domain.errors import AnnotatorError, DataError, UsageError
from tunewright.tools.preference.annotator import Question, Reply
from tunewright.tools.preference.belief import Belief
from tunewright.tools.preference.candidate import Candidates
from tunewright.tools.preference.journal import Began, Journal
from tunewright.tools.preference.loop import Loop, Taught
from tunewright.tools.preference.options import Course
from tunewright.tools.preference.pair_file import PairFile
from tunewright.tools.preference.pool import Pool
from tunewright.tools.preference.store import Store, check_origin, folder_of

CANDIDATES = [Candidates(prompt=f"p{n}", answers=(f"{n}a", f"{n}b", f"{n}c")) for n in range(8)]
WEIGHTS = np.arange(1.0, 6.0)
FEATURES = np.random.default_rng(0).standard_normal((24, 5)) / 3
REWARD = {text: FEATURES[n] @ WEIGHTS for n, text in enumerate(t for one in CANDIDATES for t in one.answers)}


class Judge:
    """Prefers by the true reward; says what it is told to instead for the first questions."""

    name = "judge"

    def __init__(self, *script: str, stop_after: int | None = None) -> None:
        self.script, self.stop_after = list(script), stop_after
        self.asked: list[Question] = []

    def answer(self, question: Question) -> Reply:
        self.asked.append(question)
        if self.stop_after is not None and len(self.asked) > self.stop_after:
            raise KeyboardInterrupt
        if self.script:
            return Reply(self.script.pop(0))  # type: ignore[arg-type]
        return Reply("1" if REWARD[question.first] > REWARD[question.second] else "2")


@contextmanager
def opened(folder: Path, **course: Any) -> Iterator[Loop]:
    pairs = folder / "pairs.jsonl"
    with Journal(folder_of(pairs)) as journal:
        if journal.history.began is None:
            journal.append(Began(at="now", origin={}, candidates=Store(folder_of(pairs)).freeze(CANDIDATES)))
        pool = Pool.of(FEATURES, [3] * 8)
        file = PairFile(pairs, [one.prompt for one in CANDIDATES for _ in "abc"], list(REWARD))
        yield Loop(journal, file, CANDIDATES, Belief(pool, None, journal.history.labels), Course(**course))


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "pairs.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{key: value for key, value in row.items() if key != "at"} for row in found]


def test_the_rows_say_what_was_chosen_by_whom_and_what_was_believed(tmp_path: Path) -> None:
    taught: list[Taught] = []
    with opened(tmp_path, budget=12) as loop:
        assert loop.run(Judge(), taught.append) == "budget"
    found = rows(tmp_path)
    assert len(found) == len(taught) == 12
    for row, one in zip(found, taught, strict=True):
        assert REWARD[row["chosen"]] > REWARD[row["rejected"]]
        assert row["prompt"] == f"p{row['chosen'][0]}" == f"p{row['rejected'][0]}"
        assert row["by"] == "judge" and row["bits"] > 0
        assert (row["posterior"]["probability"] > 0.5) == (row["posterior"]["mean"] > 0)
        assert one.answered.foreseen in (None, row["posterior"]["probability"] > 0.5)
    assert found[0]["posterior"]["probability"] == 0.5, "nothing is believed before the first label"
    standing = taught[-1].standing
    assert (standing.labels, standing.ties, standing.left) == (12, 0, 12)
    assert standing.sure is not None and 0.5 < standing.sure < 1
    assert standing.bits == pytest.approx(sum(row["bits"] for row in found))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("acquire", ["thompson", "bald", "random"])
def test_stopped_and_taken_up_again_it_is_the_same(tmp_path: Path, batch: int, acquire: str) -> None:
    """Interrupted after each number of answers, also in the middle of a batch."""
    course = {"batch": batch, "acquire": acquire, "budget": 11, "seed": 4}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with opened(whole, **course) as loop:
        loop.run(Judge("tie", "skip"))
    script = ["tie", "skip"]
    for _ in range(40):
        with opened(parts, **course) as loop:
            try:
                if loop.run(Judge(*script[:1], stop_after=1)) == "budget":
                    break
            except KeyboardInterrupt:
                script = script[1:]
    assert rows(parts) == rows(whole)
    assert len(rows(whole)) == 10


def test_no_pair_is_asked_for_twice_and_then_it_ends(tmp_path: Path) -> None:
    judge = Judge("skip", "tie")
    with opened(tmp_path) as loop:
        assert loop.run(judge) == "exhausted"
        assert loop.standing().sure is None
    assert len({frozenset((one.first, one.second)) for one in judge.asked}) == len(judge.asked) == 24
    assert len(rows(tmp_path)) == 22
    with opened(tmp_path) as loop:
        assert loop.run(judge) == "exhausted"
    assert len(judge.asked) == 24


def test_which_answer_is_first_is_drawn(tmp_path: Path) -> None:
    judge = Judge()
    with opened(tmp_path) as loop:
        loop.run(judge)
    turned = sum(one.first > one.second for one in judge.asked)
    assert 4 <= turned <= 20


def test_taking_back_takes_the_row_and_asks_again(tmp_path: Path) -> None:
    judge, taught = Judge("1", "1", "undo", "undo", "2", "2", "quit"), list[Taught]()
    with opened(tmp_path) as loop:
        assert loop.run(judge, taught.append) == "stopped"
    assert [one.undone for one in taught] == [False, False, True, True, False, False]
    first, second = judge.asked[0], judge.asked[1]
    assert judge.asked[4] == first and not judge.asked[4].undoable
    assert [row["chosen"] for row in rows(tmp_path)] == [first.second, second.second]
    straight = tmp_path / "straight"
    with opened(straight) as loop:
        loop.run(Judge("2", "2", "quit"))
    assert rows(tmp_path) == rows(straight), "what was taken back has left no trace in what is believed"


def test_taking_back_reaches_into_the_session_before_and_spares_ties_and_skips(tmp_path: Path) -> None:
    with opened(tmp_path) as loop:
        loop.run(Judge("1", "tie", "skip", "quit"))
    assert len(rows(tmp_path)) == 1
    with opened(tmp_path) as loop:
        loop.run(Judge("undo", "undo", "quit"))
        assert loop.standing().labels == 1
    assert len(rows(tmp_path)) == 1
    with opened(tmp_path) as loop:
        loop.run(Judge("undo", "quit"))
        assert loop.standing().labels == 0
    assert rows(tmp_path) == []


def test_who_takes_back_what_is_not_there_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as loop, pytest.raises(AnnotatorError, match="there is none"):
        loop.run(Judge("undo"))


@pytest.mark.parametrize("lost", [1, 20, 10**6])
def test_a_crash_between_journal_and_file_is_made_good(tmp_path: Path, lost: int) -> None:
    """Part of the last row, or the whole file, is missing."""
    with opened(tmp_path, budget=5) as loop:
        loop.run(Judge())
    path, before = tmp_path / "pairs.jsonl", rows(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - lost)])
    with opened(tmp_path):
        pass
    assert path.read_bytes() == data
    assert rows(tmp_path) == before


def test_a_crash_between_taking_back_and_the_file_is_made_good(tmp_path: Path) -> None:
    with opened(tmp_path, budget=3) as loop:
        loop.run(Judge())
    with opened(tmp_path) as loop:
        before = (tmp_path / "pairs.jsonl").read_bytes()
        loop.run(Judge("undo", "quit"))
    after = (tmp_path / "pairs.jsonl").read_bytes()
    assert len(after) < len(before)
    (tmp_path / "pairs.jsonl").write_bytes(before)
    with opened(tmp_path):
        assert (tmp_path / "pairs.jsonl").read_bytes() == after


def _first_row_out(path: Path) -> None:
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


def _last_rows_out(path: Path) -> None:
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-3]) + b"\n")


def _row_more(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"prompt": "p", "chosen": "a", "rejected": "b"}\n')


@pytest.mark.parametrize("edit", [_first_row_out, _last_rows_out, _row_more])
def test_a_file_that_was_edited_is_left_alone(tmp_path: Path, edit: Callable[[Path], None]) -> None:
    with opened(tmp_path, budget=4) as loop:
        loop.run(Judge())
    path = tmp_path / "pairs.jsonl"
    edit(path)
    edited = path.read_bytes()
    with pytest.raises(UsageError, match="not as it was left"), opened(tmp_path):
        pass
    assert path.read_bytes() == edited


def test_a_torn_line_of_the_journal_was_never_answered(tmp_path: Path) -> None:
    with opened(tmp_path, budget=4) as loop:
        loop.run(Judge())
    journal = tmp_path / "pairs.session" / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind":"answered","at":"2026')
    with opened(tmp_path, budget=4) as loop:
        assert loop.run(Judge()) == "budget"
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("line", [b"not json\n", b'{"kind":"undone","at":"x"}\n', b'{"kind":"guessed"}\n'])
def test_a_damaged_journal_is_named_by_line(tmp_path: Path, line: bytes) -> None:
    journal = tmp_path / "pairs.session" / "journal.jsonl"
    with opened(tmp_path):
        pass
    journal.write_bytes(journal.read_bytes() + line)
    with pytest.raises(DataError, match=r"journal\.jsonl line 2"), opened(tmp_path):
        pass


def test_two_cannot_label_at_once(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(UsageError, match="in use"), opened(tmp_path):
        pass


def test_nothing_begun_leaves_nothing_behind(tmp_path: Path) -> None:
    with Journal(tmp_path / "x.session"):
        pass
    assert not (tmp_path / "x.session").exists()


def test_candidates_that_changed_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    store = Store(tmp_path / "pairs.session")
    with Journal(tmp_path / "pairs.session") as journal:
        began = journal.history.began
    assert began is not None and store.candidates(began) == tuple(CANDIDATES)
    with (tmp_path / "pairs.session" / "candidates.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(DataError, match="has changed since"):
        store.candidates(began)


def test_features_are_made_once_and_again_where_they_are_torn(tmp_path: Path) -> None:
    made = 0

    def make() -> Any:
        nonlocal made
        made += 1
        return np.full((2, 2), float(made))

    store = Store(tmp_path)
    assert store.features({"model": "a"}, make)[0, 0] == store.features({"model": "a"}, make)[0, 0] == 1
    assert store.features({"model": "b"}, make)[0, 0] == 2
    for file in tmp_path.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:90])
    assert store.features({"model": "a"}, make)[0, 0] == 3


def test_another_origin_is_another_session() -> None:
    began = Began(at="now", origin={"data": "d", "samples": "4"}, candidates="c")
    check_origin(began, {"samples": "4", "data": "d"}, Path("p.jsonl"))
    for origin in ({"data": "e", "samples": "4"}, {"data": "d", "samples": "5"}, {"data": "d"}):
        with pytest.raises(UsageError, match="begun with another"):
            check_origin(began, origin, Path("p.jsonl"))


@pytest.mark.parametrize("name", ["pairs.txt", "pairs", "folder.jsonl"])
def test_where_pairs_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UsageError):
        folder_of(tmp_path / name)


def test_the_prior_chosen_from_labels_does_not_depend_on_when_they_came() -> None:
    """A belief that grew label by label is the one that is given them all, also after one was taken back."""
    pool = Pool.of(FEATURES, [3] * 8)
    chance = np.random.default_rng(2)
    labels = [(int(a), int(b), float(a % 2)) for a, b in chance.integers(0, 24, (60, 2)) if a != b]
    grown = Belief(pool)
    for label in labels:
        grown.learn(label)
    grown.learn((0, 1, 1.0))
    grown.forget()
    whole = Belief(pool, None, labels)
    assert grown.lam == whole.lam
    assert grown.posterior.mean == pytest.approx(whole.posterior.mean, abs=1e-12)
