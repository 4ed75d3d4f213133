"""Room for the rows of a Stream: slabs of whole batches, and the buffer in which rows are shuffled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._layout import aligned_zeros

Array = npt.NDArray[Any]
Chosen = tuple[Sequence[Array], npt.NDArray[np.int64]]  # columns, and which of their rows

SWAPPED = 8  # one in so many of the shuffle buffer's rows are drawn at a time: to draw fewer takes longer a row


class Slab:
    """Room for so many rows of some columns.

    Parameters
    ----------
    columns : (n, …) arrays, whose shapes and dtypes are taken
    capacity : rows

    Attributes
    ----------
    columns : (capacity, …) arrays
    count : rows that are taken
    """

    def __init__(self, columns: Sequence[Array], capacity: int) -> None:
        self.capacity, self.count = capacity, 0
        self.columns = [
            aligned_zeros(capacity * int(np.prod(column.shape[1:])), column.dtype).reshape(capacity, *column.shape[1:])
            for column in columns
        ]

    @property
    def is_full(self) -> bool:
        """Whether no row has room any more."""
        return self.count == self.capacity

    @property
    def taken(self) -> list[Array]:
        """The columns, up to the last row that is taken."""
        return [column[: self.count] for column in self.columns]

    def take(self, columns: Sequence[Array], start: int, rows: npt.NDArray[np.int64] | None = None) -> int:
        """Copy the rows of columns from `start` on, or rows[start:] of them, as many as have room; their number."""
        n = len(columns[0]) if rows is None else len(rows)
        m = min(n - start, self.capacity - self.count)
        for mine, column in zip(self.columns, columns, strict=True):
            place = mine[self.count : self.count + m]
            if rows is None:
                np.copyto(place, column[start : start + m])
            else:
                np.take(column, rows[start : start + m], axis=0, out=place, mode="clip")  # the others make a copy
        self.count += m
        return m


class ShuffleBuffer:
    """A buffer from which rows leave at random, when others take their places.

    Rows that come wait until they are an eighth of the buffer; then as many are drawn from it, leave in random order,
    and these take their places. So the order depends on the order in which rows come, and not on their chunks.

    Parameters
    ----------
    columns : (n, …) arrays, whose shapes and dtypes are taken
    size : rows, ≥ 1
    """

    def __init__(self, columns: Sequence[Array], size: int) -> None:
        self.kept, self.coming = Slab(columns, size), Slab(columns, max(1, size // SWAPPED))

    def put(self, columns: Sequence[Array], rng: np.random.Generator) -> Iterator[Chosen]:
        """Take rows; what leaves for them is to be copied before the next is asked for."""
        done = 0
        while done < len(columns[0]):
            place = self.coming if self.kept.is_full else self.kept
            done += place.take(columns, done)
            if self.coming.is_full:
                yield from self._swap(rng)

    def rest(self, rng: np.random.Generator) -> Iterator[Chosen]:
        """All that is left, when no more rows come."""
        if self.coming.count:
            yield from self._swap(rng)
        yield self.kept.columns, rng.permutation(self.kept.count)
        self.kept.count = 0

    def _swap(self, rng: np.random.Generator) -> Iterator[Chosen]:
        places = rng.choice(self.kept.capacity, self.coming.count, replace=False)
        yield self.kept.columns, places
        for kept, came in zip(self.kept.columns, self.coming.taken, strict=True):
            _as_items(kept)[places] = _as_items(came)
        self.coming.count = 0


def _as_items(column: Array) -> Array:
    """The rows as (n,) items of so many bytes, which NumPy puts into places some times faster than rows."""
    n = len(column)
    return column.reshape(n, -1).view(np.dtype((np.void, column.nbytes // n))).reshape(n)
