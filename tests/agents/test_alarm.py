"""A deadline holds also while everybody else is busy; it may move until it has rung."""

from __future__ import annotations

import threading
import time

from tunewright.agents.alarm import Alarm


def test_it_rings_in_a_thread_of_its_own_and_once() -> None:
    rang, threads = threading.Event(), list[int]()

    def ring() -> None:
        threads.append(threading.get_ident())
        rang.set()

    alarm = Alarm(ring)
    alarm.move(time.time() + 0.06)
    assert rang.wait(30)
    alarm.move(time.time() + 3600)
    assert alarm.due, "what has rung stays so, wherever it is moved"
    alarm.move(time.time() - 1)
    assert threads and threads != [threading.get_ident()] and len(threads) == 1


def test_it_moves_and_is_put_off() -> None:
    rang = threading.Event()
    alarm = Alarm(rang.set)
    alarm.move(time.time() + 0.2)
    alarm.move(float("inf"))
    assert not alarm.due and not rang.wait(0.4)
    alarm.move(time.time() + 0.2)
    alarm.off()
    assert not alarm.due and not rang.wait(0.4)
    alarm.move(time.time() - 5)
    assert alarm.due and rang.wait(30)
