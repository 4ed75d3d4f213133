"""Random numbers: SplitMix64 (Steele, Lea, Flood, 2014), one 64-bit word of state."""

import numpy as np

from .jit import inner
from .llvm import get, put

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
S11, S27, S30, S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
TO_UNIT = 2.0**-53


@inner
def mix(z):
    """Return a uint64 that looks random, from one that counts."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@inner
def uniform(state):
    """Return the next number in [0, 1), and advance the state, which is behind a pointer."""
    put(state, 0, get(state, 0) + GAMMA)
    return np.int64(mix(get(state, 0)) >> S11) * TO_UNIT


@inner
def shuffle(order, state):
    """Write a random permutation of 0 … n − 1 into order, a Run of n int64, whatever it contained.

    This is the inside-out version of Fisher and Yates's shuffle: the order of an epoch depends only on the state.
    """
    for i in range(order.size):
        j = np.int64(uniform(state) * (i + 1))
        put(order.at, i, get(order.at, j))
        put(order.at, j, i)


@inner
def reorder(data, state):
    """Write a random permutation of the rows that are samples into the order of Data."""
    shuffle(data.order, state)
    if data.chosen.size > 0:
        for i in range(data.order.size):
            put(data.order.at, i, get(data.chosen.at, get(data.order.at, i)))
