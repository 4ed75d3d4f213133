"""Mean targets of categories: inputs for columns with rare categories, as scikit-learn's TargetEncoder makes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._files.columns import Categories, Table
from ._cells import Array, cells_of
from ._read import places_of

if TYPE_CHECKING:
    from pandas import DataFrame

CLASSES = 10  # with more, there are no mean targets: each column would become too many inputs
SMOOTH = 10.0  # rows with the mean of all, which count in the mean of each category
FOLDS = 5


def added(table: Table, frame: DataFrame, y: Array) -> Table:
    """Return the table with mean targets for columns that have rare categories."""
    if isinstance(table.target, Categories) and len(table.target.categories) > CLASSES:
        return table
    columns = [
        replace(column, statistics=tuple(map(tuple, _Means.of(table, column, frame, y).scaled()[:-1].tolist())))
        if isinstance(column, Categories) and column.others
        else column
        for column in table.columns
    ]
    return replace(table, columns=tuple(columns))


def cross_fitted(table: Table, frame: DataFrame, y: Array) -> dict[str, tuple[Array, Array]]:
    """Return mean targets for the rows that the table was made from, each computed from rows of other folds.

    Returns
    -------
    found : for each column that has mean targets, the different ones, (u, n_L), and the number of each row's, (n,)
    """
    found = {}
    for column in table.columns:
        if isinstance(column, Categories) and column.statistics:
            means = _Means.of(table, column, frame, y)
            found[column.name] = means.scaled_crossed().reshape(-1, means.sums.shape[-1]), means.keys
    return found


@dataclass(frozen=True)
class _Means:
    """The mean targets of a column's places, of which the last is that of a missing value.

    Attributes
    ----------
    keys : (n,) the fold and the place of each row, as fold · places + place
    counts : (FOLDS, places) numbers of rows
    sums : (FOLDS, places, n_L) sums of their targets
    """

    keys: Array
    counts: Array
    sums: Array

    @classmethod
    def of(cls, table: Table, column: Categories, frame: DataFrame, y: Array) -> _Means:
        """Return the counts and sums of a column; y has numbers, or the numbers of classes."""
        n_places = len(column.places) + 1
        places = places_of(column, cells_of(frame[column.name]))
        places[places < 0] = n_places - 1
        keys = np.random.default_rng(0).permutation(len(y))
        keys %= FOLDS  # each array takes as much memory as a tenth of the table's file
        keys *= n_places
        keys += places
        del places
        size, k = FOLDS * n_places, table.n_outputs
        counts = np.bincount(keys, minlength=size).reshape(FOLDS, n_places)
        if k == 1:  # numbers, or 1 for the second of two classes
            sums = np.bincount(keys, y, size)
        else:
            sums = np.bincount(keys * k + y, minlength=size * k).astype(np.float64)
        return cls(keys.astype(np.int32 if size < 1 << 31 else np.int64), counts, sums.reshape(FOLDS, n_places, k))

    def scaled(self) -> Array:
        """Return the mean targets of all rows, (places, n_L)."""
        means, deviations = self._scaling()
        return (_smoothed(self.counts.sum(axis=0), self.sums.sum(axis=0)) - means) / deviations

    def scaled_crossed(self) -> Array:
        """Return the mean targets for the rows of each fold, from the other folds, (FOLDS, places, n_L)."""
        means, deviations = self._scaling()
        return (self._crossed() - means) / deviations

    def _crossed(self) -> Array:
        counts, sums = self.counts.sum(axis=0) - self.counts, self.sums.sum(axis=0) - self.sums
        if not counts.sum(axis=1).all():  # all rows are in one fold, because there is only one
            return np.broadcast_to(self.sums.sum(axis=(0, 1)) / self.counts.sum(), self.sums.shape)
        return np.stack([_smoothed(*fold) for fold in zip(counts, sums, strict=True)])

    def _scaling(self) -> tuple[Array, Array]:
        """Return the means and the deviations over rows."""
        crossed = self._crossed()
        weights = self.counts[:, :, None] / self.counts.sum()
        means = (weights * crossed).sum(axis=(0, 1))
        deviations = np.sqrt((weights * (crossed - means) ** 2).sum(axis=(0, 1)))
        deviations[deviations < 1e-12] = 1.0
        return means, deviations


def _smoothed(counts: Array, sums: Array) -> Array:
    """Return the mean targets of places, each with SMOOTH more rows of the mean of all."""
    return (sums + SMOOTH * sums.sum(axis=0) / counts.sum()) / (counts[:, None] + SMOOTH)
