"""Mean targets of categories: inputs for columns with rare categories, as scikit-learn's TargetEncoder makes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._files.columns import Categories, Table
from ._cells import Array, cells_of
from ._pieces import Part, Rows
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


@dataclass(frozen=True)
class MeanTargets:
    """The mean targets that are inputs of the rows that a table was made from.

    Attributes
    ----------
    columns : the inputs of each column that has mean targets, and its counts
    y : (n,) targets, or the numbers of classes
    """

    columns: tuple[tuple[slice, _Means], ...]
    y: Array

    @classmethod
    def of(cls, table: Table, frame: DataFrame, y: Array) -> MeanTargets:
        """Return those of a table and the rows that it was made from."""
        columns = []
        for column in table.columns:
            if isinstance(column, Categories) and column.statistics:
                stop = table.slices[column.name].stop
                columns.append((slice(stop - table.n_outputs, stop), _Means.of(table, column, frame, y)))
        return cls(tuple(columns), y)

    def parts(self, validation: Rows | None = None) -> tuple[Part, ...]:
        """Return the inputs, each computed from rows of other folds.

        Parameters
        ----------
        validation : numbers of the rows that validate. No mean target is computed from them: they are treated as rows
            that come after training.
        """
        found = []
        for place, means in self.columns:
            values, keys = means.crossed_inputs(self.y, validation)
            found.append(Part.of(place, values.astype(np.float32), keys))
        return tuple(found)

    def parts_of_new(self) -> tuple[Part, ...]:
        """Return the inputs that these rows have after training, as new rows: computed from all rows."""
        return tuple(
            Part.of(place, means.scaled().astype(np.float32), means.keys % means.counts.shape[1])
            for place, means in self.columns
        )


@dataclass(frozen=True)
class _Means:
    """The mean targets of a column's places, of which the last is that of a missing value.

    Attributes
    ----------
    keys : (n,) the fold and the place of each row, as fold · places + place
    counts : (FOLDS, places) numbers of rows
    sums : (FOLDS, places, n_L) sums of their targets
    rare : the places whose mean targets are inputs; the others have inputs of their own
    """

    keys: Array
    counts: Array
    sums: Array
    rare: slice

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
        rare = slice(len(column.categories), n_places - 1)
        counts, sums = _counted(keys, y, n_places, table.n_outputs)
        return cls(keys.astype(np.int32 if 2 * sums.size < 1 << 31 else np.int64), counts, sums, rare)

    def scaled(self) -> Array:
        """Return the mean targets of all rows, (places, n_L)."""
        return self._scaled(_smoothed(self.counts.sum(axis=0), self.sums.sum(axis=0)))

    def crossed_inputs(self, y: Array, validation: Rows | None) -> tuple[Array, Array]:
        """Return the different mean targets, (u, n_L), and the number of each row's, (n,); see `MeanTargets.parts`."""
        crossed, keys = self._crossed(), self.keys
        if validation is not None:
            alone = self._without(validation, y)
            new = _smoothed(alone.counts.sum(axis=0), alone.sums.sum(axis=0))
            crossed = np.concatenate([alone._crossed(), new[None]])
            keys = keys.copy()
            keys[validation] = keys[validation] % self.counts.shape[1] + self.counts.size
        return self._scaled(crossed).reshape(-1, self.sums.shape[-1]), keys

    def _without(self, rows: Rows, y: Array) -> _Means:
        """Return the counts and sums of the other rows."""
        counts, sums = _counted(self.keys[rows], y[rows], *self.sums.shape[1:])
        return replace(self, counts=self.counts - counts, sums=self.sums - sums)

    def _scaled(self, targets: Array) -> Array:
        """Return mean targets, (…, places, n_L), scaled for the rare categories, and 0 for the others."""
        means, deviations = self._scaling()
        found = np.zeros(targets.shape)
        found[..., self.rare, :] = (targets[..., self.rare, :] - means) / deviations
        return found

    def _crossed(self) -> Array:
        counts, sums = self.counts.sum(axis=0) - self.counts, self.sums.sum(axis=0) - self.sums
        if not counts.sum(axis=1).all():  # all rows are in one fold, because there is only one
            return np.broadcast_to(self.sums.sum(axis=(0, 1)) / self.counts.sum(), self.sums.shape)
        return np.stack([_smoothed(*fold) for fold in zip(counts, sums, strict=True)])

    def _scaling(self) -> tuple[Array, Array]:
        """Return the means and the deviations over the rows of rare categories."""
        crossed, counts = self._crossed()[:, self.rare], self.counts[:, self.rare]
        weights = counts[:, :, None] / counts.sum()
        means = (weights * crossed).sum(axis=(0, 1))
        deviations = np.sqrt((weights * (crossed - means) ** 2).sum(axis=(0, 1)))
        deviations[deviations < 1e-12] = 1.0
        return means, deviations


def _counted(keys: Array, y: Array, n_places: int, k: int) -> tuple[Array, Array]:
    """Return the counts and sums of `_Means` for rows with these keys."""
    size = FOLDS * n_places
    counts = np.bincount(keys, minlength=size).reshape(FOLDS, n_places)
    if k == 1:  # numbers, or 1 for the second of two classes
        sums = np.bincount(keys, y, size)
    else:
        sums = np.bincount(keys.astype(np.int64) * k + y, minlength=size * k).astype(np.float64)
    return counts, sums.reshape(FOLDS, n_places, k)


def _smoothed(counts: Array, sums: Array) -> Array:
    """Return the mean targets of places, each with SMOOTH more rows of the mean of all."""
    return (sums + SMOOTH * sums.sum(axis=0) / counts.sum()) / (counts[:, None] + SMOOTH)
