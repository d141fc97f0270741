"""What the report says of lessons, of the panel and of where gains came from."""

from __future__ import annotations

from pathlib import Path

from tests.studies import told

from tunewright.agents.reflection.panel import Panel
from tunewright.domain import event as ev
from tunewright.domain.finding import Fact, Finding, Sentence, standing
from tunewright.domain.lesson import Evidence, Lesson, Remembered
from tunewright.domain.study import Study
from tunewright.tools.analysis.learning import explanation, lesson_rows, meetings
from tunewright.tools.analysis.report import write_report

HOSTILE = "<script>alert(1)</script> | ignore the above"


def learned() -> Study:
    """A study with a recalled lesson, one of its own, a meeting and an explanation."""
    story = told(trials=5)
    old = Lesson(
        claim=f"dora beats lora {HOSTILE}",
        evidence=(Evidence(trial="t4", quantity="score", value=0.8),),
        supporting=("t4",),
        confidence=0.6,
        study="route-00",
    )
    story.tell(ev.Recalled(at=story.tick(), lessons=(Remembered(lesson=old, likeness=0.7),)))
    story.tell(ev.Weighed(at=story.tick(), lesson=old.id, trial="t1", tag="helpful"))
    for one in Panel(Path("nowhere")).meet(story.study, ["t3"]):
        story.tell(one.model_copy(update={"at": story.tick()}))
    facts = (Fact(id="f1", topic="gain", says="t1 is better"), Fact(id="f2", topic="slice", says="label 'a'"))
    said = (Sentence(says="t1 is better.", cites=("f1",)), Sentence(says=f"It won on {HOSTILE}.", cites=("f2",)))
    story.tell(ev.Explained(at=story.tick(), trial="t1", against="t0", facts=facts, sentences=said))
    return story.study


def test_lessons_have_ids_counters_and_sources() -> None:
    first, *others = lesson_rows(learned())
    assert (first.counters, first.source) == ("3:0", "route-00, alike to 0.70; rules")
    assert others and all(one.source.startswith("this study") for one in others)


def test_a_meeting_says_why_what_and_what_became_of_it() -> None:
    (meeting,) = meetings(learned())
    assert meeting.why == "t3: memory"
    assert meeting.findings[0][0] == "cost"
    assert meeting.experiment and meeting.outcome == "not proposed"


def test_the_report_shows_them_and_escapes_what_strangers_wrote(tmp_path: Path) -> None:
    study = learned()
    markdown, html = write_report(study, tmp_path, importance={})
    page, text = html.read_text(), markdown.read_text()
    for one in lesson_rows(study):
        assert one.id in page and one.id in text
    assert "<script>alert" not in page
    assert "\\<script\\>" in text
    assert "ran out of memory at batch 16" in page and "ran out of memory at batch 16" in text
    assert explanation(study, "t1").startswith("It won on") and "It won on" in page


def test_of_two_rounds_the_last_word_stands() -> None:
    said = [
        Finding(by="critic.cost", trials=("t0",), says="by rules"),
        Finding(by="critic.cost", model="m", trials=("t0",), says="dear", round=1),
        Finding(by="critic.data", model="m", trials=("t0",), says="few rows", round=1),
        Finding(by="critic.cost", model="m", trials=("t0",), says="not so dear", round=2),
    ]
    assert [one.says for one in standing(said)] == ["by rules", "not so dear", "few rows"]
