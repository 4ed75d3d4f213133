"""Which rows of a table train and which validate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._files.columns import Categories, Table
from .._training.weighting import divide

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]

LEVELS = 10  # the parts into which the rows of a number are divided, from its smallest values to its largest


def strata(table: Table, y: Array) -> Rows:
    """Return (n,) numbers of groups of rows, of which each part of a split has its share: classes, or ranges of y."""
    if isinstance(table.target, Categories):
        return y.astype(np.int64)
    levels = min(LEVELS, max(1, len(y) // LEVELS))
    ranks = np.empty(len(y), np.int64)
    ranks[np.argsort(y, kind="stable")] = np.arange(len(y))
    return ranks * levels // max(1, len(y))


def split(groups: Rows, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the numbers of the rows that train, and of those that validate. The only row of a group trains.

    If the fraction is not 0, at least one row validates, unless each group has only one row.

    Parameters
    ----------
    groups : (n,) from `strata`
    fraction : of the rows that validate, in [0, 1)
    rng : chooses the rows; the rows of a smaller fraction are among those of a larger one
    """
    n = len(groups)
    several = np.flatnonzero(np.bincount(groups)[groups] > 1)
    if fraction == 0 or len(several) < 2:
        return np.arange(n), np.empty(0, np.int64)
    least, most = 1 / len(several), 1 - 1 / len(several)
    share = min(max(fraction * n / len(several), least), most)
    if len(several) == n:
        return divide(share, n, groups, rng)
    _, validating = divide(share, len(several), groups[several], rng)
    validating = several[validating]
    validates = np.zeros(n, bool)
    validates[validating] = True
    return np.flatnonzero(~validates), validating
