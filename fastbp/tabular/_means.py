"""Mean targets of categories, each from the rows of other folds, smoothed by the mean of all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._blocks import Lookup

Array = npt.NDArray[Any]

SMOOTH = 10.0  # rows with the mean of all that count in each category's mean
CLASSES = 10  # with more, a column would become too many features


class MeanTargets(NamedTuple):
    """The mean targets of a column of categories.

    Attributes
    ----------
    block : the features of new rows
    crossed : (f, u + 2, w) the features of training rows, by fold: from the rows of the other folds
    """

    block: Lookup
    crossed: Array


def mean_targets(column: int, places: Array, n_places: int, t: Array, folds: Array, n_folds: int) -> MeanTargets:
    """Return the mean targets of a column.

    Parameters
    ----------
    column : row of `RawColumns.places`
    places : (n,) that row
    n_places : u + 2
    t : (n, w) targets, or whether a row has each class
    folds : (n,) the fold of each row
    n_folds : f
    """
    keys = folds.astype(np.int64) * n_places + places
    size = n_folds * n_places
    counts = np.bincount(keys, minlength=size).reshape(n_folds, n_places)
    sums = np.stack([np.bincount(keys, each, size) for each in t.T], axis=-1).reshape(n_folds, n_places, -1)
    everything = _smoothed(counts.sum(axis=0), sums.sum(axis=0))
    others = zip(counts.sum(axis=0) - counts, sums.sum(axis=0) - sums, strict=True)
    crossed = np.stack([_smoothed(count, total) for count, total in others])
    seen = crossed[folds, places]
    centers, deviations = seen.mean(axis=0), seen.std(axis=0)
    deviations[deviations < 1e-12] = 1.0
    scaled = [((values - centers) / deviations).astype(np.float32) for values in (everything, crossed)]
    return MeanTargets(Lookup(column, scaled[0]), scaled[1])


def _smoothed(counts: Array, sums: Array) -> Array:
    """Return the mean of each place, with SMOOTH more rows of the mean of all."""
    return (sums + SMOOTH * sums.sum(axis=0) / max(1, counts.sum())) / (counts[:, None] + SMOOTH)
