"""Near duplicates: similarities by hand, what stays, and that signatures only save work."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
import torch
from tests.training.chosen import choosing, select
from tests.training.planted import mixed, row

from tunewright.tools.models.resolve import Found
from tunewright.tools.training.embedding import apart, embeddings
from tunewright.tools.training.minhash import PERMUTATIONS, _signer, band_rows, distinct, jaccard, shingles


def silent(done: int, of: int) -> None:
    pass


def test_similarity_by_hand() -> None:
    one, other = shingles("abcd", 2), shingles("abce", 2)  # ab bc cd; ab bc ce
    assert jaccard(one, other) == pytest.approx(2 / 4)
    assert shingles("  A \n b ", 3) == {"a b"} and shingles("x", 5) == {"x"} and shingles("", 5) == {""}
    assert jaccard(shingles("", 5), shingles("", 5)) == 1


def test_signatures_agree_as_often_as_shingles_do() -> None:
    """The share of equal numbers estimates the similarity, with a standard error of sqrt(J (1 - J) / 128)."""
    one, other = frozenset(f"s{n}" for n in range(60)), frozenset(f"s{n}" for n in range(20, 80))
    found = [float((_signer(seed)(one) == _signer(seed)(other)).mean()) for seed in range(20)]
    assert sum(found) / 20 == pytest.approx(40 / 80, abs=4 * (0.25 / (20 * PERMUTATIONS)) ** 0.5)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_miss_one_pair_in_a_hundred_at_most(threshold: float) -> None:
    rows = band_rows(threshold)
    assert PERMUTATIONS % rows == 0
    assert (1 - threshold**rows) ** (PERMUTATIONS // rows) <= 0.01 or rows == 1


def test_it_finds_what_comparing_all_pairs_finds() -> None:
    chance = random.Random(0)
    texts = ["".join(chance.choices("abcdefgh ", k=40)) for _ in range(60)]
    for place in range(30, 60):  # each a copy of an earlier one with a few letters changed
        letters = list(texts[place - 30])
        for at in chance.sample(range(40), place % 4):
            letters[at] = "z"
        texts[place] = "".join(letters)
    kept: list[int] = []
    for index, text in enumerate(texts):
        if all(jaccard(shingles(text, 3), shingles(texts[other], 3)) < 0.7 for other in kept):
            kept.append(index)
    assert 30 < len(kept) < 60
    assert distinct(texts, 0.7, 3, 0, silent) == kept == distinct(texts, 0.7, 3, 1, silent)


def test_exact_copies_go_and_the_first_stays(tiny: Found) -> None:
    rows = [row(n, "a", f"the very first sentence number {n % 3}", "yes") for n in range(9)]
    assert select(tiny, rows, "dedup", 1.0, threshold=1.0) == [0, 1, 2]
    labels = [{**one, "target": str(n)} for n, one in enumerate(rows)]
    assert select(tiny, labels, "dedup", 1.0, threshold=1.0) == list(range(9)), "other answers are other rows"
    assert select(tiny, labels, "dedup", 1.0, threshold=1.0, of="input") == [0, 1, 2]


def test_keep_is_an_upper_bound(tiny: Found) -> None:
    rows = [row(n, "a", f"{'abcdefghij'[n % 10] * 12}", "yes") for n in range(20)]
    assert select(tiny, rows, "dedup", 1.0) == list(range(10))
    fewer = select(tiny, rows, "dedup", 0.25)
    assert len(fewer) == 5 and set(fewer) < set(range(10))


def test_cosines_by_hand() -> None:
    half = 0.5**0.5
    vectors = torch.tensor([[1.0, 0.0], [half, half], [0.0, 1.0], [1.0, 0.0]])
    assert apart(vectors, 0.8) == [0, 1, 2], "one of two duplicates stays"
    assert apart(vectors, 0.7) == [0, 2], "0.707 is more than 0.7"
    assert apart(vectors, 1.0) == [0, 1, 2, 3], "tau = 1 keeps all"


def test_embeddings_do_not_depend_on_the_batch(tiny: Found) -> None:
    rows = mixed(clean=6, noise=6)
    given = choosing(tiny, rows, "dedup")
    encoded = [given.form.encode(one) for one in rows]
    together = embeddings(given.model, encoded, "fp32", silent)
    alone = torch.cat([embeddings(given.model, [one], "fp32", silent) for one in encoded])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(len(rows)))
    ids = torch.tensor([encoded[0].input_ids])
    with torch.no_grad():
        state = given.model.model(ids).last_hidden_state[0, -1]
    assert torch.allclose(together[0], state / state.norm(), atol=1e-5)


def test_by_embedding_a_copy_goes(tiny: Found) -> None:
    rows = mixed(clean=4, noise=0)
    doubled = [*rows, *({**one, "id": f"{one['id']}-2"} for one in rows)]
    kept = select(tiny, doubled, "dedup", 1.0, by="embedding", threshold=0.9999)
    assert set(kept) <= set(range(len(rows))) and kept
    given = choosing(tiny, rows, "dedup")
    vectors = embeddings(given.model, [given.form.encode(one) for one in rows], "fp32", silent)
    assert all(float(vectors[one] @ vectors[other]) <= 0.9999 for one, other in combinations(kept, 2))
