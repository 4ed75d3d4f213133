"""The inputs of the rows that a table was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .._files.columns import Categories, Table
from ._cells import Array
from ._pieces import Encoding
from ._problems import Problems
from ._read import encoded_with
from ._statistics import MeanTargets
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
    return training_encoding(table, frame)[:]


def training_encoding(table: Table, frame: DataFrame) -> Encoding:
    """Return the rows that the table was made from, read and checked."""
    encoding = encoded_with(table, frame, "other", Problems())  # the table's notes have the remarks
    if not any(isinstance(column, Categories) and column.statistics for column in table.columns):
        return encoding
    crossed = MeanTargets.of(table, frame, targets(table, frame))
    return replace(encoding, parts=encoding.parts + crossed.parts(), crossed=crossed)
