"""The inputs of the rows that a table was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._files.columns import Categories, Table
from . import _statistics
from ._cells import Array
from ._pieces import Encoding, Part
from ._problems import Problems
from ._read import encoded_with
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
    parts = list(encoding.parts)
    for name, (means, numbers) in _statistics.cross_fitted(table, frame, targets(table, frame)).items():
        stop = table.slices[name].stop
        parts.append(Part.of(slice(stop - means.shape[1], stop), means.astype(np.float32), numbers))
    return replace(encoding, parts=tuple(parts))
