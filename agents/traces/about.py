"""Which jobs a piece of work was about: as its prompt said, else as the events say that it led to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunewright.agents.traces.pieces import Piece
from tunewright.domain import event as ev
from tunewright.domain.proposal import Idea

LED_TO = (ev.Explained, ev.Reflected, ev.Advised, ev.Proposed)
"""The events that say what a piece of work led to."""
_MEETING = ("reflection", "judge", "critic")


def about(piece: Piece, events: Iterable[ev.Event]) -> tuple[str, ...]:
    """Ids of jobs, oldest first; none for a piece that was about none, such as the reading of the brief.

    Args:
        events: the journal's, in order.
    """
    said = piece.calls[0].about
    if said:
        return said
    begun = piece.calls[-1].at
    later = [one for one in events if isinstance(one, LED_TO) and one.at >= begun]
    match piece.role.partition(".")[0]:
        case "evaluator":
            explained = next((one for one in later if isinstance(one, ev.Explained)), None)
            return (explained.trial,) if explained is not None else ()
        case role if role in _MEETING:
            met = next((one for one in later if isinstance(one, ev.Reflected)), None)
            return met.trials if met is not None else ()
        case "proposer":
            return _proposed(piece, later)
        case _:
            return ()


def _proposed(piece: Piece, later: Sequence[ev.Event]) -> tuple[str, ...]:
    """The trials that were made of its ideas."""
    advised = next((one for one in later if isinstance(one, ev.Advised)), None)
    batches = [one for one in later if isinstance(one, ev.Proposed)]
    if advised is None:  # asked for at once, for the batch that followed
        return tuple(one.id for batch in batches[:1] for one in batch.proposals if one.idea.origin == "planner")
    made = (one for batch in batches for one in batch.proposals)
    return tuple(one.id for one in made if any(_same(idea, one.idea) for idea in advised.ideas))


def _same(idea: Idea, made: Idea) -> bool:
    """By its words: its recipe may be smaller by now, which is then said behind them."""
    return made.origin == idea.origin and f"{made.reason};".startswith(f"{idea.reason};")
