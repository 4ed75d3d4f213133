"""Stream: samples that arrive in chunks, from arrays on disk, Parquet and Arrow files, or a source of your own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np

from .. import _checks
from .._names import NONE, Names
from . import _arrow
from ._columns import Selection
from ._pieces import Chunk, Pieces, Rows, Slices, Written

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Stream:
    """Samples for `Trainer.fit` and `Trainer.evaluate` that don't have to fit into memory.

    A thread reads ahead while the network trains. The chunks are cut into batches of the trainer's batch_size, across
    chunk borders. Without shuffling, the result is therefore bit-identical to training on the same samples in two
    arrays. See docs/streaming.md.

    Parameters
    ----------
    source : function, or iterable that can start again
        A function without arguments that returns the chunks of one pass over the samples, from the first chunk on, each
        time that it is called; or an iterable of chunks. A chunk is a pair (X, y) or a triple (X, y, sample_weight), as
        in `fit`, with any number of rows.
    rows : int, optional
        Number of rows in a pass, if you know it. A pass with fewer or more rows then raises an error. Schedules and the
        progress bar advance within an epoch only if it is known.
    shuffle_buffer : int
        Size of the buffer that a trainer with shuffling uses. Each incoming row replaces a row that is drawn at random
        from the buffer and passed to the network. 0 keeps the order of the source.
    read_ahead : int
        How many slabs to read ahead, ≥ 1. A slab holds whole batches: about 4 MB of them, or a single larger one.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of its range.

    Examples
    --------
    >>> def chunks():
    ...     for path in sorted(Path("data").glob("*.npz")):
    ...         with np.load(path) as file:
    ...             yield file["X"], file["y"]
    >>> trainer.fit(Stream(chunks), epochs=10)
    """

    _pieces: Pieces | None = None

    def __init__(
        self,
        source: Callable[[], Iterable[Any]] | Iterable[Any],
        *,
        rows: SupportsIndex | None = None,
        shuffle_buffer: SupportsIndex = 10_000,
        read_ahead: SupportsIndex = 2,
    ) -> None:
        is_data = isinstance(source, np.ndarray | str | bytes) or hasattr(source, "to_numpy")
        if is_data or not (callable(source) or isinstance(source, Iterable)):
            expected = "a function that returns an iterable of chunks (X, y), or such an iterable"
            raise TypeError(_checks.wrong("source", expected, _checks.typed(source)))
        self._source = source
        self.rows = None if rows is None else _checks.whole("rows", rows, minimum=1)
        self.shuffle_buffer = _checks.whole("shuffle_buffer", shuffle_buffer, minimum=0)
        self.read_ahead = _checks.whole("read_ahead", read_ahead, minimum=1)

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        chunk: SupportsIndex = 4096,
        shuffle_buffer: SupportsIndex = 10_000,
        read_ahead: SupportsIndex = 2,
    ) -> Stream:
        """Stream the rows of arrays, such as `numpy.memmap` or h5py's datasets, in slices of `chunk` rows.

        A trainer that shuffles reads the slices in random order, and their rows pass through the shuffle buffer.

        Parameters
        ----------
        X, y, sample_weight : objects with a length that can be sliced, all of the same length
            Any real dtype. Each slice is converted to the trainer's dtype when it is read.
        chunk : int
            Number of rows that are read at a time.
        shuffle_buffer, read_ahead : int
            As in `Stream`.
        """
        pieces = Slices({"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight}), chunk)
        return cls._of(pieces, shuffle_buffer, read_ahead)

    @classmethod
    def from_parquet(
        cls,
        paths: Paths,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        chunk: SupportsIndex = 4096,
        shuffle_buffer: SupportsIndex = 10_000,
        read_ahead: SupportsIndex = 2,
    ) -> Stream:
        """Stream the rows of Parquet files by row groups; needs pyarrow.

        A trainer that shuffles reads the row groups of all files in random order, and their rows pass through the
        shuffle buffer.

        Parameters
        ----------
        paths : path, or several
            Parquet files. Columns are matched by name, so they may have any order. A file that lacks a column is an
            error, and so is a file with more columns than the first, unless you pass `features`.
        target : str or several
            The column or columns of y.
        features : sequence of str, optional
            The columns of X, in this order. By default, all other columns of the first file, except the index of the
            pandas frame that it was written from. A column holds numbers, True and False, or lists of numbers of a
            fixed length, each of which becomes that many columns of X. Without `features`, a trainer that knows the
            column names from an earlier frame or Stream gets them in the order that it knows.
        sample_weight : str, optional
            The column of the sample weights.
        chunk : int
            Number of rows that are decoded at a time.
        shuffle_buffer, read_ahead : int
            As in `Stream`.

        Raises
        ------
        ValueError, TypeError
            If a column is missing or does not hold numbers. The first file is checked here, and the others before
            a fit or an evaluation begins; a loop over the Stream raises the error when it reaches that file. Missing
            values are an error when they are read.
        ImportError
            If pyarrow is not installed.
        """
        chosen = Selection.checked(target, features, sample_weight)
        rows = _checks.whole("chunk", chunk, minimum=1)
        return cls._of(_arrow.RowGroups(_paths("paths", paths), chosen, rows), shuffle_buffer, read_ahead)

    @classmethod
    def from_arrow(
        cls,
        source: Any,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        chunk: SupportsIndex = 4096,
        shuffle_buffer: SupportsIndex = 10_000,
        read_ahead: SupportsIndex = 2,
    ) -> Stream:
        """Stream the rows of Arrow or Feather files, a pyarrow Table or a pyarrow Dataset; needs pyarrow.

        A trainer that shuffles reads the record batches of files and tables in random order. It reads the rows of a
        Dataset, and of files in the streaming format, in the order in which they are stored. In both cases, all rows
        pass through the shuffle buffer.

        Parameters
        ----------
        source : path, or several; pyarrow.Table or pyarrow.dataset.Dataset
        target, features, sample_weight : str or sequence of str
            As in `from_parquet`.
        chunk : int
            Number of rows that are converted at a time.
        shuffle_buffer, read_ahead : int
            As in `Stream`.

        Raises
        ------
        ValueError, TypeError
            If a column is missing or does not hold numbers. The first file is checked here, and the others before
            a fit or an evaluation begins; a loop over the Stream raises the error when it reaches that file. Missing
            values are an error when they are read.
        ImportError
            If pyarrow is not installed.
        """
        chosen = Selection.checked(target, features, sample_weight)
        rows = _checks.whole("chunk", chunk, minimum=1)
        given = source if hasattr(source, "to_batches") else _paths("source", source)
        return cls._of(_arrow.batches_of(given, chosen, rows), shuffle_buffer, read_ahead)

    @classmethod
    def _of(cls, pieces: Pieces, shuffle_buffer: SupportsIndex, read_ahead: SupportsIndex) -> Stream:
        stream = cls((), rows=pieces.rows, shuffle_buffer=shuffle_buffer, read_ahead=read_ahead)
        stream._pieces = pieces
        return stream

    def __iter__(self) -> Iterator[Chunk]:
        """Iterate over the chunks in the source's order, without checks."""
        return (chunk for _, chunk in self._named(None))

    def __repr__(self) -> str:
        kind = type(self._pieces or self._source).__name__
        rows = "" if self.rows is None else f", rows={self.rows:,}"
        return f"Stream({kind}{rows}, shuffle_buffer={self.shuffle_buffer:,}, read_ahead={self.read_ahead})"

    @classmethod
    def _of_rows(cls, X: Written, *others: Any) -> Stream:
        """Stream X, which writes its rows, with y and perhaps sample_weight, in arrays."""
        return cls._of(Rows(X, *others), 0, 1)

    @property
    def _mixes(self) -> bool:
        """Whether chunks in random order have their rows in random order, so that no shuffle buffer is needed."""
        return isinstance(self._pieces, Rows)

    @property
    def _names(self) -> Names:
        """Names of the columns, if they are known before a chunk is read."""
        return NONE if self._pieces is None else self._pieces.names

    def _ordered(self, names: Names) -> Stream:
        """Return the Stream with the columns of X in this order, unless the user chose an order."""
        if self._pieces is None:
            return self
        self._pieces.check()
        if names.features is None:
            return self
        stream = copy.copy(self)
        stream._pieces = self._pieces.ordered(names.features)
        return stream

    @property
    def _once(self) -> bool:
        """Whether the source can be read only once."""
        return isinstance(self._source, Iterator)

    def _named(self, rng: np.random.Generator | None) -> Generator[tuple[str, Any], None, None]:
        """Yield the chunks of a pass, each with its name for messages; with rng, the pieces in random order."""
        if rng is not None and isinstance(self._pieces, Rows):
            yield from self._pieces.shuffled(rng)
            return
        if self._pieces is not None:
            count = len(self._pieces)
            for i in range(count) if rng is None else rng.permutation(count):
                yield from self._pieces.read(int(i))
            return
        chunks = self._source() if callable(self._source) else self._source
        if not isinstance(chunks, Iterable):
            expected = "a function that returns an iterable of chunks"
            raise TypeError(_checks.wrong("source", expected, _checks.typed(chunks)))
        for k, chunk in enumerate(chunks):
            yield f"chunk {k}", chunk


def _paths(argument: str, value: Any) -> list[str]:
    """Return one or more paths as a list."""
    values = value if _checks.is_sequence(value) else [value]
    paths = [_checks.path(argument, each) for each in values]
    if not paths:
        raise ValueError(_checks.wrong(argument, "a path, or several", "none"))
    return paths
