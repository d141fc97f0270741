"""Which rows each client has, and the order of a stage in which each step's rows are those of its client.

FedAvg's clients, arXiv 1602.05629; rows that differ between clients by a Dirichlet distribution over labels: Hsu, Qi
and Brown, arXiv 1909.06335. Ours: where a task has no labels, its sources take their place, so that with one source it
is the sizes that differ; and every client has a row at least.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tunewright.domain.depth import Depth
from tunewright.tools.contract import FaultError
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.depth.course import Course
from tunewright.tools.training.sources import Sources, seeded

Parts = tuple[tuple[int, ...], ...]
"""Of each client its rows, ascending."""


def parts(data: StageData, depth: Depth, seed: int, index: int) -> Parts:
    """The rows of the clients: indices into ``data.rows``. With one client they are all that is trained on.

    Args:
        index: the stage's number.

    Raises:
        FaultError: ``config``: there are more clients than rows.
    """
    places = tuple(sorted(set(data.order)))
    if depth.clients == 1:
        return (places,)
    if depth.clients > len(places):
        raise FaultError(
            "config", f"{depth.clients} clients cannot share {len(places)} training rows: take fewer clients", 0
        )
    chance = seeded(seed, index, "clients")
    if depth.partition == "iid":
        return iid(places, depth.clients, chance)
    classes: dict[str, list[int]] = {}
    for place in places:
        row = data.rows[place]
        classes.setdefault(row["target"] if data.form.task.labels else row["source"], []).append(place)
    return dirichlet(classes, depth.clients, depth.alpha, chance)


def iid(places: Sequence[int], clients: int, seed: int) -> Parts:
    """Random parts whose sizes differ by one at most."""
    shuffled = list(places)
    random.Random(seed).shuffle(shuffled)
    return tuple(tuple(sorted(shuffled[client::clients])) for client in range(clients))


def dirichlet(classes: Mapping[str, Sequence[int]], clients: int, alpha: float, seed: int) -> Parts:
    """Each class in parts by its own draw of shares; a client that got nothing gets a row of the one with most.

    Args:
        classes: class -> its rows.
        alpha: of the symmetric Dirichlet distribution over clients.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    found: list[list[int]] = [[] for _ in range(clients)]
    for name in sorted(classes):
        rows = chance.permutation(np.asarray(classes[name]))
        ends = np.cumsum(chance.dirichlet([alpha] * clients))[:-1] * len(rows)
        for client, part in enumerate(np.split(rows, ends.round().astype(int))):
            found[client] += part.tolist()
    while not all(found):
        most = max(found, key=len)
        min(found, key=len).append(most.pop())
    return tuple(tuple(sorted(part)) for part in found)


def in_turns(data: StageData, course: Course, split: Parts, seed: int, index: int) -> StageData:
    """The data in an order of which each step has rows of its client; with one client, as it is."""
    if len(split) == 1 or data.sources is None:
        return data
    wanted = [sum(turn.steps for turn in course.turns if turn.client == client) for client in range(len(split))]
    drawn = [
        iter(_of(data.sources, own).laid_out((), wanted[client] * data.batch_size, seeded(seed, client), index))
        for client, own in enumerate(split)
    ]
    order = [next(drawn[turn.client]) for turn in course.turns for _ in range(turn.steps * data.batch_size)]
    return replace(data, order=order)


def _of(sources: Sources, own: Sequence[int]) -> Sources:
    return Sources(sources.names, sources.rows, tuple(own))
