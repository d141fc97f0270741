"""What is printed: the plan, the table, the live screen; each once, in a terminal and without one."""

from __future__ import annotations

import io
import threading
import time

import pytest
from rich.console import Console
from tests.stories import Story, space, task
from tests.studies import finished, told

from tunewright.cli import words
from tunewright.cli.closing import closing_lines, gain_words
from tunewright.cli.screen import Screen
from tunewright.cli.table import batch_rows, detail_lines
from tunewright.cli.view import View
from tunewright.domain import event as ev
from tunewright.domain.live import Live, Said
from tunewright.domain.outcome import Measurement
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.domain.trial_event import Measured, Progressed, Started
from tunewright.settings import Settings
from tunewright.tools.analysis.answer import answer


def plain(width: int = 140) -> Console:
    return Console(file=io.StringIO(), width=width, markup=False, highlight=False)


def terminal(width: int = 100) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=40, force_terminal=True, markup=False, highlight=False, no_color=True
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(screen: Screen, width: int = 120) -> str:
    console = plain(width)
    console.print(screen.render())
    return printed(console)


def test_the_plan_says_ranges_what_it_keeps_and_what_it_expects() -> None:
    story = Story(space=space(), task=task())
    view = View(plain(400))
    view.show(story.study, ["plan"])
    text = printed(view.console)
    assert 'plan         "route-01"' in text
    assert "adapter {lora, dora, ia3, full} x rank 2..64" in text
    assert "lr 1e-06..0.02 (per method)" in text
    assert "25, 75 steps on 100 rows; median pruning" in text
    assert "4 min wall for 2 confirmation seeds and the sealed test" in text
    assert "9 to 12 trials, 27 min wall, peak 3.1 GiB" in text
    assert "side by side" not in text
    options = {"slots": 2, "threads": 1, "memory_gib": 10.0}
    story.study.options = story.study.options.model_copy(update=options)
    wide = View(plain(400))
    wide.show(story.study, ["plan"])
    assert "slots     2 trials side by side, each with 1 thread and 10.0 GiB" in printed(wide.console)


def test_the_same_is_shown_once(batch: Story) -> None:
    view = View(plain())
    view.show(batch.study, ["t0", "t1", "t2"])
    once = printed(view.console)
    view.show(batch.study, ["t1", "t2"])
    assert printed(view.console) == once
    assert once.count("the yardstick") == 1


def test_the_table_has_what_a_reviewer_decides_by(batch: Story) -> None:
    rows = batch_rows(batch.study, ["t0", "t1", "t2"])
    forecast = batch.study.proposals["t0"].forecast
    price = (words.clock(forecast.seconds.expected), words.gib(forecast.memory_gib.expected))
    assert rows[0] == ("0", "default", "lora r8 lr 2e-4 2 epochs all-linear", "-", *price, "the yardstick")
    assert rows[1][0] == "1"
    assert rows[1][3] == "adapter, lr"
    assert rows[2][3] == "rank"


def test_details_name_the_binding_and_the_whole_recipe(batch: Story) -> None:
    text = "\n".join(row for line in detail_lines(batch.study, "t1") for row in line.rows())
    assert batch.study.proposals["t1"].binding[:12] in text
    assert "lr: 0.0004" in text
    assert "0:55 to 1:20" in text


def test_a_log_has_every_line_and_no_control_codes() -> None:
    view = View(plain())
    with view:
        for one in told().events:
            view(one)
    text = printed(view.console)
    assert "\x1b" not in text
    assert text.count("base model   accuracy") == 1
    assert "started: the yardstick" in text
    assert "memory fault at step 1" in text


def test_a_terminal_has_the_lines_and_a_screen_that_goes_away() -> None:
    view = View(terminal())
    with view:
        for one in told().events:
            view(one)
        time.sleep(0.4)
    text = printed(view.console)
    assert "budget" in text, "the screen was drawn"
    assert "started: the yardstick" not in text, "that is on the screen while it runs"
    assert "memory fault at step 1" in text


def test_still_keeps_the_screen_off_while_somebody_types() -> None:
    view = View(terminal())
    with view:
        view(Said("fetching the weights"))
        with view.still():
            before = printed(view.console)
            time.sleep(0.5)
            assert printed(view.console) == before
        time.sleep(0.5)
    assert "fetching the weights" in printed(view.console)


