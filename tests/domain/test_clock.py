"""The wall clock of a study, over sessions, waits for a person and crashes; and device time of running jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Failed, Fault, Paused
from tunewright.domain.proposal import Decision
from tunewright.domain.study import Study


def opened(at: float) -> ev.Event:
    return ev.SessionOpened(at=at, pid=1, host="h")


def closed(at: float) -> ev.Event:
    return ev.SessionClosed(at=at, reason="done for now")


def asked(at: float) -> ev.Event:
    return ev.ReviewAsked(at=at, targets=("plan",))


def decided(at: float) -> ev.Event:
    return ev.Decided(at=at, decision=Decision(target="plan", action="approve", by="person", at=at))


def warned(at: float) -> ev.Event:
    return ev.Warned(at=at, message="m")


def launched(at: float, job: str = "t0", attempt: int = 1) -> ev.Event:
    return ev.JobLaunched(at=at, job=job, role="trial", binding="0", attempt=attempt, reserved=Cost(device_s=100))


def ended(at: float, device_s: float, job: str = "t0") -> ev.Event:
    fault = Fault(kind="config", message="m")
    return ev.JobEnded(at=at, job=job, outcome=Failed(fault=fault, cost=Cost(device_s=device_s)))


def recovered(at: float, ran_until: float, job: str = "t0") -> ev.Event:
    return ev.JobRecovered(at=at, job=job, ran_until=ran_until)


def wall(*events: ev.Event, now: float) -> float:
    return Study(events).spent(now).wall_s


class TestSessions:
    def test_it_runs_from_opening_to_closing_and_not_between(self) -> None:
        events = (opened(100), warned(110), closed(130), opened(1000), closed(1005))
        assert wall(*events[:2], now=120) == 20
        assert wall(*events[:3], now=500) == 30
        assert wall(*events, now=5000) == 35

    def test_a_wait_for_a_person_is_not_counted(self) -> None:
        assert wall(opened(0), asked(10), now=5000) == 10
        assert wall(opened(0), asked(10), decided(5000), warned(5003), now=5005) == 15
        assert wall(opened(0), asked(10), decided(5000), closed(5003), now=9999) == 13

    def test_nor_is_a_wait_for_answers_to_questions(self) -> None:
        assert wall(opened(0), asked(10), ev.Clarified(at=5000, question="q1"), warned(5003), now=5005) == 15

    def test_what_happens_during_a_wait_does_not_end_it(self) -> None:
        assert wall(opened(0), asked(10), warned(20), now=5000) == 10

    def test_a_wait_over_the_night_in_another_process(self) -> None:
        events = (opened(0), asked(10), closed(11), opened(90_000), decided(90_001), closed(90_005))
        assert wall(*events, now=99_999) == 15

    def test_a_decision_filed_while_nobody_runs_the_study_starts_nothing(self) -> None:
        assert wall(opened(0), closed(10), decided(50), now=5000) == 10

    @given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
    def test_it_is_the_sum_of_the_sessions(self, lengths: list[float]) -> None:
        events, at = list[ev.Event](), 0.0
        for length in lengths:
            events += [opened(at), closed(at + length)]
            at += length + 1000
        assert wall(*events, now=at) == pytest.approx(sum(lengths), abs=1e-6)

    def test_a_clock_set_back_takes_nothing_away(self) -> None:
        assert wall(opened(100), closed(90), opened(95), closed(105), now=200) == 10


class TestCrash:
    def test_it_ends_with_the_last_sign_of_life(self) -> None:
        assert wall(opened(0), warned(40), opened(1000), now=1001) == 41

    def test_a_job_that_ran_on_alone_is_counted(self) -> None:
        events = (opened(0), launched(10), warned(40), opened(1000), recovered(1001, 70), ended(1001, 60))
        assert wall(*events, now=1005) == 75

    def test_a_job_that_had_ended_before_adds_nothing(self) -> None:
        events = (opened(0), launched(10), warned(40), opened(1000), recovered(1001, 30))
        assert wall(*events, now=1001) == 41

    def test_two_jobs_that_ran_on_together_count_once(self) -> None:
        events = (opened(0), launched(1, "a"), launched(2, "b"), opened(1000), recovered(1001, 50, "a"))
        assert wall(*events, recovered(1001, 80, "b"), now=1001) == 81
        assert wall(*events, recovered(1001, 20, "b"), now=1001) == 51

    def test_a_job_that_ran_on_into_the_new_session_counts_no_second_twice(self) -> None:
        events = (opened(0), launched(10), opened(100), recovered(103, 102))
        assert wall(*events, now=103) == 103

    def test_a_crash_during_a_wait_counts_to_its_beginning(self) -> None:
        assert wall(opened(0), asked(10), opened(1000), now=1002) == 12

    def test_crash_after_crash(self) -> None:
        events = (opened(0), warned(5), opened(100), warned(107), opened(200), closed(203))
        assert wall(*events, now=999) == 5 + 7 + 3

    def test_an_old_crash_does_not_leak_into_a_later_recovery(self) -> None:
        events = (opened(0), warned(5), opened(100), closed(110), opened(200), recovered(201, 150))
        assert wall(*events, now=201) == 5 + 10 + 1


class TestDeviceTime:
    def test_a_running_job_is_counted_as_it_runs_and_settled_at_its_end(self) -> None:
        events = (opened(0), launched(10))
        assert Study(events).spent(25).device_s == 15
        assert Study((*events, ended(30, 18))).spent(40).device_s == 18

    def test_the_hours_after_a_crash_are_not_the_job_s(self) -> None:
        study = Study((opened(0), launched(10), warned(20), opened(9000)))
        assert study.spent(9001).device_s == pytest.approx(11)
        study.fold(recovered(9001, 50))
        assert study.spent(9001).device_s == pytest.approx(41)
        study.fold(ended(9001, 40))
        assert study.spent(9005).device_s == 40

    def test_a_pause_is_paid_and_the_second_attempt_starts_anew(self) -> None:
        study = Study((opened(0), launched(10)))
        study.fold(ev.JobEnded(at=20, job="t0", outcome=Paused(reason="Ctrl-C", cost=Cost(device_s=10))))
        study.fold(closed(21))
        assert study.spent(500).device_s == 10
        study.fold(opened(1000))
        study.fold(launched(1001, attempt=2))
        assert study.spent(1005).device_s == 14 and study.jobs["t0"].attempts == 2

    def test_the_last_sign_of_life(self) -> None:
        assert Study((opened(3), warned(40), warned(39))).seen_at == 40
