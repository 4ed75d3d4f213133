"""Ranks of numbers: a second input for columns of many different numbers, in which outliers don't count."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from ._cells import Array

ROWS = 300  # with at most so many, ranks say more about the rows than about the column
FEW = 10  # so many different numbers need no ranks
KNOTS = 65  # numbers whose ranks are stored
LEAST = 1e-3  # the first and the last rank are so far from 0 and 1


def knots_of(numbers: Array, counts: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return some of the numbers and their normal scores, with mean 0 and deviation 1 over all rows; () for few.

    Parameters
    ----------
    numbers : (u,) numbers
    counts : (u,) rows of each
    """
    numbers, same = np.unique(numbers, return_inverse=True)  # 1 and 1.0 are two texts
    counts = np.bincount(same, counts)
    if len(numbers) <= FEW or counts.sum() <= ROWS:
        return (), ()
    above = np.cumsum(counts)
    ranks = (above - counts / 2) / above[-1]
    places = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], KNOTS)))
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(min(max(rank, LEAST), 1 - LEAST)) for rank in ranks[places].tolist()])
    knots = numbers[places]
    every = np.interp(numbers, knots, scores)
    mean = np.average(every, weights=counts)
    deviation = np.sqrt(np.average((every - mean) ** 2, weights=counts))
    return tuple(knots.tolist()), tuple(((scores - mean) / deviation).tolist())
