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


def shuffled(loss: Callable[[RawColumns], float], raw: RawColumns, repeats: int, random: np.random.Generator) -> Array:
    """Return by how much the loss of rows rises when a column is shuffled among them, (p, repeats)."""
    p = len(raw.names)
    before, values = loss(raw), np.zeros((p, repeats))
    for j in range(p):
        flags = np.zeros((len(raw), p), bool)
        flags[:, j] = True
        for i in range(repeats):
            others = raw.take(random.permutation(len(raw)))
            values[j, i] = loss(raw.mixed(others, flags)) - before
    return values


def as_frame(names: Sequence[str], values: Array) -> DataFrame:
    """Return the mean and the deviation over the shuffles, the most important column first."""
    import pandas

    columns = {"importance": values.mean(axis=1), "deviation": values.std(axis=1)}
    frame = pandas.DataFrame(columns, index=pandas.Index(list(names), name="column"))
    return frame.sort_values("importance", ascending=False, kind="stable")
