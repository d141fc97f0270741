"""What is fitted to trials of mixtures: RegMix's regression and the data mixing law."""

from __future__ import annotations

import numpy
import pytest
from tests.training.chosen import mixing
from tests.training.planted import mixed

from tunewright.domain.errors import UsageError
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.mixes.regmix import best_mixture, rank_correlation
from tunewright.tools.training.mixing_law import Law, _huber, fit, lowest
from tunewright.tools.training.mixture_trials import Measured, chosen_targets, means, measured, tried
from tunewright.tools.training.registry import mix_policy
from tunewright.tools.training.simplex import dirichlet

THIRD = (1 / 3, 1 / 3, 1 / 3)


def test_regmix_recovers_the_optimum_of_a_quadratic() -> None:
    chance = numpy.random.default_rng(0)
    design = dirichlet(THIRD, 128, chance)
    best = numpy.array([0.6, 0.3, 0.1])
    losses = [float(((numpy.asarray(one) - best) ** 2).sum()) for one in design]
    found = best_mixture(design, losses, dirichlet(THIRD, 20_000, chance), 64, 0)
    assert numpy.abs(numpy.asarray(found) - best).max() < 0.1
    assert sum(found) == pytest.approx(1)
    assert rank_correlation(design, losses, 0) > 0.8


def test_nothing_to_predict_is_no_trust() -> None:
    chance = numpy.random.default_rng(0)
    design = dirichlet(THIRD, 40, chance)
    assert rank_correlation(design, [1.0] * 40, 0) == 0
    assert abs(rank_correlation(design, chance.normal(size=40).tolist(), 0)) < 0.5


def test_a_law_by_hand() -> None:
    law = Law(1.0, (0.0, -1.0))
    assert law([[1.0, 0.0], [0.5, 0.5]]).tolist() == pytest.approx([2.0, 1 + numpy.exp(-0.5)])


def test_a_law_fits_its_own_samples() -> None:
    """Slopes themselves are known up to a constant only; what is predicted is not."""
    chance = numpy.random.default_rng(1)
    for slopes in ((-1.5, 0.3, 0.1), (0.5, -2.0, -0.2)):
        law, design = Law(1.2, slopes), dirichlet(THIRD, 20, chance, strengths=(0.5, 10.0))
        found, fresh = fit(design, law(design).tolist()), dirichlet(THIRD, 50, chance)
        assert numpy.abs(found(design) - law(design)).max() < 1e-3
        assert numpy.abs(found(fresh) - law(fresh)).max() < 5e-3


def test_hubers_loss_has_the_gradient_that_differences_say() -> None:
    chance = numpy.random.default_rng(2)
    p, wanted = numpy.asarray(dirichlet(THIRD, 6, chance)), chance.normal(size=6) + 2
    at = chance.normal(size=4) * 0.3
    _, gradient = _huber(at, p, wanted)
    step = 1e-6
    differences = [
        (_huber(at + step * unit, p, wanted)[0] - _huber(at - step * unit, p, wanted)[0]) / (2 * step)
        for unit in numpy.eye(4)
    ]
    assert gradient.tolist() == pytest.approx(differences, rel=1e-4, abs=1e-7)


def test_the_lowest_mixture_is_no_worse_than_any_on_a_grid() -> None:
    laws = [Law(0.5, (-3.0, -0.5, 0.0)), Law(0.8, (0.0, -2.0, 0.2)), Law(1.0, (-0.2, 0.0, 0.1))]
    found = lowest(laws, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    grid = [(a / 50, b / 50, (50 - a - b) / 50) for a in range(51) for b in range(51 - a)]
    best = min(float(sum(law([one])[0] for law in laws)) for one in grid)
    assert float(sum(law([found])[0] for law in laws)) <= best + 1e-6
    assert found[2] == pytest.approx(0, abs=1e-6), "the third helps with nothing"
    bounded = lowest(laws, [1.0, 1.0, 1.0], [0.2, 0.3, 1.0])
    assert bounded == pytest.approx((0.2, 0.3, 0.5), abs=1e-6)


def test_losses_are_averaged_over_each_source() -> None:
    at = Measured(("a", "b"), ((4, 7), (1,)))
    assert means([1.0, 3.0, 5.0], at) == [2.0, 5.0] and at.held == {1, 4, 7}


def test_trials_begin_alike_and_are_of_their_mixtures(tiny: Found) -> None:
    rows = mixed(clean=12, noise=12)
    given = mixing(tiny, rows, "regmix", lr=1e-2, proxy_steps=6)
    at = measured(given, 0.2, 8)
    assert {given.sources.rows[place]["source"] for place in at.held} == {"one", "two", "noise"}
    alone = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    losses = tried(given, [*alone, alone[0]], at)
    assert losses[3] == pytest.approx(losses[0], rel=0.05), "the same mixture, other rows"
    assert losses[0][0] < losses[2][0] and losses[2][2] < losses[0][2], "a source is learnt from its own rows"


def test_targets_have_to_be_sources(tiny: Found) -> None:
    given = mixing(tiny, mixed(clean=6, noise=6), "regmix", target=["too"])
    with pytest.raises(UsageError, match="'too' is no source that this stage has rows of") as caught:
        chosen_targets(given.settings, measured(given, 0.2, 8))
    assert "one, two, noise" in caught.value.hint
    named = mixing(tiny, mixed(clean=6, noise=6), "regmix", target=["noise"])
    assert chosen_targets(named.settings, measured(named, 0.2, 8)) == [2]


def test_a_source_of_one_row_cannot_be_measured(tiny: Found) -> None:
    given = mixing(tiny, mixed(clean=6, noise=1), "regmix")
    with pytest.raises(UsageError, match="source 'noise' has a single row"):
        mix_policy("regmix").weigh(given)


@pytest.mark.parametrize(
    ("kind", "settings"), [("regmix", {"mixtures": 16}), ("mixing_laws", {"mixtures": 16, "most_repeats": 1000.0})]
)
def test_noise_gets_a_low_weight(tiny: Found, kind: str, settings: dict[str, float]) -> None:
    given = mixing(tiny, mixed(), kind, batch=8, steps=60, seed=1, rank=8, lr=1e-2, proxy_steps=8, **settings)
    found = mix_policy(kind).weigh(given)
    assert found.weights[2] < 1 / 3 * 0.75 and sum(found.weights) == pytest.approx(1)
    assert found.weights == mix_policy(kind).weigh(given).weights, "equal seeds, equal weights"


def test_a_source_of_weight_zero_stays_out(tiny: Found) -> None:
    for kind in ("regmix", "mixing_laws", "doremi"):
        given = mixing(tiny, mixed(clean=8, noise=8), kind, given=(0.5, 0.0, 0.5), steps=8)
        found = mix_policy(kind).weigh(given).weights
        assert found[1] == 0 and sum(found) == pytest.approx(1), kind
