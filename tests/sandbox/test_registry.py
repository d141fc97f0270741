"""Finding a sandbox by name, with options as the user wrote them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.sandbox.environment import job_environment
from tunewright.sandbox.registry import open_sandbox, sandboxes


@pytest.mark.parametrize("name", sandboxes())
def test_every_sandbox_there_is_can_be_opened(name: str) -> None:
    assert open_sandbox(name, {}, preload=("json",)).name == name


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown sandbox 'dokcer'") as caught:
        open_sandbox("dokcer")
    assert "did you mean 'docker'" in caught.value.hint
    assert "process" in caught.value.hint


def test_options_are_spelt_as_on_the_command_line() -> None:
    for option in ("fork-server", "fork_server"):
        sandbox = open_sandbox("process", {option: "off"}, preload=("json",))
        assert sandbox.facts()["start"] == "a new interpreter"


def test_an_unknown_option_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="the docker sandbox has no option 'colour'") as caught:
        open_sandbox("docker", {"colour": "blue"})
    assert "host-env" in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("process", {"fork-server": "perhaps"}, "'fork-server' of the process sandbox is 'perhaps'"),
        ("replay", {"seconds": "-1"}, "'seconds' of the replay sandbox is '-1'"),
        ("docker", {"base": "a", "image": "b"}, "leave out image and host-env"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sandbox(name, options)
    assert said in caught.value.message


def test_opening_one_backend_imports_no_other() -> None:
    code = (
        "import sys; from tunewright.sandbox.registry import open_sandbox; open_sandbox('process'); print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"docker", "torch", "tunewright.sandbox.docker", "tunewright.sandbox.replay"} & set(modules)


def test_what_changes_numbers_is_inherited_and_what_is_secret_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    environment = job_environment(threads=3, home="/h", temporary="/t", devices="")
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "3"
    assert "secret" not in environment.values()
