"""The journal: one writer, nothing lost, nothing half read."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.stories import Story, small_space, task

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import StudyBusyError, TrackingError, UnknownNameError, UsageError
from tunewright.domain.outcome import Failed, Fault, Measurement
from tunewright.tracking.journal import Journal, events, holder, read_study, studies


def launched(job: str = "t0") -> ev.JobLaunched:
    return ev.JobLaunched(job=job, role="trial", binding="0" * 64, reserved=Cost(wall_s=10))


def measured(value: float, step: int, job: str = "t0") -> ev.JobMeasured:
    return ev.JobMeasured(job=job, measurement=Measurement(value=value, rows=3, step=step, seconds=0.1))


def written(folder: Path, count: int = 3) -> Path:
    """A journal of a launch and ``count`` rungs."""
    with Journal(folder) as journal:
        journal.append(launched())
        for step in range(count):
            journal.append(measured(0.5, step))
    return folder / "journal.jsonl"


class TestWriting:
    def test_a_study_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        story = Story(space=small_space(), task=task())
        job = story.propose([_idea(story)])[0]
        story.run(job, 0.7)
        with Journal(tmp_path / "route-01") as journal:
            for one in story.events:
                journal.append(one)
            live = journal.study
        again = read_study(tmp_path / "route-01")
        assert again.name == live.name == "route-01"
        assert again.jobs == live.jobs and again.proposals == live.proposals and again.plan == live.plan
        assert again.jobs[job].score == 0.7 and again.spent(2e9) == live.spent(2e9) == story.study.spent(2e9)
        assert list(events(tmp_path / "route-01")[0]) == [
            ev.event.validate_json(o.model_dump_json()) for o in story.events
        ]

    def test_an_event_is_on_disk_when_append_returns(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "s") as journal:
            journal.append(launched())
            assert "job-launched" in (tmp_path / "s" / "journal.jsonl").read_text()
            assert read_study(tmp_path / "s").jobs.keys() == {"t0"}

    def test_it_goes_on_where_it_ended(self, tmp_path: Path) -> None:
        written(tmp_path / "s")
        with Journal(tmp_path / "s") as journal:
            assert len(journal.study.jobs["t0"].measurements) == 3
            journal.append(measured(0.9, 7))
        assert read_study(tmp_path / "s").jobs["t0"].measurements[-1].value == 0.9

    def test_not_a_number_comes_back_as_it_went(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "s") as journal:
            journal.append(launched())
            journal.append(measured(float("nan"), 1))
            journal.append(measured(float("inf"), 2))
        first, second = read_study(tmp_path / "s").jobs["t0"].measurements
        assert first.value != first.value and second.value == float("inf")

    def test_line_breaks_in_a_message_do_not_break_lines(self, tmp_path: Path) -> None:
        said = "first\nsecond\r\u2028third\x85 ü \U0001f600"
        with Journal(tmp_path / "s") as journal:
            journal.append(ev.Warned(message=said))
            journal.append(ev.Warned(message="next"))
        assert read_study(tmp_path / "s").warnings == [said, "next"]

    def test_an_event_out_of_order_leaves_the_file_readable(self, tmp_path: Path) -> None:
        path = written(tmp_path / "s")
        before = path.read_bytes()
        with Journal(tmp_path / "s") as journal:
            with pytest.raises(KeyError):
                journal.append(measured(0.5, 1, job="t9"))
            assert path.read_bytes() == before
            journal.append(measured(0.6, 9))
        assert len(read_study(tmp_path / "s").jobs["t0"].measurements) == 4

    def test_an_event_that_cannot_be_read_back_is_not_written(self, tmp_path: Path) -> None:
        path = written(tmp_path / "s")
        before = path.read_bytes()
        fault = Fault(kind="infra", message="x").model_copy(update={"message": ""})
        bad = ev.JobEnded(job="t0", outcome=Failed(fault=Fault(kind="infra", message="x"), cost=Cost()))
        bad = bad.model_copy(update={"outcome": bad.outcome.model_copy(update={"fault": fault})})
        with Journal(tmp_path / "s") as journal, pytest.raises(ValidationError):
            journal.append(bad)
        assert path.read_bytes() == before

    def test_after_the_end_nothing_is_taken(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "s") as journal:
            pass
        with pytest.raises(TrackingError, match="is not open"):
            journal.append(launched())

    def test_a_full_disk_leaves_whole_lines(self, tmp_path: Path) -> None:
        import resource

        path = written(tmp_path / "s")
        before = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Journal(tmp_path / "s") as journal:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))  # room for half a line
            try:
                with pytest.raises(TrackingError, match=r"could not write to .*journal\.jsonl"):
                    journal.append(measured(0.5, 4))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, ignored)
            assert path.read_bytes() == before
            journal.append(measured(0.5, 5))
        assert len(read_study(tmp_path / "s").jobs["t0"].measurements) == 4


@cache
def whole_journal() -> bytes:
    """Written once: each of its lines waits for the disk."""
    with tempfile.TemporaryDirectory() as scratch:
        return written(Path(scratch) / "s", count=4).read_bytes()


class TestDamage:
    @settings(max_examples=40, deadline=None)
    @given(st.floats(0, 1))
    def test_torn_anywhere_the_whole_lines_survive(self, share: float) -> None:
        whole = whole_journal()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "s" / "journal.jsonl"
            path.parent.mkdir()
            cut = round(share * len(whole))
            path.write_bytes(whole[:cut])
            lines = whole[:cut].count(b"\n")
            assert len(events(path.parent)[0]) == lines
            with Journal(path.parent) as journal:
                assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:lines])
                journal.append(launched())
                journal.append(measured(0.9, 99))
            assert read_study(path.parent).jobs["t0"].measurements[-1].value == 0.9

    def test_zeros_after_a_power_cut_are_a_torn_line(self, tmp_path: Path) -> None:
        path = written(tmp_path / "s")
        path.write_bytes(path.read_bytes() + bytes(300))
        assert len(events(tmp_path / "s")[0]) == 4
        with Journal(tmp_path / "s") as journal:
            journal.append(measured(0.9, 9))
        assert len(events(tmp_path / "s")[0]) == 5

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (b'{"kind": "job-measured", "job":', "Invalid JSON"),
            (b'{"kind": "tea-break"}', "tea-break"),
            (b'{"kind": "job-launched", "job": "t1"}', "role"),
            (b"", "Invalid JSON"),
            (b"\xff\xfe", "Invalid JSON"),
        ],
    )
    def test_any_other_bad_line_is_named(self, tmp_path: Path, line: bytes, why: str) -> None:
        path = written(tmp_path / "s")
        first, *rest = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(first + line + b"\n" + b"".join(rest))
        before = path.read_bytes()
        for reading in (lambda: read_study(tmp_path / "s"), lambda: Journal(tmp_path / "s").__enter__()):
            with pytest.raises(TrackingError, match=r"journal\.jsonl line 2 is no event") as told:
                reading()
            assert why in told.value.message and "\n" not in told.value.message
        assert path.read_bytes() == before
        assert holder(tmp_path / "s") is None  # a writer that could not read gives the lock back

    def test_a_rung_of_a_job_that_was_never_launched_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path / "s")
        with path.open("a") as file:
            file.write(measured(0.5, 1, job="t9").model_dump_json() + "\n")
        with pytest.raises(TrackingError, match=r"line 5 .*'t9'"):
            read_study(tmp_path / "s")


class TestOneWriter:
    def test_a_second_one_is_told_who_and_since_when(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "route-01"), pytest.raises(StudyBusyError) as told:
            Journal(tmp_path / "route-01").__enter__()
        now = time.strftime("%H:")
        assert told.value.message.startswith(f"study route-01 is being run by process {os.getpid()} since {now}")
        assert told.value.hint == "watch it: tunewright status route-01" and told.value.exit_code == 2

    def test_readers_see_the_holder_and_do_not_disturb(self, tmp_path: Path) -> None:
        folder = tmp_path / "s"
        assert holder(folder) is None
        with Journal(folder) as journal:
            for _ in range(20):
                found = holder(folder)
                assert found is not None and found.pid == os.getpid() and found.host == socket.gethostname()
                journal.append(ev.Warned(message="still here"))
            assert len(read_study(folder).warnings) == 20
        assert holder(folder) is None

    def test_an_error_inside_gives_the_lock_back(self, tmp_path: Path) -> None:
        with contextlib.suppress(ZeroDivisionError), Journal(tmp_path / "s"):
            raise ZeroDivisionError
        with Journal(tmp_path / "s"):
            pass

    def test_a_killed_writer_leaves_no_lock_and_no_lost_event(self, tmp_path: Path) -> None:
        code = """
