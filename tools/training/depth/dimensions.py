"""What is searched of progressive depth and of simulated clients, where a brief asks for them. No torch.

How many clients there are and how their rows differ is what is simulated, and nothing to be searched.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Json
from tunewright.domain.space import Choice, Condition, Dimension, Float
from tunewright.tools.training.depth.check import transferring
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import selector as find_selector

_DEVFT = "DevFT (arXiv 2508.00041)"
_SOURCE = f"{_DEVFT}: 0.1, and 0.15 for its largest model"
WHOLE = 1
"""The number of depths that is the whole model throughout."""


def able(kinds: Sequence[str], depths: Sequence[int], clients: int) -> list[str]:
    """The adapters that can be trained as they have to be. Where the whole model is an option that will do for some of
    them, as long as there is one that can go through depths."""
    methods = [find_adapter(kind) for kind in kinds if clients == 1 or find_adapter(kind).continues]
    deepening = [method.kind for method in methods if transferring(method) is None]
    return [method.kind for method in methods] if not depths or (WHOLE in depths and deepening) else deepening


def growth(stage: str, depths: Sequence[int], when: tuple[Condition, ...], adapters: Sequence[str]) -> list[Dimension]:
    """Of progressive depth.

    Args:
        stage: path of the stages that it is for.
        depths: to choose from, the default first.
        when: what has to hold for any of it.
        adapters: kinds that can be trained so; empty if all in the space can.
    """
    path = f"{stage}.depth"
    whose = (Condition(name="adapter", values=tuple(adapters)),) if adapters else ()
    every = (*when, *whose)
    growing = tuple(count for count in depths if count != WHOLE)
    some = (*every, Condition(name="depth", values=growing))
    why = f"{_DEVFT} goes through four; two and four end with a rung (ours)"
    return [
        Choice(name="depth", path=f"{path}.stages", options=tuple(depths), default=depths[0], when=every, why=why),
        Float(name="depth_beta", path=f"{path}.beta", low=0.0, high=0.3, default=0.1, when=some, why=_SOURCE),
        Choice(
            name="depth_groups", path=f"{path}.grouping", options=("similarity", "even"), default="similarity",
            when=some, why=f"{_DEVFT}: even groups lose 6.5 % there",
        ),
        Choice(
            name="full_share", path=f"{path}.full_share", options=(None, 0.5, 0.75), default=None, when=some,
            why="steps of the whole model against cheaper ones (ours)",
        ),
    ]  # fmt: skip


def federation(stage: str, when: tuple[Condition, ...], factors: Sequence[str], *, every: bool) -> list[Dimension]:
    """Of clients.

    Args:
        stage: path of the stages that it is for.
        when: what has to hold for any of it.
        factors: kinds of adapter that are LoRA's two matrices.
        every: whether those are all in the space.
    """
    path = f"{stage}.depth"
    steps: tuple[Json, ...] = (10, 5, 20, 50)
    found: list[Dimension] = [
        Choice(
            name="local_steps", path=f"{path}.local_steps", options=steps, default=10, when=when,
            why="uploads against clients that drift apart (arXiv 1602.05629)",
        )
    ]  # fmt: skip
    if factors:
        whose = () if every else (Condition(name="adapter", values=tuple(factors)),)
        found.append(
            Choice(
                name="average", path=f"{path}.average", options=("ab", "share_a", "product_svd"), default="ab",
                when=(*when, *whose), why="FedAvg, FedSA-LoRA (arXiv 2410.01463), and the products' mean (ours)",
            )
        )  # fmt: skip
    return found


def fixed(clients: int, alpha: float | None) -> dict[str, Json]:
    """What every recipe has under ``depth``."""
    spread: dict[str, Json] = {} if alpha is None else {"partition": "dirichlet", "alpha": alpha}
    return {"clients": clients, **spread} if clients > 1 else {}


def check_data(clients: int, mixes: Sequence[str], replay: float, selectors: Sequence[str]) -> None:
    """Whether what a brief says of data goes with clients.

    Raises:
        UsageError: it does not.
    """
    guiding = [kind for kind in selectors if find_selector(kind).guides]
    if clients > 1 and (mixes or replay or guiding):
        raise UsageError(
            "each client trains on its own rows as they are: sources cannot be mixed, nor general data mixed in, nor "
            "rows weighed against each other",
            f"leave {', '.join([*mixes, *guiding]) or 'the general data'} out, or the clients",
        )
