"""What mixtures of sources lead to: a proxy trained on each for a few steps, and the losses of rows held out of each
source. What RegMix and the mixing laws learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.tools.training.holdout import HELD_OUT, held_out
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.mix_policy import Mixing
from tunewright.tools.training.sources import seeded

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class MeasuredConfig(MethodConfig):
    """Settings of every policy that looks at losses of rows held out."""

    hold_out: float = Field(HELD_OUT, gt=0, lt=1)
    """Share of each source's rows whose loss is looked at."""
    val_rows: int = Field(32, ge=1)
    """No more than so many of each source."""


class ProxyConfig(MethodConfig):
    """Settings of every policy that trains proxies."""

    rank: int = Field(4, ge=1)
    """Of a proxy's LoRA."""
    lr: float = Field(2e-3, gt=0)
    """Of a proxy, constant."""


class TrialsConfig(MeasuredConfig, ProxyConfig):
    """Settings of every policy that tries mixtures."""

    mixtures: int = Field(24, ge=4)
    """How many are tried, each by a proxy."""
    proxy_steps: int = Field(10, ge=1)
    """Steps of each proxy, in batches of the stage's size."""
    target: tuple[str, ...] = ()
    """Names of the sources whose loss is to be low; empty means all of them alike."""


@dataclass(frozen=True)
class Measured:
    """Rows of each source that are held out to be measured on."""

    names: tuple[str, ...]
    """Of the sources that have any."""
    places: tuple[tuple[int, ...], ...]

    @property
    def held(self) -> frozenset[int]:
        """All of them."""
        return frozenset(place for of in self.places for place in of)


def measured(mixing: Mixing, share: float, most: int) -> Measured:
    """Holds rows of each source out.

    Raises:
        UsageError: a source with rows has too few to hold one out.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name in mixing.sources.names:
        of = mixing.sources.of(name)
        held = held_out([mixing.sources.rows[place] for place in of], share, most)
        if of and not held:
            raise UsageError(
                f"source '{name}' has a single row, and none can be held out to measure a mixture on",
                "give it more rows, or take the mix policy 'uniform'",
            )
        if held:
            found[name] = tuple(of[at] for at in held)
    return Measured(tuple(found), tuple(found.values()))


def means(losses: Sequence[float], at: Measured) -> list[float]:
    """The mean loss of each source, of the losses of its held-out rows in turn."""
    found, start = [], 0
    for of in at.places:
        found.append(sum(losses[start : start + len(of)]) / len(of))
        start += len(of)
    return found


def rows_of(mixing: Mixing, at: Measured) -> list[Encoded]:
    """The held-out rows, source after source."""
    return [mixing.encoded[place] for of in at.places for place in of]


def tried(mixing: Mixing, mixtures: Sequence[Sequence[float]], at: Measured) -> list[list[float]]:
    """For each mixture the mean loss of each source in ``at`` after training on it: (mixtures, sources).

    Every proxy begins at the same weights. It is trained on none of the rows held out.
    """
    from tunewright.tools.training.proxy import proxy

    settings, size = mixing.settings, mixing.work.batch_size
    sources, looked_at = mixing.sources.without(at.held), rows_of(mixing, at)
    found = []
    with proxy(
        mixing.model, rank=settings.rank, lr=settings.lr, seed=mixing.seed, filler=mixing.form.end,
        precision=mixing.precision,
    ) as small:  # fmt: skip
        for number, mixture in enumerate(mixtures):
            small.reset()
            order = sources.draw(mixture, seed=seeded(mixing.seed, number), total=settings.proxy_steps * size)
            for step in range(settings.proxy_steps):
                small.step([mixing.encoded[place] for place in order[step * size : (step + 1) * size]])
                mixing.check(number, len(mixtures))
            found.append(means(small.losses(looked_at), at))
    return found


def chosen_targets(settings: TrialsConfig, at: Measured) -> list[int]:
    """Which of the sources in ``at`` count.

    Raises:
        UsageError: a target has no rows here.
    """
    for name in settings.target:
        if name not in at.names:
            raise UsageError(
                f"the target '{name}' is no source that this stage has rows of", f"choose from {', '.join(at.names)}"
            )
    return [place for place, name in enumerate(at.names) if not settings.target or name in settings.target]


def trial_passes(settings: TrialsConfig, rows: int, batch_size: int) -> float:
    """Forward passes over the stage's rows that all trials take: training counts three, measuring one."""
    trained = 3 * settings.proxy_steps * batch_size
    looked_at = min(settings.hold_out * rows, 2 * settings.val_rows)
    return settings.mixtures * (trained + looked_at) / max(1, rows)
