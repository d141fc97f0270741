"""Any sampler of Optuna by name."""

from __future__ import annotations

import subprocess
import sys

import optuna
import pytest
from tests.stories import space

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.search.basis import Basis
from tunewright.search.samplers import NEEDS, build_sampler, sampler_name, samplers, startup_trials


def test_every_sampler_of_optuna_is_listed_or_refused_with_a_reason() -> None:
    for name in optuna.samplers.__all__:
        if (
            name.endswith("Sampler")
            and not name.startswith("Base")
            and name not in ("GridSampler", "PartialFixedSampler")
        ):
            assert name.removesuffix("Sampler").lower() in samplers()
    for name in ("grid", "PartialFixedSampler"):
        with pytest.raises(UsageError, match="cannot be used") as caught:
            sampler_name(name)
        assert caught.value.hint


@pytest.mark.parametrize("spelling", ["tpe", "TPE", "TPESampler", " tpe_sampler", "Tpe-Sampler"])
def test_a_name_may_be_spelt_as_people_do(spelling: str) -> None:
    assert sampler_name(spelling) == "tpe"
    assert isinstance(build_sampler(spelling, Basis(space()), seed=1, trials=12), optuna.samplers.TPESampler)


@pytest.mark.parametrize("name", ["", "sampler", "nsga", "hyperopt"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        sampler_name(name)
    assert "qmc" in caught.value.hint
    assert "grid" not in caught.value.hint


def test_a_sampler_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDS, "qmc", "no_such_package_at_all")
    with pytest.raises(UsageError, match="needs the package 'no_such_package_at_all'") as caught:
        sampler_name("qmc")
    assert "pip install" in caught.value.hint
    assert "Needs the package no_such_package_at_all." in samplers()["qmc"]


def test_lines_are_plain_words() -> None:
    for line in samplers().values():
        assert line and "`" not in line and "<" not in line


@pytest.mark.parametrize(("trials", "startup"), [(1, 4), (12, 4), (24, 6), (400, 10)])
def test_a_small_study_is_not_all_start_up(trials: int, startup: int) -> None:
    assert startup_trials(trials) == startup


def test_listing_names_imports_no_torch() -> None:
    code = "import sys; from tunewright.search.samplers import samplers; samplers(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
