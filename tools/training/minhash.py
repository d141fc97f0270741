"""Which texts are nearly the same: MinHash finds those that may be, their shingles say whether they are.

Broder, "On the resemblance and containment of documents", 1997; for training data Lee et al., arXiv 2107.06499.
Signatures only pick the pairs to look at: what counts as the same is decided by the exact Jaccard similarity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

PERMUTATIONS = 128
_MISSED = 0.01
"""Pairs exactly as alike as the threshold that are overlooked, at most."""


def shingles(text: str, size: int) -> frozenset[str]:
    """The text's runs of ``size`` characters, in lower case and with single spaces; a shorter text is one."""
    plain = " ".join(text.lower().split())
    return frozenset(plain[start : start + size] for start in range(max(1, len(plain) - size + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared shingles over all of both."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def band_rows(threshold: float) -> int:
    """How many numbers of a signature a band has: as many as miss one in a hundred pairs at the threshold, or less."""
    able = [
        rows for rows in (1, 2, 4, 8, 16, 32, 64, 128) if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= _MISSED
    ]
    return max(able, default=1)


def distinct(
    texts: Sequence[str], threshold: float, size: int, seed: int, check: Callable[[int, int], None]
) -> list[int]:
    """Indices of the texts that are less alike than the threshold to every one kept before them, ascending.

    Args:
        threshold: of the Jaccard similarity; 1 leaves out only what has the very same shingles.
        size: of a shingle, in characters.
        check: called with texts done and texts in all; may raise.
    """
    rows = band_rows(threshold)
    sign = _signer(seed)
    kept: dict[int, frozenset[str]] = {}
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for index, text in enumerate(texts):
        own = shingles(text, size)
        signature = sign(own)
        bands = [(start, signature[start : start + rows].tobytes()) for start in range(0, PERMUTATIONS, rows)]
        near = {other for band in bands for other in buckets.get(band, ())}
        if not any(jaccard(own, kept[other]) >= threshold for other in near):
            kept[index] = own
            for band in bands:
                buckets.setdefault(band, []).append(index)
        if index % 256 == 0:
            check(index, len(texts))
    return list(kept)


def _signer(seed: int) -> Callable[[frozenset[str]], Any]:
    """Shingles -> (permutations,): the least value of each of so many hash functions."""
    import numpy

    chance = numpy.random.default_rng(seed)
    factors = chance.integers(0, 2**63, PERMUTATIONS, dtype=numpy.uint64) * numpy.uint64(2) + numpy.uint64(1)
    offsets = chance.integers(0, 2**63, PERMUTATIONS, dtype=numpy.uint64)

    def sign(own: frozenset[str]) -> Any:
        hashes = numpy.array([_hash(one) for one in own], dtype=numpy.uint64)
        # Products wrap around at 2**64; the upper half of a multiply-shift hash is the random one.
        return ((hashes[:, None] * factors + offsets) >> numpy.uint64(32)).min(0)

    return sign


def _hash(shingle: str) -> int:
    return int.from_bytes(hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
