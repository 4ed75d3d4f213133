"""Memory for the rows of a Stream: slabs of whole batches, and the shuffle buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._engine.layout import aligned_zeros

Array = npt.NDArray[Any]
Chosen = tuple[Sequence[Array], npt.NDArray[np.int64]]  # columns, and numbers of some of their rows

SWAPPED = 8  # 1/8 of the shuffle buffer is drawn at a time; drawing fewer rows costs more per row


class Slab:
    """Memory for a number of rows of some columns.

    Parameters
    ----------
    columns : (n, …) arrays with the shapes and dtypes of the columns
    capacity : the largest number of rows

    Attributes
    ----------
    columns : (capacity, …) arrays
    count : number of rows that are in use
    """

    def __init__(self, columns: Sequence[Array], capacity: int) -> None:
        self.capacity, self.count = capacity, 0
        self.columns = [
            aligned_zeros(capacity * int(np.prod(column.shape[1:])), column.dtype).reshape(capacity, *column.shape[1:])
            for column in columns
        ]

    @property
    def is_full(self) -> bool:
        """Whether there is no space for another row."""
        return self.count == self.capacity

    @property
    def taken(self) -> list[Array]:
        """The columns, up to the last row that is in use."""
        return [column[: self.count] for column in self.columns]

    def take(self, columns: Sequence[Array], start: int, rows: npt.NDArray[np.int64] | None = None) -> int:
        """Copy rows start: of the columns, or the rows in rows[start:], as far as they fit. Return how many."""
        n = len(columns[0]) if rows is None else len(rows)
        m = min(n - start, self.capacity - self.count)
        for mine, column in zip(self.columns, columns, strict=True):
            place = mine[self.count : self.count + m]
            if rows is None:
                np.copyto(place, column[start : start + m])
            else:
                np.take(column, rows[start : start + m], axis=0, out=place, mode="clip")  # the other modes copy `out`
        self.count += m
        return m


class ShuffleBuffer:
    """A buffer from which random rows leave when others take their places.

    Incoming rows wait until they amount to an eighth of the buffer. Then as many rows are drawn from the buffer and
    leave in random order, and the waiting rows take their places. The result depends on the order of the rows, but not
    on the chunks.

    Parameters
    ----------
    columns : (n, …) arrays with the shapes and dtypes of the columns
    size : number of rows, ≥ 1
    """

    def __init__(self, columns: Sequence[Array], size: int) -> None:
        self.kept, self.coming = Slab(columns, size), Slab(columns, max(1, size // SWAPPED))

    def put(self, columns: Sequence[Array], rng: np.random.Generator) -> Iterator[Chosen]:
        """Add rows, and yield the rows that leave. Copy them before you request the next."""
        done = 0
        while done < len(columns[0]):
            place = self.coming if self.kept.is_full else self.kept
            done += place.take(columns, done)
            if self.coming.is_full:
                yield from self._swap(rng)

    def rest(self, rng: np.random.Generator) -> Iterator[Chosen]:
        """Yield all rows that are left, when there are no more incoming rows."""
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
    """Return the rows as (n,) items of bytes, which NumPy assigns several times faster than rows."""
    n = len(column)
    return column.reshape(n, -1).view(np.dtype((np.void, column.nbytes // n))).reshape(n)
