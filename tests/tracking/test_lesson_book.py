"""The memory of all studies: appended by several at once, torn by crashes, made anew from the journals."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.studies import told

from tunewright.domain import event as ev
from tunewright.domain.lesson import Check, Evidence, Lesson
from tunewright.domain.study import Study
from tunewright.tracking.lessons import LessonBook


def study(name: str, *claims: str) -> Study:
    """A finished study that has learned these."""
    story = told(name=name, trials=4)
    evidence = (Evidence(trial="t0", quantity="score", value=0.7),)
    events = [one for one in story.events if one.kind != "learned"]
    for claim in claims:
        lesson = Lesson(claim=claim, evidence=evidence, supporting=("t0",), confidence=0.5, study=name)
        events.append(ev.Learned(at=story.tick(), lesson=lesson))
    return Study(events)


def test_what_is_kept_is_read_again_and_kept_once(tmp_path: Path) -> None:
    book, one = LessonBook(tmp_path), study("a", "one", "two")
    assert (book.keep(one), book.keep(one), LessonBook(tmp_path).keep(one)) == (2, 0, 0)
    assert [kept.lesson.claim for kept in book.all()] == ["one", "two"]


def test_what_another_study_says_of_a_lesson_counts_once(tmp_path: Path) -> None:
    book, one, two = LessonBook(tmp_path), study("a", "one"), study("b")
    book.keep(one)
    id = one.lessons[0].id
    for trial, tag in (("t1", "helpful"), ("t2", "harmful"), ("t3", "contradicted")):
        two.fold(ev.Weighed.model_validate({"lesson": id, "trial": trial, "tag": tag}))
    book.keep(two)
    book.path.write_bytes(book.path.read_bytes() * 2)
    (kept,) = book.all()
    stands = kept.remembered
    assert (stands.helpful, stands.harmful, stands.contradicted, stands.confidence) == (3, 1, 1, 0.25)


def test_a_torn_line_is_forgiven_and_swallows_nothing(tmp_path: Path) -> None:
    book = LessonBook(tmp_path)
    book.keep(study("a", "one", "two"))
    book.path.write_bytes(book.path.read_bytes()[:-20])
    assert [kept.lesson.claim for kept in book.all()] == ["one"]
    LessonBook(tmp_path).keep(study("b", "three"))
    LessonBook(tmp_path).keep(study("a", "one", "two"))
    assert {kept.lesson.claim for kept in book.all()} == {"one", "two", "three"}


def test_several_studies_at_once(tmp_path: Path) -> None:
    studies = [study(f"s{number}", *(f"claim {number} {at}" for at in range(5))) for number in range(6)]
    threads = [threading.Thread(target=LessonBook(tmp_path).keep, args=(one,)) for one in studies]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(LessonBook(tmp_path).all()) == 30


def test_it_is_made_anew_from_the_journals(tmp_path: Path) -> None:
    book, studies = LessonBook(tmp_path), [study("a", "one"), study("b", "two")]
    for one in studies:
        book.keep(one)
    before = [kept.remembered for kept in book.all()]
    book.path.write_text("nonsense\n")
    assert book.rebuild(studies) == 2
    assert [kept.remembered for kept in book.all()] == before


def test_a_later_study_recalls_what_fits_its_task(tmp_path: Path) -> None:
    book, later = LessonBook(tmp_path), study("later")
    assert book.recall(later) == ()
    book.keep(study("a", "one"))
    (found,) = book.recall(later)
    assert found.lesson.study == "a" and found.likeness == 1.0
    assert book.recall(study("a", "one")) == (), "its own are its own"
    doubted = study("b")
    for trial in ("t1", "t2", "t3"):
        doubted.fold(ev.Weighed(lesson=found.id, trial=trial, tag="contradicted"))
    book.keep(doubted)
    assert book.recall(later) == (), "nobody is sure of it any more"


def test_what_several_studies_have_found_is_recalled_once(tmp_path: Path) -> None:
    """By what they claim, whatever the scores; the one that is surest."""
    book, evidence = LessonBook(tmp_path), (Evidence(trial="t0", quantity="score", value=0.7),)
    for name, better, sure in (("a", "dora", 0.5), ("b", "dora", 0.6), ("c", "ia3", 0.5)):
        lesson = Lesson(
            claim=f"{better} beats lora in {name}", evidence=evidence, supporting=("t0",), confidence=sure, study=name,
            check=Check(rule="beats", about={"adapter": better, "other": "lora"}),
        )  # fmt: skip
        found = study(name)
        found.fold(ev.Learned(lesson=lesson))
        book.keep(found)
    book.keep(study("d", "one", "another"))
    recalled = [one.lesson.claim for one in book.recall(study("later"))]
    assert recalled[0] == "dora beats lora in b"
    assert sorted(recalled) == ["another", "dora beats lora in b", "ia3 beats lora in c", "one"]