import sys
from pathlib import Path
from tunewright.domain import event as ev
from tunewright.tracking.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    for number in range(100000):
        journal.append(ev.Warned(message=str(number)))
        print(number, flush=True)
"""
        folder = tmp_path / "s"
        with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(50)]
            found = holder(folder)
            assert found is not None and found.pid == writer.pid
            with pytest.raises(StudyBusyError, match=f"process {writer.pid} since"):
                Journal(folder).__enter__()
            writer.kill()
            said += writer.stdout.readlines()
        with Journal(folder) as journal:
            kept = len(journal.study.warnings)
            assert kept >= int(said[-1].strip() or said[-2]) + 1  # all that was acknowledged
            assert journal.study.warnings == [str(number) for number in range(kept)]


class TestReading:
    def test_following_gives_each_event_once(self, tmp_path: Path) -> None:
        folder, seen, offset = tmp_path / "s", list[ev.Event](), 0
        with Journal(folder) as journal:
            for step in range(5):
                journal.append(launched(f"t{step}"))
                found, offset = events(folder, offset)
                seen += found
                assert events(folder, offset) == ([], offset)
        assert [one.job for one in seen if isinstance(one, ev.JobLaunched)] == [f"t{n}" for n in range(5)]

    def test_a_line_half_written_waits_for_its_end(self, tmp_path: Path) -> None:
        path = written(tmp_path / "s")
        _, offset = events(tmp_path / "s")
        line = measured(0.9, 9).model_dump_json() + "\n"
        with path.open("a") as file:
            file.write(line[:30])
            file.flush()
            assert events(tmp_path / "s", offset) == ([], offset)
            file.write(line[30:])
        found, after = events(tmp_path / "s", offset)
        assert len(found) == 1 and after == offset + len(line)

    def test_an_unknown_study_lists_what_there_is(self, tmp_path: Path) -> None:
        written(tmp_path / "route-01")
        written(tmp_path / "maths")
        (tmp_path / "not-a-study").mkdir()
        with pytest.raises(UnknownNameError, match="unknown study 'route-02'") as told:
            read_study(tmp_path / "route-02")
        assert "did you mean 'route-01'" in told.value.hint and "maths" in told.value.hint
        assert studies(tmp_path) == ["maths", "route-01"] and studies(tmp_path / "nowhere") == []

    def test_loading_leaves_the_search_for_cycles_as_it_was(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "s") as journal:
            journal.append(ev.Warned(message="one"))
        path = tmp_path / "s" / "journal.jsonl"
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            try:
                read_study(tmp_path / "s")
                assert gc.isenabled() == enabled
                with path.open("ab") as file:
                    file.write(b"{}\n")
                with pytest.raises(TrackingError, match="line 2"):
                    read_study(tmp_path / "s")
                assert gc.isenabled() == enabled
            finally:
                gc.enable()
            path.write_bytes(path.read_bytes()[:-3])


class TestHome:
    def test_a_file_in_the_way_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("not a folder")
        with pytest.raises(UsageError, match="cannot write in") as told:
            Journal(tmp_path / "home" / "studies" / "s").__enter__()
        assert str(tmp_path / "home") in told.value.message and "TUNEWRIGHT_HOME" in told.value.hint

    def test_a_read_only_home_is_named(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        tmp_path.chmod(0o755)
        home.chmod(0o555)
        with nobody(), pytest.raises(UsageError, match="Permission denied") as told:
            Journal(home / "studies" / "s").__enter__()
        assert str(home) in told.value.message and "TUNEWRIGHT_HOME" in told.value.hint

    def test_a_study_of_someone_else_can_be_read(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:  # tmp_path lies where only its owner may look
            path = written(Path(scratch) / "s")
            for place, mode in ((Path(scratch), 0o755), (path.parent, 0o555), (path, 0o444)):
                place.chmod(mode)
            with nobody():
                assert read_study(path.parent).jobs.keys() == {"t0"}
                assert holder(path.parent) is None
                with pytest.raises(UsageError, match="Permission denied"):
                    Journal(path.parent).__enter__()
            path.parent.chmod(0o755)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Permissions as for someone who owns nothing, where the tests run as root; else as they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _idea(story: Story):  # type: ignore[no-untyped-def]  the type is the domain's Idea
    from tunewright.domain.proposal import Idea

    plan = story.study.plan
    assert plan is not None
    return Idea(recipe=plan.space.build(plan.space.default()), origin="default", reason="the yardstick")
