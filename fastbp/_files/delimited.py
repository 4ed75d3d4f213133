"""Text tables: CSV files and the like, with any separator, in any encoding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _pyarrow
from .._checks import wrong
from .._memory_limit import memory_limit
from . import TableError, rows
from .dialects import SEPARATORS, Dialect, dialect_of
from .sources import Source

if TYPE_CHECKING:
    from pandas import DataFrame

Codes = npt.NDArray[np.signedinteger[Any]]
BLOCK = 1 << 18  # bytes that pyarrow reads at a time; larger blocks take more memory, smaller ones more time
BLOCK_ROWS = 100  # rows in a block, at the least
LARGEST_BLOCK = 1 << 28


def read(source: Source, wanted: Collection[str] = ()) -> DataFrame:
    """Return a text table. Every cell is text, so that a column means the same whatever other values it has.

    Each column is a pandas Categorical of the texts as they are in the file, in the order in which they first come.
    Empty cells are missing. `attrs["notes"]` says what the user should know about the file.

    Parameters
    ----------
    source : the file
    wanted : names of needed columns; the first line may be all numbers only if it has one of them
    """
    import pandas

    dialect = dialect_of(source, wanted)
    if not _is_header(dialect.names, wanted):
        advice = "add a line of names; if these are names, change one to text, such as x1"
        came = ", ".join(dialect.names)
        raise TableError(f"expected column names in the first line, got numbers: {came}; {advice}")
    notes = []
    if not dialect.encoding.startswith("utf-8"):
        notes.append(f"the file is not UTF-8; it was read as {dialect.encoding}")
    if dialect.separator != ",":
        notes.append(f"the separator is {SEPARATORS.get(dialect.separator, repr(dialect.separator))}")
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
    frame.columns = pandas.Index(dialect.names, dtype=object)
    frame.attrs["notes"] = notes
    return frame


def _categorical(codes: Codes, texts: Any) -> Any:
    import pandas

    return pandas.Categorical.from_codes(codes, pandas.Index(texts, dtype="str"))


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
    blocks: list[list[tuple[Codes, Any]]] = [[] for _ in dialect.names]
    limit, taken = memory_limit(), 0
    size = min(max(BLOCK, BLOCK_ROWS * dialect.row_bytes), LARGEST_BLOCK)
    with source.opened() as file:
        for block in _pyarrow.text_blocks(file, dialect.separator, len(blocks), dialect.quoted, size):
            if block is None:
                return None
            for column, (codes, texts) in zip(blocks, block, strict=True):
                column.append((_small(codes, len(texts)), texts))
                taken += column[-1][0].nbytes + texts.nbytes
            if taken > limit:
                expected = f"what fits into {int(limit):,} bytes of memory"
                raise MemoryError(wrong("the table", expected, "a larger one"))
    return [_joined(column) for column in blocks]


def _joined(blocks: list[tuple[Codes, Any]]) -> tuple[Codes, Any]:
    """Return the blocks of a column as one; the list is emptied, to free their memory."""
    texts, maps = _pyarrow.united([texts for _, texts in blocks])
    codes = _small(np.empty(0, np.int32), len(texts), sum(len(codes) for codes, _ in blocks))
    start = 0
    for (own, _), new in zip(_popped(blocks), maps, strict=True):
        np.take(np.append(new, -1).astype(codes.dtype), own, out=codes[start : start + len(own)], mode="wrap")
        start += len(own)
    return codes, texts


def _popped(items: list[Any]) -> Iterator[Any]:
    items.reverse()
    while items:
        yield items.pop()


def _small(codes: Codes, n_texts: int, n: int | None = None) -> Codes:
    """Return codes in the smallest dtype, as pandas keeps them; with n, new memory for so many."""
    dtype = next((kind for kind in (np.int8, np.int16) if n_texts <= np.iinfo(kind).max), np.int32)
    return codes.astype(dtype, copy=False) if n is None else np.empty(n, dtype)
