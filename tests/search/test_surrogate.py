"""The Gaussian process: gradients, invariances, and that its doubt is honest."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.search.kernel import Columns, Inputs, alike, between, differences
from tunewright.search.surrogate import Surrogate, _loss, typical

COLUMNS = Columns(numeric=(0, 1), nominal=(2,))


def data(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = np.column_stack([rng.random((count, 2)), rng.integers(0, 3, count)])
    scores = -4 * (inputs[:, 0] - 0.3) ** 2 + 0.3 * (inputs[:, 2] == 1)
    return inputs, scores + 0.05 * rng.standard_normal(count)


@pytest.mark.parametrize("columns", [COLUMNS, Columns((0, 1), (2,), (3,))])
def test_the_gradient_is_the_slope_of_the_loss(columns: Columns) -> None:
    inputs, scores = data(20)
    inputs = np.column_stack([inputs, np.arange(20) % 2])
    hyper = typical(columns) + np.resize([0.1, -0.2, 0.3], columns.count + 1)
    targets, known = (scores - scores.mean()) / scores.std(), np.linspace(0.0, 0.3, len(scores)) ** 2
    pairs = np.tril_indices(20, -1)
    given = (columns, differences(columns, inputs, inputs)[:, *pairs], pairs, targets, known, typical(columns))
    _, gradient = _loss(hyper, *given)
    for index in range(len(hyper)):
        step = np.zeros(len(hyper))
        step[index] = 1e-5
        slope = (_loss(hyper + step, *given)[0] - _loss(hyper - step, *given)[0]) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-5)


def test_a_score_counts_as_much_as_it_is_known() -> None:
    inputs, scores = data(20)
    scores[0] += 1.0
    row = Inputs(inputs[:1])
    sure = Surrogate(COLUMNS, inputs, scores, noises=np.zeros(20), fixed=typical(COLUMNS))
    vague = Surrogate(COLUMNS, inputs, scores, noises=np.array([2.0] + [0.0] * 19), fixed=typical(COLUMNS))
    assert sure.predict(row)[0][0] > vague.predict(row)[0][0] + 0.3
    alike = Surrogate(COLUMNS, inputs, np.linspace(0, 1e-3, 20), noises=np.full(20, 0.02), fixed=typical(COLUMNS))
    assert alike.spread > 0.02, "scores that differ less than their noise do not say that all others are like them"


def test_the_kernel_is_materns_and_falls_by_e_for_each_length_that_a_choice_differs() -> None:
    hyper = np.log(np.array([0.5, 1.0, 2.0, 0.1]))
    one, other = np.array([[0.2, 0.4, 0.0]]), np.array([[0.5, 0.4, 1.0]])
    scaled = np.sqrt(5) * 0.3 / 0.5
    likeness = np.array([(1 + scaled + scaled**2 / 3) * np.exp(-scaled), 1.0, np.exp(-1 / 2.0)])
    expected = 0.6 * likeness.mean() + 0.4 * likeness.prod()
    for against, is_ in ((other, expected), (one, 1.0)):
        found = alike(differences(COLUMNS, one, against), COLUMNS, hyper).kernel
        assert found[0, 0] == pytest.approx(is_)
        for times in (1, 100):  # few inputs, and as many as have their values looked at
            found = between(COLUMNS, Inputs(np.repeat(one, times, axis=0)), against, hyper)
            assert found == pytest.approx(np.full((times, 1), is_))


@pytest.mark.parametrize("studies", [(), (3,)])
def test_many_inputs_have_the_kernel_of_each(studies: tuple[int, ...]) -> None:
    rng, columns = np.random.default_rng(0), Columns((0, 1), (2,), studies)
    inputs, others = (
        np.column_stack([rng.random(n), rng.integers(0, 3, n) / 2, np.zeros(n), rng.integers(0, 2, n)])
        for n in (200, 7)
    )
    hyper = typical(columns)
    each = [between(columns, Inputs(row[None]), others, hyper)[0] for row in inputs]
    assert np.array_equal(between(columns, Inputs(inputs), others, hyper), np.array(each))


def test_it_finds_which_settings_matter_and_its_doubt_covers_the_truth() -> None:
    inputs, scores = data(60)
    model = Surrogate(COLUMNS, inputs, scores)
    assert model.hyper[0] < model.hyper[1] - 1, "the second setting does nothing"
    assert 0.02 < model.noise < 0.1
    fresh, _ = data(400, seed=1)
    truth = -4 * (fresh[:, 0] - 0.3) ** 2 + 0.3 * (fresh[:, 2] == 1)
    mean, spread = model.predict(Inputs(fresh))
    assert np.corrcoef(mean, truth)[0, 1] > 0.98
    assert 0.6 < np.mean(np.abs(mean - truth) < 1.28 * spread) < 0.98


def test_shift_and_scale_of_the_scores_change_nothing_else() -> None:
    inputs, scores = data(25)
    plain, moved = Surrogate(COLUMNS, inputs, scores), Surrogate(COLUMNS, inputs, 100 + 7 * scores)
    fresh, _ = data(10, seed=2)
    mean, spread = plain.predict(Inputs(fresh))
    other, wider = moved.predict(Inputs(fresh))
    assert np.allclose(100 + 7 * mean, other, atol=1e-3) and np.allclose(7 * spread, wider, rtol=1e-3)


def test_equal_scores_and_equal_recipes_are_no_trouble() -> None:
    inputs = np.repeat([[0.5, 0.5, 1.0]], 6, axis=0)
    mean, spread = Surrogate(COLUMNS, inputs, np.full(6, 0.25)).predict(Inputs(inputs))
    assert np.allclose(mean, 0.25) and np.all(np.isfinite(spread))
