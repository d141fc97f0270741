"""The report tells the truth of a study, whatever its end, and nothing in the data can break out of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.stories import Story, planned, play, small_space, space, surface, task
from tests.studies import finished

from tunewright.domain import event as ev
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.domain.task import Goal
from tunewright.search.random import RandomStrategy
from tunewright.tools.analysis.report import write_report

EVIL = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>{{ 7 * 7 }}|*_`\n# heading'
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page: its visible words, its elements, every address, and whether its elements close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "xlink:href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def report(study: Study, folder: Path, **importance: float) -> tuple[str, Page]:
    markdown, html = write_report(study, folder, importance=importance, facts={"isolates": "memory"})
    return markdown.read_text(), Page(html.read_text())


@pytest.fixture(scope="module")
def won(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, str, Page]:
    folder = tmp_path_factory.mktemp("won")
    study = finished(folder, trials=9)
    return study, *report(study, folder, lr=0.7, adapter=0.3)


def test_the_answer_comes_first(won: tuple[Study, str, Page]) -> None:
    study, markdown, page = won
    test, base = study.jobs["test"].score, study.jobs["test-base"].score
    headline = f"t1 wins: accuracy {test:.3f} on the sealed test, the base model {base:.3f}"
    run = study.runs["t1"]
    for text in (markdown, page.text):
        assert headline in text.replace("\\", "")
        assert (
            text.index("wins") < text.index(f"tunewright reproduce {run}") < text.replace("##", "").index("Every run")
        )


def test_both_hold_every_run_with_its_verdict_and_reason(won: tuple[Study, str, Page]) -> None:
    study, markdown, page = won
    plain = re.sub(r"\\(.)", r"\1", markdown)
    for text in (plain, page.text):
        for job in study.jobs.values():
            assert f" {job.id} " in text
            assert job.score is None or f"{job.score:.3f}" in text
        for said in (
            "better than t0 by",
            "0.31 at step 75 is below the median 0.52 of 4 trials at that step",
            "memory fault at step 1: 7.9 of 6.0 GiB",
            "full fine-tuning was tried last month",
            "sampler, edited",
            "the yardstick: every setting at its default",
            "a learning rate near 6e-4 beats",
            "data/messages.jsonl line 812",
            "Message",
            "70 %",
            "isolates",
            "The search ended: what is left of the budget is kept for the finish",
        ):
            assert said in text, said


def test_the_page_needs_no_network_and_runs_nothing(won: tuple[Study, str, Page]) -> None:
    _, _, page = won
    assert page.addresses == []
    assert page.handlers == []
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(page.tags)


def test_every_chart_can_be_read_aloud(won: tuple[Study, str, Page]) -> None:
    _, _, page = won
    assert page.tags.count("svg") == 3
    assert page.tags.count("desc") == 3
    assert "t1: 0.8" in page.text, "each mark tells itself"


def test_a_study_without_a_winner_says_so_in_the_same_place(tmp_path: Path) -> None:
    study = finished(tmp_path, winner=False)
    markdown, page = report(study, tmp_path)
    for text in (markdown, page.text):
        assert text.index("There is no winner") < text.index("no trial is told apart from the base model")
        assert "wins" not in text
        assert "export" not in text
        assert "cannot tell one setting from another" in text


@pytest.mark.parametrize("cut", [1, 3, 5, 7, 9, 12, 20, 33])
def test_a_report_can_be_made_at_any_moment(tmp_path: Path, cut: int) -> None:
    """Also before there is a task, a plan or a trial, and while trials run."""
    story = Story(space=space(), task=task())
    story.launch("base", role="base")
    story.complete("base", 0.1)
    play(story, RandomStrategy(0).ask, trials=4)
    story.propose([planned(story)], approve=False)
    story.tell(ev.ReviewAsked(at=story.tick(), targets=("t4",)))
    events = story.events[:cut] if cut < 33 else story.events
    markdown, page = report(Study(events), tmp_path)
    for text in (markdown, page.text):
        assert "The study has not ended" in text
        assert "go on" in text


def test_files_that_are_gone_leave_a_line_instead(tmp_path: Path) -> None:
    _, page = report(finished(), tmp_path / "moved")
    assert "No scored items are on disk." in page.text
    assert "t1 wins" in page.text


def test_torn_files_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    study = finished(tmp_path)
    for name in ("items.jsonl", "curve.jsonl"):
        path = tmp_path / "trials" / "t1" / "out" / name
        path.write_bytes(path.read_bytes()[:-9])
    (tmp_path / "data" / "val.jsonl").write_text("no json\n")
    _, page = report(study, tmp_path)
    assert "of 303 validation items are wrong" in page.text


def test_the_sealed_test_is_never_opened(tmp_path: Path) -> None:
    study = finished(tmp_path)
    (tmp_path / "sealed").mkdir()
    (tmp_path / "sealed" / "test.jsonl").mkdir()  # reading it as a file would raise
    (tmp_path / "trials" / "test" / "out" / "items.jsonl").write_text("SECRET\n")
    markdown, page = report(study, tmp_path)
    assert "SECRET" not in markdown + page.text


def test_nothing_in_the_data_breaks_out(tmp_path: Path) -> None:
    study = finished(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "data" / "val.jsonl").read_text().splitlines()]
    (tmp_path / "data" / "val.jsonl").write_text("".join(json.dumps({**row, "input": EVIL}) + "\n" for row in rows))
    items = tmp_path / "trials" / "t1" / "out" / "items.jsonl"
    wrong = [{**json.loads(line), "prediction": EVIL, "target": EVIL + "!"} for line in items.read_text().splitlines()]
    items.write_text("".join(json.dumps(item) + "\n" for item in wrong))
    study.fold(ev.Warned(message=EVIL))
    markdown, page = report(study, tmp_path)
    assert not {"script", "img"} & set(page.tags)
    assert page.handlers == page.addresses == []
    assert "<script>alert(1)</script>" in page.text, "shown, not run"
    assert "{{ 7 * 7 }}" in page.text
    assert "<script>" not in markdown
    assert "\n# heading" not in markdown
    rows_of_table = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (4, 5, 6, 14) for line in rows_of_table)


def test_generation_shows_the_worst_items_where_less_is_better(tmp_path: Path) -> None:
    written = task(direction="min").model_copy(update={"format": "completion", "labels": ()})
    story = Story(space=small_space(), task=written)
    story.run("t0", 0.5) if story.propose(RandomStrategy(0).ask(story.study, 1)) else None
    out = tmp_path / "trials" / "t0" / "out"
    out.mkdir(parents=True)
    items = [{"id": f"{i:016x}", "score": i / 10, "prediction": f"said {i}", "target": "wanted"} for i in range(12)]
    (out / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    _, page = report(story.study, tmp_path)
    assert "said 11" in page.text
    assert "said 1 " not in page.text
    assert "wrong" not in page.text.split("Where t0 is still wrong")[1].split("What each")[0]


def test_hundreds_of_trials_make_a_page_of_reasonable_size(tmp_path: Path) -> None:
    story = Story(space=space(), task=task())
    play(story, RandomStrategy(0).ask, trials=200, batch=50, score=surface)
    _, html = write_report(story.study, tmp_path, importance={})
    assert html.stat().st_size < 800_000


def test_writing_again_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    study = finished()
    first = write_report(study, tmp_path / "s", importance={})
    before = [path.read_bytes() for path in first]
    assert write_report(study, tmp_path / "s", importance={}) == first
    assert [path.read_bytes() for path in first] == before
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["report.html", "report.md"]


def test_claims_and_the_noise_floor_are_told_and_verdicts_of_the_search_are_said_to_be_no_claims(
    won: tuple[Study, str, Page],
) -> None:
    study, markdown, page = won
    winner = study.finished.winner if study.finished else ""
    for text in (markdown.replace("\\", ""), page.text):
        assert f"{winner} is better than base by" in text and "corrected for 9 comparisons" in text
        assert "seeds move a score by 0.006 (standard deviation, 2 repeats)" in text
        assert "corrected for no other, and names no winner" in text
        assert "No other run beats these" not in text, "the brief has one goal"


def test_the_front_of_several_goals_is_a_table(tmp_path: Path) -> None:
    wanted = task().model_copy(update={"goals": (Goal(quantity="adapter_bytes"),)})
    story = Story(space=space(), task=wanted)
    for size, score in ((2_000_000, 0.8), (500_000, 0.8), (100_000, 0.7), (200_000, 0.6)):
        (job,) = story.propose([planned(story)])
        story.run(job, score, adapter_bytes=size)
    assert [(one.trial, one.measured) for one in summarise(story.study).front] == [
        ("t1", {"adapter_bytes": 500_000}),
        ("t2", {"adapter_bytes": 100_000}),
    ]
    markdown, page = report(story.study, tmp_path)
    assert "No other run beats these in all goals" in page.text
    assert re.search(r"\| t1 \|.*\| 0\.800 \| 500 kB \|", markdown)
    assert not re.search(r"\| t3 \|.*\| 200 kB \| *\n", markdown)
