"""The answer in which a language model gives its ideas. One that does not fit spoils none of the others."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from tunewright.agents.prompt import quoted
from tunewright.agents.schemas import IdeaAnswer
from tunewright.domain.frozen import Json

FEWEST, MOST = 3, 5
"""Ideas that are asked for. Fewer are taken as they are, of more the first."""
_SHOWN = 60
"""Characters of an idea's claim in a note."""


class IdeasAnswer(BaseModel):
    """Runs worth trying."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ideas: list[IdeaAnswer] = Field(description=f"{FEWEST} to {MOST} of them, each another recipe, the best first.")
    left_out: SkipJsonSchema[list[str]] = []
    """What could not be read, a line each; nothing that a model says here is taken."""

    @model_validator(mode="before")
    @classmethod
    def _those_that_fit(cls, data: Json) -> Json:
        """Also one idea that stands by itself."""
        if not isinstance(data, dict):
            return data
        given = data.get("ideas", [data] if "edits" in data else None)
        given = [given] if isinstance(given, dict) else given
        if not isinstance(given, list):
            return {"ideas": given}
        fits: list[Json] = []
        wrong: list[str] = []
        for one in given:
            try:
                fits.append(IdeaAnswer.model_validate(one))
            except ValidationError as error:
                wrong.append(f"{named(one)}: {_complaint(error)}")
        if not fits:
            raise ValueError("; ".join(wrong[:MOST]) or "no idea is in it")
        return {"ideas": fits, "left_out": wrong}


def named(idea: Json) -> str:
    """An idea by its claim, quoted and cut."""
    claim = idea.get("hypothesis") if isinstance(idea, dict) else None
    text = claim if isinstance(claim, str) and claim else "an idea without a hypothesis"
    return quoted(text if len(text) <= _SHOWN else text[: _SHOWN - 3].rstrip() + "...")


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
