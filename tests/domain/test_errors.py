"""Errors: one line and a hint, whatever crossed the boundary."""

from __future__ import annotations

import pickle

import pytest

from tunewright.domain.errors import SandboxError, StudyBusyError, TrackingError, UsageError, boundary, unknown_name


def test_what_escapes_a_boundary_is_one_line_of_its_kind() -> None:
    with pytest.raises(SandboxError) as told, boundary(SandboxError, "start the container", "is dockerd running?"):
        raise OSError("no such socket\nTraceback: ...")
    assert str(told.value) == "could not start the container: no such socket\nis dockerd running?"
    assert isinstance(told.value.__cause__, OSError)


def test_an_error_without_words_is_named_by_its_type() -> None:
    with (
        pytest.raises(TrackingError, match="could not read: ZeroDivisionError"),
        boundary(TrackingError, "read"),
    ):
        raise ZeroDivisionError


def test_an_error_of_ours_passes_as_it_is() -> None:
    mine = StudyBusyError("busy", "wait")
    with pytest.raises(StudyBusyError) as told, boundary(SandboxError, "start"):
        raise mine
    assert told.value is mine


def test_a_stop_by_the_user_is_no_error() -> None:
    with pytest.raises(KeyboardInterrupt), boundary(SandboxError, "start"):
        raise KeyboardInterrupt


def test_errors_cross_processes_whole() -> None:
    again = pickle.loads(pickle.dumps(UsageError("what", "what next")))
    assert (type(again), again.message, again.hint, again.exit_code) == (UsageError, "what", "what next", 2)


def test_an_unknown_name_lists_the_nearest_first() -> None:
    error = unknown_name("sandbox", "dokcer", ["process", "docker"])
    assert error.message == "unknown sandbox 'dokcer'"
    assert error.hint.startswith("did you mean 'docker'? choose from docker, process")
    assert "none" in unknown_name("study", "x", []).hint
