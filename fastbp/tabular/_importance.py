"""How much worse an ensemble gets when the values of a column are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

AT_ONCE = 8192  # rows to predict at once


def shuffled(
    losses: Callable[[RawColumns], Sequence[float]], raw: RawColumns, repeats: int, random: np.random.Generator
) -> Array:
    """Return by how much the loss of n rows rises when a column is shuffled among them, (p, repeats).

    Parameters
    ----------
    losses : returns the loss of each n of the rows that it is given
    raw : the rows
    repeats, random : how often to shuffle each column, and how
    """
    n, p = len(raw), len(raw.names)
    (before,), values = losses(raw), np.zeros((p, repeats))
    together = max(1, min(repeats, AT_ONCE // n))
    for j in range(p):
        for start in range(0, repeats, together):
            count = min(together, repeats - start)
            flags = np.zeros((count * n, p), bool)
            flags[:, j] = True
            others = raw.take(np.concatenate([random.permutation(n) for _ in range(count)]))
            found = losses(raw.take(np.tile(np.arange(n), count)).mixed(others, flags))
            values[j, start : start + count] = np.array(found) - before
    return values


def as_frame(names: Sequence[str], values: Array) -> DataFrame:
    """Return the mean and the deviation over the shuffles, the most important column first."""
    import pandas

    columns = {"importance": values.mean(axis=1), "deviation": values.std(axis=1)}
    frame = pandas.DataFrame(columns, index=pandas.Index(list(names), name="column"))
    return frame.sort_values("importance", ascending=False, kind="stable")
