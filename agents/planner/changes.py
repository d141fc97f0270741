"""A model's changes of a space, judged one by one: applied, repaired as far as they may be, or dropped with the reason.

The default stays in, so trial 0 is what it was. Numbers may leave the method's own range by a factor of ten on a log
scale and of two elsewhere; an end or an option that makes no recipe that could be run here is not taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from tunewright.agents.opening import compared
from tunewright.agents.planner.answer import ChangeAnswer
from tunewright.agents.planner.edit import Edit, edited
from tunewright.domain.change import Change
from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Dimension, Float, Int, Space, StagePlan, among, is_number
from tunewright.domain.study import Study

LOG_FACTOR, FACTOR = 10.0, 2.0
"""How far beyond a method's own range an end may be put."""

Misfit = Callable[[Recipe], str]
"""Why a recipe cannot be run here; nothing if it can."""


class DroppedError(Exception):
    """A change is not done; the message says why."""


@dataclass
class Verdict:
    """What one change comes to, of one dimension."""

    edits: list[Edit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Why it is not all that was asked for."""


@dataclass
class Revision:
    """Changes as they are made of one space.

    Args:
        study: whose brief fixes some of it.
        space: as the rules make it: its ranges are the methods' own.
        misfit: says of a recipe why it cannot be run here.
    """

    study: Study
    space: Space
    misfit: Misfit
    edits: list[Edit] = field(default_factory=list)
    done: list[Change] = field(default_factory=list)

    @property
    def now(self) -> Space:
        """The space with what was done so far."""
        return edited(self.space, self.edits)

    def take(self, change: ChangeAnswer) -> None:
        """Does what may be done of it, and notes what became of it."""
        cites, notes = self.cited(change.cites)
        edits: list[Edit] = []
        found = named(self.now, change.name)
        if not found:
            notes.append("nothing of that name is searched")
        for dimension in found:
            try:
                verdict = self._judged(dimension, change)
            except DroppedError as error:
                notes.append(str(error))
                continue
            edits += verdict.edits
            notes += verdict.notes
        self.edits += edits
        self.note(change, edits, notes, cites)

    def note(self, change: ChangeAnswer, done: Sequence[object], notes: Sequence[str], cites: tuple[str, ...]) -> None:
        """What became of a change."""
        fate = "dropped" if not done else "repaired" if notes else "applied"
        why = "; ".join(dict.fromkeys(notes))
        made = {"said": said(change), "fate": fate, "note": why, "reason": change.reason.strip(), "cites": cites}
        self.done.append(Change.model_validate(made))

    def cited(self, ids: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
        """The lessons that there are, and a note on those that there are not."""
        known = tuple(dict.fromkeys(id for id in ids if id in self.study.insights.memory))
        unknown = [id for id in ids if id not in self.study.insights.memory]
        return known, [f"no lesson {', '.join(one[:40] for one in unknown)} is known"] if unknown else []

    def _judged(self, dimension: Dimension, change: ChangeAnswer) -> Verdict:
        """Raises:
        DroppedError: nothing of it may be done.
        """
        locked = why_locked(self.study, dimension)
        if locked:
            raise DroppedError(locked)
        if isinstance(dimension, Float | Int):
            return self._number(dimension, change)
        if isinstance(dimension, Choice):
            return self._choice(dimension, change)
        raise DroppedError("weights of a mix have no ends; a best guess of them can be given")

    def _number(self, dimension: Float | Int, change: ChangeAnswer) -> Verdict:
        low, high = _ends(change)
        match change.action:
            case "narrow" | "fix":
                fixed = change.action == "fix"
                low, high = (low, high) if not fixed or low is not None else (dimension.default, dimension.default)
                return _narrowed(dimension, low, high if high is not None or not fixed else low)
            case "widen":
                return self._widened(dimension, low, high)
            case _:
                raise DroppedError(f"{dimension.name} is a range and has no options")

    def _widened(self, dimension: Float | Int, low: float | None, high: float | None) -> Verdict:
        own = next(one for one in self.space.dimensions if one.name == dimension.name)
        assert isinstance(own, Float | Int)
        least, most = _bounds(own)
        if ".adapter." in dimension.path and self.study.wishes.max_rank is not None:
            most = min(most, own.high)
        found = Verdict()
        ends = ((low, least, dimension.low, -1), (high, most, dimension.high, 1))
        for wanted, bound, present, sign in ends:
            if wanted is None or sign * (wanted - present) <= 0:
                continue
            taken = wanted if sign * (wanted - bound) <= 0 else bound
            taken = _whole(taken, sign) if isinstance(dimension, Int) else taken
            if taken != wanted:
                found.notes.append(f"{bound:g} is as far as {dimension.name} goes")
            if sign * (taken - present) > 0 and self._possible(dimension, taken, found.notes):
                found.edits.append(Edit(dimension.name, low=taken) if sign < 0 else Edit(dimension.name, high=taken))
        if not found.edits:
            raise DroppedError("; ".join(found.notes) or f"{dimension.name} is {dimension.says()} already")
        return found

    def _choice(self, dimension: Choice, change: ChangeAnswer) -> Verdict:
        found = Verdict()
        match change.action:
            case "add" | "widen":
                options = [*change.options, *(end for end in _ends(change) if end is not None)]
                new = [one for one in options if not among(one, dimension.options)]
                if not new:
                    raise DroppedError(f"{dimension.name} has those options already")
                more = [taken for one in new if (taken := self._added(dimension, one, found.notes)) is not None]
                found.edits += [Edit(dimension.name, more=tuple(more))] if more else []
            case _:
                gone = _gone(dimension, change, found.notes)
                found.edits += [Edit(dimension.name, without=gone)] if gone else []
        if not found.edits:
            raise DroppedError("; ".join(found.notes) or f"{dimension.name} is {dimension.says()} already")
        return found

    def _added(self, dimension: Choice, option: Json, notes: list[str]) -> Json:
        """The option, if it may be added."""
        kinds = dimension.path.rpartition(".")[2] == "kind" or isinstance(dimension, StagePlan)
        if kinds:
            notes.append(f"no more kinds of {dimension.name} can be added here")
            return None
        own = next(one for one in self.space.dimensions if one.name == dimension.name)
        numbers = [one for one in getattr(own, "options", ()) if is_number(one)]
        if numbers and len(numbers) == len(getattr(own, "options", ())):
            return self._added_number(dimension, numbers, option, notes)
        return option if self._possible(dimension, option, notes) else None

    def _added_number(self, dimension: Choice, own: list[float], option: Json, notes: list[str]) -> Json:
        if not is_number(option):
            notes.append(f"{option} is no number")
            return None
        least, most = min(own) / FACTOR, max(own) * FACTOR
        ranked = ".adapter." in dimension.path and self.study.wishes.max_rank is not None
        most = max(own) if ranked else most
        if not least <= option <= most:
            why = " under the brief's limit on ranks" if ranked and option > most else ""
            notes.append(f"{dimension.name} goes from {least:g} to {most:g}{why}")
            return None
        if all(isinstance(one, int) for one in own):
            if option != int(option):
                notes.append(f"{option} is no whole number")
                return None
            option = int(option)
        return option if self._possible(dimension, option, notes) else None

    def _possible(self, dimension: Dimension, value: Json, notes: list[str]) -> bool:
        """Whether a recipe with the value could be run here."""
        space = self.now
        try:
            recipe = space.build({**reached(space, dimension), dimension.name: value})
        except (ValidationError, ValueError, KeyError) as error:
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            notes.append(f"{dimension.name} cannot be {_short(value)}: {first}")
            return False
        why = self.misfit(recipe)
        if why:
            notes.append(f"{dimension.name} cannot be {_short(value)}: {why}")
        return not why


def named(space: Space, name: str) -> list[Dimension]:
    """The dimensions that a name means: its own, those of a path, or those that it is the beginning of, such as
    ``lr.lora`` for ``lr.lora.sft``."""
    name = name.strip()
    for same in (
        [one for one in space.dimensions if one.name == name],
        [one for one in space.dimensions if one.path == name],
        [one for one in space.dimensions if one.name.startswith(f"{name}.")],
    ):
        if same:
            return same
    return []


def why_locked(study: Study, dimension: Dimension) -> str:
    """Why a dimension is not the planner's to change; nothing if it is."""
    if dimension.name in compared(study.wishes):
        return f"the brief says which {dimension.name} is tried"
    if dimension.name == "keep" and study.wishes.keep is not None:
        return "the brief says how much of the data is kept"
    if dimension.name.partition(".")[0] == "epochs":
        return "lengths are sized to the budget; see fidelity"
    if ".memory." in dimension.path:
        return "what keeps memory low follows from the machine"
    return ""


def reached(space: Space, dimension: Dimension) -> dict[str, Json]:
    """The default, but for what makes the dimension active.

    Raises:
        KeyError: nothing does.
    """
    fixed: dict[str, Json] = {}
    due = list(dimension.when)
    while due:
        condition = due.pop()
        if condition.name not in fixed:
            fixed[condition.name] = condition.values[0]
            due += next((one.when for one in space.dimensions if one.name == condition.name), ())
    assignment = space.default(**fixed)
    if not dimension.active(assignment):
        raise KeyError(dimension.name)
    return assignment


def said(change: ChangeAnswer) -> str:
    """The change in words, such as ``narrow lr.lora to 0.0002..0.001``."""
    ends = [f"{end:g}" if end is not None else "" for end in (change.low, change.high)]
    span = f" to {'..'.join(ends)}" if any(ends) else ""
    options = f" {', '.join(_short(one) for one in change.options)}" if change.options else ""
    return f"{change.action} {_short(change.name)}{span}{':' if options else ''}{options}"


def _short(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())[:60]


def _ends(change: ChangeAnswer) -> tuple[float | None, float | None]:
    """Raises:
    DroppedError: an end is no number.
    """
    low, high = change.low, change.high
    if any(end is not None and not math.isfinite(end) for end in (low, high)):
        raise DroppedError("an end is no number")
    return (high, low) if low is not None and high is not None and low > high else (low, high)


def _narrowed(dimension: Float | Int, low: float | None, high: float | None) -> Verdict:
    if low is None and high is None:
        raise DroppedError("no end of the range is given")
    notes = []
    new = [max(dimension.low, low if low is not None else dimension.low)]
    new += [min(dimension.high, high if high is not None else dimension.high)]
    if new[0] > dimension.default or new[1] < dimension.default:
        notes.append(f"the default {dimension.default:g} stays in")
    ends = min(new[0], dimension.default), max(new[1], dimension.default)
    if isinstance(dimension, Int):
        ends = math.floor(ends[0]), math.ceil(ends[1])
    if ends == (dimension.low, dimension.high):
        raise DroppedError("; ".join(notes) or f"{dimension.name} is {dimension.says()} already")
    return Verdict([Edit(dimension.name, low=ends[0], high=ends[1])], notes)


def _bounds(own: Float | Int) -> tuple[float, float]:
    """The least low and the largest high that a range may be widened to."""
    factor = LOG_FACTOR if own.log else FACTOR
    low = own.low * factor if own.low < 0 else own.low / factor
    high = own.high * factor if own.high > 0 else own.high / factor
    return low, high


def _whole(value: float, sign: int) -> int:
    return math.floor(value) if sign > 0 else math.ceil(value)


def _gone(dimension: Choice, change: ChangeAnswer, notes: list[str]) -> tuple[Json, ...]:
    """The options that go: what is dropped, or what is not among those that are to be left."""
    low, high = _ends(change)
    if low is not None or high is not None:
        if not all(map(is_number, dimension.options)):
            raise DroppedError(f"{dimension.name} has options and no ends")
        wanted = [one for one in dimension.options if (low is None or one >= low) and (high is None or one <= high)]
    else:
        wanted = list(change.options)
        unknown = [one for one in wanted if not among(one, dimension.options)]
        notes += [f"{dimension.name} has no option {_short(one)}" for one in unknown]
        wanted = [one for one in wanted if one not in unknown]
        if not wanted and change.action != "fix":
            raise DroppedError("; ".join(notes) or "no option is named")
    if change.action == "drop":
        left = [one for one in dimension.options if not among(one, wanted)]
    else:
        left = wanted or [dimension.default]
    if not among(dimension.default, left):
        notes.append(f"the default {_short(dimension.default)} stays in")
    return tuple(one for one in dimension.options if not among(one, left) and one != dimension.default)
