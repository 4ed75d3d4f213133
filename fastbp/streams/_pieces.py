"""Pieces: the sources that a Stream reads in any order. Arrays are one of them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np

from .. import _checks
from .._names import NONE, Names, names_of

LEAST_ROWS, CHUNK_BYTES = 256, 1 << 20  # of a chunk that is written

Chunk = tuple[Any, ...]  # (X, y) or (X, y, sample_weight)


class Pieces(Protocol):
    """A source that is read piece by piece, in any order."""

    @property
    def rows(self) -> int | None:
        """Number of rows in all pieces, or None if it is unknown."""

    @property
    def names(self) -> Names:
        """Names of the columns, if they have names."""

    def check(self) -> None:
        """Raise an error if a file cannot be read like the first one."""

    def ordered(self, labels: Sequence[str]) -> Pieces:
        """Return the pieces with X's columns in the order of these names, unless the user chose an order."""

    def __len__(self) -> int: ...

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        """Yield the chunks of piece i, each with its name for messages."""


class Slices:
    """Arrays that are read in slices.

    Parameters
    ----------
    arrays : the arrays by argument name, X first
    chunk : number of rows in a slice
    """

    names = NONE  # for pickles from before names were stored

    def __init__(self, arrays: dict[str, Any], chunk: SupportsIndex) -> None:
        self.chunk = _checks.whole("chunk", chunk, minimum=1)
        for name, array in arrays.items():
            if not (hasattr(array, "__len__") and hasattr(array, "__getitem__")):
                raise TypeError(_checks.wrong(name, "an array", _checks.typed(array)))
        self.rows = len(arrays["X"])
        if not self.rows:
            raise ValueError(_checks.wrong("X", "at least one row", "none (an empty array)"))
        for name, array in arrays.items():
            if len(array) != self.rows:
                raise ValueError(_checks.wrong(name, f"{self.rows} rows, as many as X has", len(array)))
        self.names = names_of(arrays["X"], arrays["y"])
        self.arrays = [getattr(array, "iloc", array) for array in arrays.values()]  # pandas slices by label without it

    def check(self) -> None:
        """Do nothing: the arrays are checked when they are given."""

    def ordered(self, _labels: Sequence[str]) -> Pieces:
        return self

    def __len__(self) -> int:
        return len(range(0, self.rows, self.chunk))

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        rows = slice(i * self.chunk, min((i + 1) * self.chunk, self.rows))
        yield f"rows {rows.start} to {rows.stop - 1}", tuple(array[rows] for array in self.arrays)
        for array in self.arrays:
            _let_go(array)


class Written(Protocol):
    """X that is not in memory as numbers, and can write any of its rows to an array."""

    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns."""

    def write(self, rows: Any, X: Any) -> None:
        """Write rows, given their numbers, to an array."""


class Rows:
    """Samples of which any rows can be read at once, so that a pass takes all rows in random order.

    Parameters
    ----------
    X : the inputs
    others : y and perhaps sample_weight, arrays
    """

    names = NONE

    def __init__(self, X: Written, *others: Any) -> None:
        self.X, self.others, self.rows = X, others, X.shape[0]
        self.chunk = max(LEAST_ROWS, CHUNK_BYTES // (X.shape[1] * X.dtype.itemsize))

    def check(self) -> None:
        """Do nothing: the columns are those of fastbp."""

    def ordered(self, _labels: Sequence[str]) -> Pieces:
        return self

    def __len__(self) -> int:
        return len(range(0, self.rows, self.chunk))

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        start = i * self.chunk
        yield from self._chunks(np.arange(start, min(start + self.chunk, self.rows)))

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[str, Chunk]]:
        """Yield the chunks of all rows in random order."""
        yield from self._chunks(rng.permutation(self.rows))

    def _chunks(self, order: Any) -> Iterator[tuple[str, Chunk]]:
        space = np.empty((min(self.chunk, len(order)), self.X.shape[1]), self.X.dtype)  # a Stream copies its chunks
        for start in range(0, len(order), self.chunk):
            rows = order[start : start + self.chunk]
            self.X.write(rows, X := space[: len(rows)])
            yield f"the chunk of row {rows[0] + 1}", (X, *(array[rows] for array in self.others))


def _let_go(array: Any) -> None:
    """Release a mapped file's pages from this process's memory; a later read loads them again."""
    if isinstance(array, np.memmap) and array.mode == "r":
        mapped: Any = getattr(array, "_mmap", None)
        if hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)
