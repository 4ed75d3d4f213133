"""Text tables: CSV files and the like, with any separator, in any encoding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _pyarrow
from .._checks import shown, wrong
from .._memory_limit import memory_limit, return_memory
from . import TableError, rows
from .cutting import MARKS, SEPARATORS
from .dialects import Dialect, dialect_of
from .sources import Source

if TYPE_CHECKING:
    from pandas import DataFrame

Codes = npt.NDArray[np.signedinteger[Any]]
BLOCK = 1 << 18  # bytes that pyarrow reads at a time; larger blocks take more memory, smaller ones more time
BLOCK_ROWS = 100  # rows in a block, at the least
LARGEST_BLOCK = 1 << 28
ROWS_WAITING, TEXTS_WAITING = 1 << 16, 1 << 12  # in blocks whose texts don't have the column's numbers yet
LARGER = 1.3  # growth of a column's memory


def read(source: Source, wanted: Collection[str] = (), *, named: bool = True) -> DataFrame:
    """Return a text table. Every cell is text, so that a column means the same whatever other values it has.

    Each column is a pandas Categorical of the texts as they are in the file, in the order in which they first come.
    Empty cells are missing. `attrs["notes"]` says what the user should know about the file.

    Parameters
    ----------
    source : the file
    wanted : names of needed columns; the first line may be all numbers only if it has one of them
    named : whether the first line has the names; otherwise they are column_1, column_2 …
    """
    import pandas

    dialect = dialect_of(source, wanted, named=named)
    if named and not _is_header(dialect.names, wanted):
        advice = "if these are data, use --no-header; if these are names, change one to text, such as x1"
        came = ", ".join(dialect.names)
        raise TableError(f"expected column names in the first line, got numbers: {came}; {advice}")
    if named:
        _refuse_undivided(dialect.names, wanted)
    notes = []
    if not dialect.encoding.startswith("utf-8"):
        notes.append(f"the file is not UTF-8; it was read as {dialect.encoding}")
    cutting = dialect.cutting
    if cutting.separator != ",":
        notes.append(f"the separator is {SEPARATORS.get(cutting.separator, repr(cutting.separator))}")
    if cutting.quote != '"':
        notes.append(f"cells are between {MARKS[cutting.quote]}")
    if cutting.escape:
        notes.append(f"a backslash stands before {MARKS[cutting.quote]} in cells")
    if dialect.titled:
        what = "names are" if named else "rows begin"
        notes.append(f"the {what} in line {dialect.skipped + 1}; the lines before it are not part of the table")
    columns = _by_pyarrow(source, dialect) if dialect.plain else None
    if columns is None:
        cells = rows.read(source, dialect)
        columns = [(_small(np.array(c, np.int32), len(t)), t) for c, t in zip(cells.codes, cells.texts, strict=True)]
        if cells.n_short:
            notes.append(
                f"rows with fewer cells than columns: {cells.n_short}; the cells at their end count as missing"
            )
    made = {place: _categorical(*column) for place, column in enumerate(columns)}
    frame = pandas.DataFrame(made, copy=False)
    return_memory()
    frame.columns = pandas.Index(dialect.names, dtype=object)
    frame.attrs["notes"] = notes
    return frame


def _categorical(codes: Codes, texts: Any) -> Any:
    import pandas

    return pandas.Categorical.from_codes(codes, pandas.Index(texts, dtype="str"))


def _refuse_undivided(names: Sequence[str], wanted: Collection[str]) -> None:
    """Refuse a table of one column whose name seems to have several in it."""
    if len(names) == 1 and set(wanted).difference(names) and len(names[0].split()) > 1:
        expected = "cells between commas, semicolons, tabs, vertical bars or spaces"
        came = f"the first line {shown(names[0])}, and no separator that gives each row as many cells"
        raise TableError(f"{wrong('the table', expected, came)}; save it as CSV")


def _is_header(names: Sequence[str], wanted: Collection[str]) -> bool:
    """Return whether the first line of a file names its columns.

    Numbers may be names if one of them is wanted and they increase or have no gaps, which data seldom does.
    """
    import pandas

    numbers = pandas.to_numeric(np.array(names, object), errors="coerce")
    if np.isnan(numbers).any():
        return True
    if len(wanted) > 1 and set(wanted) <= set(names):
        return True
    in_order = all(a < b for a, b in pairwise(numbers))
    without_gaps = all(b - a == 1 for a, b in pairwise(sorted(numbers)))
    return not set(wanted).isdisjoint(names) and (in_order or without_gaps)


def _by_pyarrow(source: Source, dialect: Dialect) -> list[tuple[Codes, Any]] | None:
    """Return the codes and texts of each column; None if pyarrow isn't installed, or if the rows aren't regular."""
    try:
        _pyarrow.require_pyarrow()
    except ImportError:
        return None
    columns = [Growing() for _ in dialect.names]
    limit = memory_limit()
    size = min(max(BLOCK, BLOCK_ROWS * dialect.row_bytes), LARGEST_BLOCK)
    with source.opened() as file:
        separator, named = dialect.cutting.separator, dialect.named
        for block in _pyarrow.text_blocks(file, separator, len(columns), dialect.quoted, size, named):
            if block is None:
                return None
            for column, (codes, texts) in zip(columns, block, strict=True):
                column.add(codes, texts)
            if sum(column.nbytes for column in columns) > limit:
                expected = f"what fits into {int(limit):,} bytes of memory"
                raise MemoryError(wrong("the table", expected, "a larger one"))
    return [column.whole() for column in columns]


class Growing:
    """A column of which one block after the other is read.

    Blocks have their own numbers for texts. They wait until some of them get the column's numbers together.
    """

    def __init__(self) -> None:
        self.texts = _pyarrow.no_texts()
        self.codes: Codes = np.empty(0, np.int8)
        self.count = 0
        self.waiting: list[tuple[Codes, Any]] = []
        self.rows_waiting = self.texts_waiting = 0

    @property
    def nbytes(self) -> int:
        """Memory of the column."""
        return self.codes.nbytes + int(self.texts.nbytes)

    def add(self, codes: Codes, texts: Any) -> None:
        """Add a block: the number of each row's text, -1 for an empty cell, and the texts."""
        self.waiting.append((_small(codes, len(texts)), texts))
        self.rows_waiting += len(codes)
        self.texts_waiting += len(texts)
        if self.rows_waiting > ROWS_WAITING or self.texts_waiting > max(TEXTS_WAITING, len(self.texts)):
            self._take()

    def whole(self) -> tuple[Codes, Any]:
        """Return the codes of all rows, and the texts."""
        self._take()
        return self.codes[: self.count], self.texts

    def _take(self) -> None:
        self.texts, maps = _pyarrow.united([self.texts, *(texts for _, texts in self.waiting)])
        self.codes = _small(self.codes, len(self.texts))
        end = self.count + self.rows_waiting
        if end > len(self.codes):
            larger = np.empty(int(LARGER * end), self.codes.dtype)
            larger[: self.count] = self.codes[: self.count]
            self.codes = larger
        for (codes, _), new in zip(self.waiting, maps[1:], strict=True):
            place = self.codes[self.count : self.count + len(codes)]
            np.take(np.append(new, -1).astype(self.codes.dtype), codes, out=place, mode="wrap")
            self.count += len(codes)
        self.waiting.clear()
        self.rows_waiting = self.texts_waiting = 0


def _small(codes: Codes, n_texts: int) -> Codes:
    """Return codes in the smallest dtype, as pandas keeps them."""
    dtype = next((kind for kind in (np.int8, np.int16) if n_texts <= np.iinfo(kind).max), np.int32)
    return codes.astype(dtype, copy=False)
