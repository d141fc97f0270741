"""Selections by what the model says of rows, or by their words: loss band, IFD, DSIR."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy
import pytest
import torch
from tests.training.chosen import choosing, select
from tests.training.planted import mixed, row

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Recipe
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.rowloss import row_losses
from tunewright.tools.training.selector import highest
from tunewright.tools.training.selectors.dsir import gumbel, importance, log_distribution, ngrams
from tunewright.tools.training.selectors.ifd import difficulties, kept
from tunewright.tools.training.selectors.loss_band import within
from tunewright.tools.training.targets import TargetConfig, targets

ROWS = mixed(clean=8, noise=4)


def by_hand(given: Any, ids: list[int], first: int) -> float:
    """The mean negative log-likelihood of the tokens from ``first`` on."""
    with torch.no_grad():
        every = given.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    found = every.gather(1, torch.tensor(ids)[1:, None])[:, 0]
    return float(-found[first - 1 :].mean())


def test_losses_are_those_of_the_answers(tiny: Found) -> None:
    given = choosing(tiny, ROWS, "loss_band")
    encoded = [given.form.encode(one) for one in ROWS]
    losses = row_losses(given.model, encoded, "fp32")
    for one, loss in zip(encoded, losses, strict=True):
        assert loss == pytest.approx(by_hand(given, one.input_ids, len(one.prompt)), rel=1e-4)


def test_a_band_by_hand() -> None:
    values = [5.0, 1.0, 2.0, 4.0, 3.0]
    assert within(values, 0.25, 0.75) == [2, 3, 4], "quantiles of five values are the values themselves"
    assert within(values, 0.3, 0.7) == [4], "2.2 to 3.8"
    assert within(values, 0.0, 1.0) == [0, 1, 2, 3, 4]
    assert within([math.nan, 1.0, 2.0, 3.0, math.inf], 0.0, 0.5) == [1, 2]
    assert within([math.nan], 0.0, 1.0) == []


def test_the_band_of_the_model(tiny: Found) -> None:
    given = choosing(tiny, ROWS, "loss_band", low=0.25, high=0.75)
    losses = row_losses(given.model, [given.form.encode(one) for one in ROWS], "fp32")
    order = sorted(range(len(ROWS)), key=lambda place: losses[place])
    band = select(tiny, ROWS, "loss_band", 1.0, low=0.25, high=0.75)
    assert set(order[6:14]) <= set(band) <= set(order[4:16]) and 9 <= len(band) <= 11
    fewer = select(tiny, ROWS, "loss_band", 0.2, low=0.25, high=0.75)
    assert len(fewer) == 4 and set(fewer) < set(band)
    with pytest.raises(UsageError, match="low has to be below high"):
        check_recipe(of("loss_band", low=0.7, high=0.3))


def of(kind: str, **settings: Any) -> Recipe:
    data = {"selection": {"kind": kind, **settings}}
    return Recipe.model_validate({"stages": [{"data": data, "optimisation": {"lr": 1e-3, "steps": 1}}]})


def test_difficulties_by_hand() -> None:
    assert difficulties([1.0, 3.0, 0.5], [2.0, 2.0, 0.0])[:2] == [0.5, 1.5]
    assert math.isnan(difficulties([0.5], [0.0])[0])
    scores = [0.2, 1.5, 0.9, math.nan, 1.0, 0.9]
    assert kept(scores, 2) == [2, 4], "the highest that are not above 1; of equals the first"
    assert kept(scores, 99) == [0, 2, 4, 5]
    assert kept([1.2, math.nan], 1) == []


def test_an_empty_prompt_has_a_difficulty_of_one(tiny: Found) -> None:
    given = choosing(tiny, [row(0, "a", "", "sky")], "ifd")
    encoded = given.form.encode(row(0, "a", "", "sky"))
    assert encoded.prompt == given.form.lead
    assert select(tiny, [row(0, "a", "", "sky"), row(1, "a", "", "sea")], "ifd", 1.0) == [0, 1]


def test_ifd_is_the_ratio_of_two_losses(tiny: Found) -> None:
    given = choosing(tiny, ROWS, "ifd")
    ratios = []
    for one in ROWS:
        encoded = given.form.encode(one)
        bare = [*given.form.lead, *encoded.completion]
        ratios.append(
            by_hand(given, encoded.input_ids, len(encoded.prompt)) / by_hand(given, bare, len(given.form.lead))
        )
    usable = [ratio if ratio <= 1 else -1.0 for ratio in ratios]
    assert sum(ratio > 1 for ratio in ratios) > 2, "else nothing is tested"
    expected = [place for place in highest(usable, 5) if usable[place] > 0]
    assert select(tiny, ROWS, "ifd", 0.25) == expected


def test_raw_text_has_no_difficulty(tiny: Found) -> None:
    raw = [{**row(n, "a", "", f"some text {n}"), "raw": True} for n in range(3)]
    with pytest.raises(UsageError, match="raw text"):
        select(tiny, raw, "ifd")


def test_words_and_pairs() -> None:
    assert ngrams("The cat, the CAT.") == [
        "the",
        "cat",
        ",",
        "the",
        "cat",
        ".",
        "the cat",
        "cat ,",
        ", the",
        "the cat",
        "cat .",
    ]
    assert ngrams("") == []


def test_importance_by_hand() -> None:
    """Two buckets, target counts 3 and 1, all counts 2 and 2, pseudo-counts of 1."""
    log_q, log_p = (log_distribution([counts], 2, 1.0) for counts in ({0: 3, 1: 1}, {0: 2, 1: 2}))
    assert numpy.exp(log_q).tolist() == pytest.approx([4 / 6, 2 / 6]) and numpy.exp(log_p).sum() == pytest.approx(1)
    assert importance({0: 2, 1: 1}, log_q - log_p) == pytest.approx(2 * math.log(4 / 3) + math.log(2 / 3))


def test_gumbel_draws_the_first_in_proportion_to_the_weights() -> None:
    """Chi-square over 4000 draws; the 99.9 % quantile for 2 degrees of freedom is 13.8."""
    weights = numpy.array([0.5, 0.3, 0.2])
    first = Counter(int((numpy.log(weights) + gumbel(3, seed)).argmax()) for seed in range(4000))
    assert sum((first[j] - 4000 * weights[j]) ** 2 / (4000 * weights[j]) for j in range(3)) < 13.8


def test_dsir_keeps_what_reads_like_the_target(tiny: Found) -> None:
    sea, car = "waves salt fish harbour tide", "engine wheel road brake gear"
    rows = [row(n, "goal", f"{sea} {n}", "yes") for n in range(10)]
    rows += [row(10 + n, "pool", f"{(sea, car)[n % 2]} number {n}", "yes") for n in range(40)]
    like, both = (select(tiny, rows, "dsir", 0.4, target=["goal"], resample=draw) for draw in (False, True))
    held = targets(rows, TargetConfig(target=("goal",)))
    assert len(held) == 1 and not set(held) & {*like, *both}
    assert len(like) == 20 and all("waves" in rows[place]["input"] for place in like)
    assert sum("waves" in rows[place]["input"] for place in both) >= 18
    assert (
        both
        == select(tiny, rows, "dsir", 0.4, target=["goal"])
        != select(tiny, rows, "dsir", 0.4, target=["goal"], seed=9)
    )
