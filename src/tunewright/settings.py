"""Settings of this machine, from the environment. A study's own options live in its journal instead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from tunewright.domain.budget import Prices
from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen


class Settings(Frozen):
    """Where things are and what they cost."""

    home: Path = Path(".tunewright")
    """``TUNEWRIGHT_HOME``: studies, and the MLflow store unless a server is named."""
    tracking_uri: str | None = None
    """``MLFLOW_TRACKING_URI``: an MLflow server or store; None means SQLite under ``home``."""
    usd_per_device_hour: float | None = None
    """``TUNEWRIGHT_USD_PER_DEVICE_HOUR``: needed for a dollar budget; unknown is never taken for free."""
    llm: str | None = None
    """``TUNEWRIGHT_LLM``: what ``--llm`` is where a command gives none; several with commas between them."""
    llm_timeout_s: float = Field(60.0, gt=0)
    """``TUNEWRIGHT_LLM_TIMEOUT_S``: for one attempt to ask a language model."""
    llm_patience_s: float = Field(180.0, gt=0)
    """``TUNEWRIGHT_LLM_PATIENCE_S``: for one question with all its attempts; then the study pauses."""
    llm_max_tokens: int = Field(2048, ge=64)
    """``TUNEWRIGHT_LLM_MAX_TOKENS``: the longest answer; what is reserved for a call follows from it."""
    llm_requests_per_minute: float | None = Field(None, gt=0)
    """``TUNEWRIGHT_LLM_RPM``: a provider's limit, for each model, until its responses tell it."""
    llm_tokens_per_minute: float | None = Field(None, gt=0)
    """``TUNEWRIGHT_LLM_TPM``: likewise."""
    cache: Path = Field(Path("~/.cache/tunewright"), validate_default=True)
    """``TUNEWRIGHT_CACHE``: converted models, shared by all studies."""

    @field_validator("home", "cache")
    @classmethod
    def _expanded(cls, path: Path) -> Path:
        try:
            return path.expanduser()
        except RuntimeError as error:  # a home that is not known
            raise ValueError(str(error)) from error

    @property
    def llms(self) -> tuple[str, ...]:
        """The words of ``llm``."""
        return tuple(word.strip() for word in (self.llm or "").split(",") if word.strip())

    @property
    def studies(self) -> Path:
        return self.home / "studies"

    @property
    def mlflow_uri(self) -> str:
        return self.tracking_uri or f"sqlite:///{self.home.absolute() / 'mlflow.db'}"

    @property
    def prices(self) -> Prices:
        return Prices(usd_per_device_hour=self.usd_per_device_hour)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises:
        UsageError: a variable has a value that cannot be read.
    """
    names = {
        "home": "TUNEWRIGHT_HOME",
        "tracking_uri": "MLFLOW_TRACKING_URI",
        "usd_per_device_hour": "TUNEWRIGHT_USD_PER_DEVICE_HOUR",
        "llm": "TUNEWRIGHT_LLM",
        "llm_timeout_s": "TUNEWRIGHT_LLM_TIMEOUT_S",
        "llm_patience_s": "TUNEWRIGHT_LLM_PATIENCE_S",
        "llm_max_tokens": "TUNEWRIGHT_LLM_MAX_TOKENS",
        "llm_requests_per_minute": "TUNEWRIGHT_LLM_RPM",
        "llm_tokens_per_minute": "TUNEWRIGHT_LLM_TPM",
        "cache": "TUNEWRIGHT_CACHE",
    }
    given = {field: environment[name] for field, name in names.items() if environment.get(name)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        such = "a folder" if field in ("home", "cache") else "a value such as 1.50"
        raise UsageError(
            f"{names[field]} is '{given[field]}': {said[0].lower()}{said[1:]}",
            f"set {names[field]} to {such}, or unset it",
        ) from error
