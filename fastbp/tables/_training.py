"""The inputs of the rows that a table was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._files.columns import Categories, Table
from . import _statistics
from ._cells import Array
from ._read import inputs
from ._target import targets

if TYPE_CHECKING:
    from pandas import DataFrame


def training_inputs(table: Table, frame: DataFrame) -> Array:
    """Return the inputs of the rows that the table was made from, (n, n_1) as float32.

    They differ from those of `inputs` where a column has mean targets: that of each row comes from rows of other folds,
    so that no input contains the row's own target. The same rows always give the same inputs.

    Parameters
    ----------
    table : Table
        What `recognise` returned for this frame.
    frame : pandas.DataFrame
        The rows, each with a target.
    """
    X = inputs(table, frame)
    found = _statistics.cross_fitted(table, frame, targets(table, frame)) if _has_statistics(table) else {}
    for name, means in found.items():
        place = table.slices[name]
        X[:, place.stop - means.shape[1] : place.stop] = means
    return X


def _has_statistics(table: Table) -> bool:
    return any(isinstance(column, Categories) and column.statistics for column in table.columns)
