"""Columns that look like the target in disguise: alone, each predicts it almost perfectly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._files.columns import Categories, Table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = npt.NDArray[Any]

CORRELATION = 0.999
LEAST = 20  # rows, below which nearly everything predicts by chance
ROWS_PER_VALUE = 5  # a column with fewer rows for each of its values predicts by chance


def in_disguise(table: Table, frame: DataFrame, X: Array, y: Array) -> list[str]:
    """Return a note about each such column.

    Parameters
    ----------
    table : what each column becomes
    frame, X, y : the rows, raw and as inputs and targets
    """
    if len(y) < LEAST:
        return []
    names = [column.name for column in table.columns]
    if isinstance(table.target, Categories):
        found = [name for name in names if _determines(frame[name], y)]
        how = "each of its values has only one class of the target"
    else:
        found = [name for name in names if _correlates(X[:, table.slices[name]], y)]
        how = "its correlation with the target is almost 1"
    return [
        f"column {name!r} may be the target in another form, because {how}. If you won't know it when you predict, "
        f"train with --drop {_quoted(name)}."
        for name in found
    ]


def _determines(series: Series[Any], y: Array) -> bool:
    """Return whether each value of a column has one class, and has it often enough that this is no chance."""
    import pandas

    codes, values = pandas.factorize(series)
    if not 1 < len(values) <= len(y) / ROWS_PER_VALUE:
        return False
    present = codes >= 0
    pairs = np.unique(codes[present].astype(np.int64) * (int(y.max()) + 1) + y[present].astype(np.int64))
    return len(pairs) == len(values) and len(np.unique(y[present])) > 1


def _correlates(X: Array, y: Array) -> bool:
    centred = X - X.mean(axis=0, dtype=np.float64)
    residual = y - y.mean()
    scale = np.sqrt((centred**2).sum(axis=0) * (residual**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return bool((np.abs((residual[:, None] * centred).sum(axis=0)) / scale > CORRELATION).any())


def _quoted(name: str) -> str:
    return f"'{name}'" if any(not (sign.isalnum() or sign in "_-.") for sign in name) else name
