"""Settings of this machine: folders are where a shell would put them, and a bad value is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright import settings
from tunewright.domain.errors import UsageError


def test_a_home_folder_is_expanded_wherever_settings_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert settings.Settings().cache == Path("/somewhere/.cache/tunewright")
    assert settings.Settings(home=Path("~/studies")).home == Path("/somewhere/studies")
    assert settings.load({"TUNEWRIGHT_HOME": "~/studies"}).home == Path("/somewhere/studies")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("TUNEWRIGHT_HOME", "~nobody-has-this-name/studies", "a folder"),
        ("TUNEWRIGHT_USD_PER_DEVICE_HOUR", "much", "a value such as 1.50"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_its_variable(name: str, value: str, hint: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        settings.load({name: value})
    assert value in caught.value.message and hint in caught.value.hint
