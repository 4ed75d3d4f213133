"""Mean targets of categories: inputs for columns with rare categories, as scikit-learn's TargetEncoder makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._files.columns import Categories, Column, Table
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
    columns = [_with_means(column, frame, _outputs(table, y)) for column in table.columns]
    return replace(table, columns=tuple(columns))


def cross_fitted(table: Table, frame: DataFrame, y: Array) -> dict[str, Array]:
    """Return the mean targets of the rows that the table was made from, each computed from rows of other folds."""
    found = {}
    for column in table.columns:
        if isinstance(column, Categories) and column.statistics:
            crossed = _crossed(places_of(column, cells_of(frame[column.name])), len(column.places), _outputs(table, y))
            means, deviations = _scaling(crossed)
            found[column.name] = (crossed - means) / deviations
    return found


def _outputs(table: Table, y: Array) -> Array:
    """Return the targets as (n, n_L): numbers, or 1 for the class of a row."""
    if not isinstance(table.target, Categories) or table.n_outputs == 1:
        return y[:, None].astype(np.float64)
    return np.eye(table.n_outputs)[y]


def _with_means(column: Column, frame: DataFrame, y: Array) -> Column:
    """Return the column with mean targets if it has rare categories."""
    if not isinstance(column, Categories) or not column.others:
        return column
    places, count = places_of(column, cells_of(frame[column.name])), len(column.places)
    means, deviations = _scaling(_crossed(places, count, y))
    scaled = (_means(places, count, y) - means) / deviations
    return replace(column, statistics=tuple(map(tuple, scaled[:-1].tolist())))


def _scaling(crossed: Array) -> tuple[Array, Array]:
    """Return the means and the deviations of mean targets."""
    deviations = crossed.std(axis=0)
    deviations[deviations < 1e-12] = 1.0
    return crossed.mean(axis=0), deviations


def _means(places: Array, count: int, y: Array) -> Array:
    """Return the mean targets, (count + 1, n_L), each with SMOOTH more rows of the mean of all; the last: missing."""
    n, sums = _sums(np.where(places < 0, count, places), count + 1, y)
    return (sums + SMOOTH * y.mean(axis=0)) / (n[:, None] + SMOOTH)


def _crossed(places: Array, count: int, y: Array) -> Array:
    """Return the (n, n_L) mean targets of rows, each computed from the rows of other folds."""
    folds = np.random.default_rng(0).permutation(len(y)) % FOLDS
    places = np.where(places < 0, count, places)
    n, sums = _sums(places * FOLDS + folds, (count + 1) * FOLDS, y)
    n, sums = n.reshape(-1, FOLDS), sums.reshape(-1, FOLDS, y.shape[1])  # of each category in each fold
    n, sums = n.sum(axis=1, keepdims=True) - n, sums.sum(axis=1, keepdims=True) - sums  # in all other folds
    means = sums.sum(axis=0) / np.maximum(n.sum(axis=0), 1)[:, None]
    crossed: Array = ((sums + SMOOTH * means) / (n[:, :, None] + SMOOTH))[places, folds]
    return crossed


def _sums(groups: Array, count: int, y: Array) -> tuple[Array, Array]:
    """Return the number of rows of each group, and the sums of their targets, (count, n_L)."""
    return np.bincount(groups, minlength=count), np.stack([np.bincount(groups, one, count) for one in y.T], axis=1)
