"""Whether the answer is JSON that meets a JSON schema, checked with the library ``jsonschema``.

The standard is draft 2020-12 unless the schema names another. References to other documents are not followed: a reward
has no network.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.scorers.json_valid import strict_json
from tunewright.tools.training.answer import AnswerConfig, each_content
from tunewright.tools.training.reward import Court, Judge, RewardMethod
from tunewright.tools.training.time_limit import time_limit


class JsonSchemaConfig(AnswerConfig):
    """What answers must meet."""

    shape: dict[str, Any] = {}
    """The schema, such as ``{"type": "object", "required": ["name"]}``. The empty one is met by any JSON."""
    column: str = ""
    """Column of the rows that holds each row's own schema, which then takes the place of ``shape``."""
    parsed: float = Field(0.0, ge=0, le=1)
    """For an answer that is JSON and does not meet the schema."""
    timeout_s: float = Field(1.0, gt=0)
    """What checking one answer may take; one that takes longer does not meet it. Patterns in schemas can backtrack."""


class JsonSchema(RewardMethod):
    """1 for JSON that meets the schema, ``parsed`` for other JSON, 0 for what is none."""

    kind = "json_schema"
    summary = "the answer is JSON that meets a schema: 1, else 0"
    source = "JSON Schema 2020-12, the library jsonschema"
    names = ("JSON schema", "JSON reward", "valid JSON")
    Config = JsonSchemaConfig

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """The schema must be one."""
        try:
            _validator(settings.shape)
        except ValueError as error:
            raise UsageError(f"shape is no JSON schema: {error}", "see json-schema.org") from error

    def open(self, settings: Any, court: Court) -> Judge:
        """Checks as ``json_valid`` reads: strictly, and nothing around the JSON."""
        common = _validator(settings.shape)

        def score(said: str, row: Row) -> float:
            validator = _own(row, settings.column) if settings.column else common
            try:
                value = strict_json(said)
            except ValueError:
                return 0.0
            try:
                with time_limit(settings.timeout_s):
                    return 1.0 if validator.is_valid(value) else settings.parsed
            except (TimeoutError, RecursionError):
                return float(settings.parsed)

        return each_content(settings.within, score)


def _own(row: Row, column: str) -> Any:
    try:
        found = row["meta"][column]
        return _validator(json.loads(found) if isinstance(found, str) else found)
    except (KeyError, ValueError) as error:
        raise DataError(
            f"row {row['id']} has no JSON schema in column '{column}': {error}", "name another column, or set shape"
        ) from error


def _validator(shape: Any) -> Any:
    """The validator for a schema.

    Raises:
        ValueError: it is none.
    """
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(shape, default=Draft202012Validator)
    try:
        kind.check_schema(shape)
    except SchemaError as error:
        raise ValueError(error.message) from error
    return kind(shape, registry=Registry())


METHOD = JsonSchema()
