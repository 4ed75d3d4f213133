"""Mean targets of categories, each from the rows before it in a random order, smoothed by the mean of all.

These are CatBoost's ordered target statistics (arXiv 1706.09516). A mean over the rows of other folds would tell a
model the mean of a row's own fold, and with it the targets of the rows that validate.
"""

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
    block : the features of new rows, from all rows of training
    ordered : (n, w) the features of the training rows
    """

    block: Lookup
    ordered: Array


def mean_targets(column: int, places: Array, n_places: int, t: Array, rng: np.random.Generator) -> MeanTargets:
    """Return the mean targets of a column.

    Parameters
    ----------
    column : row of `RawColumns.places`
    places : (n,) that row
    n_places : u + 2
    t : (n, w) targets, or whether a row has each class
    rng : draws the order of the rows
    """
    prior = SMOOTH * t.mean(axis=0)
    counts = np.bincount(places, minlength=n_places)
    sums = np.stack([np.bincount(places, each, n_places) for each in t.T], axis=-1)
    final = (sums + prior) / (counts[:, None] + SMOOTH)
    order = rng.permutation(len(places))
    order = order[np.argsort(places[order], kind="stable")]  # category by category, each in a random order
    first = np.repeat(np.cumsum(counts) - counts, counts)  # where the category of each row begins
    before = np.concatenate([np.zeros((1, t.shape[1])), np.cumsum(t[order], axis=0)])
    ordered = np.empty(t.shape)
    rows = np.arange(len(places))
    ordered[order] = (before[rows] - before[first] + prior) / ((rows - first)[:, None] + SMOOTH)
    centers, deviations = ordered.mean(axis=0), ordered.std(axis=0)
    deviations[deviations < 1e-12] = 1.0
    scaled = [((values - centers) / deviations).astype(np.float32) for values in (final, ordered)]
    return MeanTargets(Lookup(column, scaled[0]), scaled[1])