def test_drawing_while_events_arrive_neither_fails_nor_hangs() -> None:
    """The screen is drawn by a thread of its own; here another one draws as fast as it can."""
    view = View(terminal())
    failures: list[BaseException] = []
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            try:
                view._render()
            except BaseException as error:
                failures.append(error)

    drawer = threading.Thread(target=draw)
    with view:
        drawer.start()
        for _ in range(3):
            for one in told().events:
                view(one)
        done.set()
        drawer.join(10)
    assert not drawer.is_alive()
    assert not failures


def test_the_screen_follows_a_running_trial(batch: Story) -> None:
    batch.decide("t1")
    screen = Screen(Study())
    for one in batch.events:
        screen.take(one)
    now = time.time()
    screen.take(ev.JobLaunched(job="t1", role="trial", binding="x", reserved=batch.study.reserved(), at=now - 60))
    assert "#1 dora r8" in shown(screen)
    screen.take(Live("t1", Started(device="cpu", threads=2, at=now - 50, resumed_from=100)))
    screen.take(Live("t1", Progressed(step=150, of=250, loss=0.4137, memory_gib=2.9, at=now)))
    rung = Measurement(value=0.31, rows=100, step=125, seconds=1)
    screen.take(Live("t1", Measured(measurement=rung)))
    text = shown(screen)
    assert "150/250" in text
    assert "loss 0.414" in text
    assert "0.310 at 125" in text
    assert "2.9 GiB" in text
    assert "eta 1:40" in text, "the speed is that of this attempt: 50 steps in 50 s"
    assert "0 of 12 trials" not in text
    assert "1 of 12 trials" in text


def test_the_screen_keeps_the_last_three_decisions() -> None:
    screen = Screen(Study())
    for one in told().events:
        screen.take(one)
    assert len(screen.decisions) == 3
    assert "budget" in shown(screen)


def test_a_job_that_nobody_announced_is_shown_too() -> None:
    """A reproduction has no study around it."""
    screen = Screen(Study())
    screen.take(Live("t4", Progressed(step=3, of=10, loss=1.0)))
    assert "3/10" in shown(screen)


def test_the_closing_block_answers_first() -> None:
    study = finished()
    lines = closing_lines(study, summarise(study), Settings())
    assert [line.label for line in lines][:6] == ["winner", "test", "claims", "", "noise", "gain"]
    text = {line.label: line.text for line in lines}
    assert "better than base by" in text["claims"] and "2 fresh seeds" in text["claims"]
    assert "than #0 by" in lines[3].text or "apart from #0 by" in lines[3].text
    assert "corrected for 9 comparisons" in lines[3].text
    assert text["noise"].startswith("seeds move a score by 0.006") and "+-0.034" in text["noise"]
    assert "read once, sealed until now" in text["test"]
    assert study.finished is not None
    assert text["again"] == f"tunewright reproduce {study.runs[study.finished.winner or '']}"
    assert "2.46 MB" in text["use"]


def test_the_closing_block_and_the_report_say_what_the_winner_is_a_mix_of() -> None:
    names = ("first", "noise")
    story = Story(space=space(sources=names), task=task(sources=names))
    story.launch("base", role="base")
    story.complete("base", 0.1)
    plan = story.study.plan
    assert plan is not None
    recipe = plan.space.build({**plan.space.default(), "mix": [0.953, 0.047]})
    (job,) = story.propose([Idea(recipe=recipe, origin="sampler", reason="less noise")])
    story.run(job, 0.8)
    story.judge(job, "base")
    story.tell(ev.Finished(at=story.tick(), winner=job, reason="it is better"))
    text = {line.label: line.text for line in closing_lines(story.study, summarise(story.study), Settings())}
    assert text["mix"] == "first 0.95, noise 0.047"
    assert ("Mix", "first 0.95, noise 0.047") in [figure[:2] for figure in answer(story.study).figures]


def test_no_winner_is_said_in_the_same_place() -> None:
    study = finished(winner=False)
    lines = closing_lines(study, summarise(study), Settings())
    assert lines[0].label == "winner"
    assert lines[0].text.startswith("none: no trial is told apart from the base model")
    assert lines[1].label == "best run"
    labels = [line.label for line in lines]
    assert not {"again", "use", "test", "gain"} & set(labels)


def test_the_gain_adds_up() -> None:
    study = finished()
    assert study.finished is not None
    assert study.finished.winner is not None
    winner = study.jobs[study.finished.winner]
    total, _, shares = gain_words(study, winner).partition(" on val = ")
    parts = [float(part.split()[1]) for part in shares.split(", ")]
    assert sum(parts) == pytest.approx(float(total), abs=0.002)
