"""The inputs of many rows in little memory: the distinct values of a column are encoded, and rows are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..streams import Stream
from ._cells import Array

BLOCK = 4096  # rows that are written together, so that they stay in the cache
THROUGH = 1 << 11  # rows that a function gets at a time
LARGE = 1 << 26  # bytes of inputs that are put together only when they are needed

Rows = npt.NDArray[np.integer[Any]]


class Part(NamedTuple):
    """The inputs that one column becomes.

    Attributes
    ----------
    place : their columns of X
    values : (u + 1, width) the inputs of each distinct value, and of a missing one
    codes : (n,) the number of each row's value, −1 for a missing one
    """

    place: slice
    values: Array
    codes: Array

    @classmethod
    def of(cls, place: slice, values: Array, codes: Array) -> Part:
        """Return a part whose codes take as little memory as they can."""
        dtype = next((kind for kind in (np.int8, np.int16) if len(values) <= np.iinfo(kind).max), np.int32)
        return cls(place, values, codes.astype(dtype if len(values) < 1 << 31 else np.int64, copy=False))

    def write(self, rows: Rows, X: Array) -> None:
        """Write some rows to X, (m, n_inputs)."""
        chosen = self.codes.take(rows)
        if self.values.shape[1] == 1:  # twice as fast
            X[:, self.place.start] = self.values[:, 0].take(chosen, mode="wrap")
        else:
            X[:, self.place] = self.values.take(chosen, axis=0, mode="wrap")


class CrossFitted(Protocol):
    """Inputs of rows that are computed from the targets of other rows."""

    def parts(self, validation: Rows | None = None) -> tuple[Part, ...]:
        """Return the inputs, which are computed from no target of the rows that validate."""
        ...

    def parts_of_new(self) -> tuple[Part, ...]:
        """Return the inputs that the rows have after training, as new rows."""
        ...


@dataclass(frozen=True)
class Encoding:
    """Inputs of rows, (n, n_1), which are put together when they are asked for.

    `encoding[rows]` is a float32 array for a slice, or for an array of row numbers.

    Attributes
    ----------
    n, n_inputs : numbers of rows and of inputs
    parts : the inputs of each column; a later one may replace some of an earlier one
    order : (n,) the numbers of these rows among those of the parts; None for all of them
    crossed : gives the last of the parts, if targets are needed for them
    """

    n: int
    n_inputs: int
    parts: tuple[Part, ...]
    order: Rows | None = None
    crossed: CrossFitted | None = None

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the whole array."""
        return self.n, self.n_inputs

    @property
    def is_large(self) -> bool:
        """Whether the whole array takes so much memory that a Stream is better."""
        return self.n * self.n_inputs * self.dtype.itemsize > LARGE

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice | Rows) -> Array:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.n))
        X = np.empty((len(rows), self.n_inputs), self.dtype)
        for first in range(0, len(rows), BLOCK):
            self.write(rows[first : first + BLOCK], X[first : first + BLOCK])
        return X

    def write(self, rows: Rows, X: Array) -> None:
        """Write some rows to X, (m, n_inputs)."""
        chosen = rows if self.order is None else self.order.take(rows).astype(np.intp)  # once, not for each part
        for part in self.parts:
            part.write(chosen, X)

    def through(self, function: Callable[[Array], Array]) -> Array:
        """Return the function's result for all rows, which it gets in parts."""
        results = [function(self[start : start + THROUGH]) for start in range(0, self.n, THROUGH)]
        return np.concatenate(results) if len(results) > 1 else results[0]

    def of(self, rows: Rows) -> Encoding:
        """Return some of the rows."""
        order = rows if self.order is None else self.order[rows]
        order = order.astype(np.int32) if self.n < 1 << 31 else order
        return replace(self, n=len(rows), order=order, crossed=None)

    def stream(self, y: Array, sample_weight: Array | None = None) -> Stream:
        """Return a Stream of the rows with their targets. A trainer that shuffles gets all rows in random order."""
        return Stream._of_rows(self, *(each for each in (y, sample_weight) if each is not None))
