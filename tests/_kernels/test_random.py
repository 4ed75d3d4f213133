"""Shuffling: a permutation, every one as likely, from the state alone."""

from __future__ import annotations

from collections import Counter
from math import factorial

import numpy as np
import pytest

from fastbp._kernels import random
from fastbp._kernels.codes import Run
from fastbp._kernels.llvm import at
from tests._kernels.compiled import kernel


@kernel
def uniform(state):
    return random.uniform(at(state, 0))


@kernel
def shuffle(order, state):
    random.shuffle(Run(at(order, 0), order.size), at(state, 0))


def splitmix64(state: int) -> tuple[int, int]:
    """The published algorithm on Python's integers: state and output."""
    mask = (1 << 64) - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return state, z ^ (z >> 31)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_uniform_is_splitmix64(seed):
    state, expected = np.array([seed], np.uint64), seed
    for _ in range(100):
        expected, output = splitmix64(expected)
        assert uniform(state) == (output >> 11) * 2.0**-53
        assert state[0] == expected


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000])
def test_shuffle_is_a_permutation_of_the_state_alone(n):
    first, second = np.full(n, 7), np.full(n, -1)
    shuffle(first, np.array([5], np.uint64))
    shuffle(second, np.array([5], np.uint64))
    np.testing.assert_array_equal(np.sort(first), np.arange(n))
    np.testing.assert_array_equal(first, second)


def test_every_order_is_as_likely():
    """χ² over the 24 orders of 4; 60 is beyond one in 10⁴ for 23 degrees of freedom, and the seed is fixed."""
    state, order, n = np.array([1], np.uint64), np.empty(4, np.int64), 24_000
    counts = Counter()
    for _ in range(n):
        shuffle(order, state)
        counts[tuple(order)] += 1
    expected = n / factorial(4)
    assert len(counts) == factorial(4)
    assert sum((c - expected) ** 2 / expected for c in counts.values()) < 60
