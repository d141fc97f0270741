"""What a search goes by before its first trial: the space as a tree, and what earlier studies found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from tunewright.domain.precedent import Kin
from tunewright.domain.proposal import Plan
from tunewright.domain.space import Space
from tunewright.search.encoding import Rows
from tunewright.search.known import Known
from tunewright.search.precedent import earlier
from tunewright.search.space_tree import SpaceTree


class Basis:
    """Of one plan. It stays the same from one idea to the next, so it is worked out once and kept.

    Args:
        space: that is searched.
        rungs: passes over the data after which trials are measured.
        kin: earlier studies that the search begins from.
    """

    def __init__(self, space: Space, rungs: Sequence[float] = (), kin: Sequence[Kin] = ()) -> None:
        self.space, self._rungs, self._kin = space, tuple(rungs), tuple(kin)
        self.tree = SpaceTree(space, rungs)
        self.earlier = tuple(earlier(kin, space, self.tree.pace))
        self.kinship = max((one.likeness for one in kin), default=1.0)
        """How alike the earlier studies are, from 0 to 1."""
        self.known = Known(Rows(self.tree.coordinate))

    @classmethod
    def of(cls, plan: Plan) -> Self:
        return cls(plan.space, plan.rungs.epochs, plan.kin)

    def fits(self, plan: Plan) -> bool:
        """Whether a plan has the same space, rungs and earlier studies."""
        if self.space is not plan.space and self.space == plan.space:
            self.space = plan.space  # looked at closely only when the object is another one
        return self.space is plan.space and (self._rungs, self._kin) == (plan.rungs.epochs, plan.kin)
