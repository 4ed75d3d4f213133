"""The problems of a table, collected into one error, and what its reader should know, in one warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import level_outside, shown
from .._files import TableError
from ._cells import Cells

SHOWN = 3  # rows, and texts, that a message lists

_numbers: ContextVar[npt.NDArray[np.int64] | None] = ContextVar("numbers of the rows in their file", default=None)


class Problems:
    """Problems and remarks, each a sentence about a column."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.remarks: list[str] = []

    def add(self, problem: str) -> None:
        """Add a problem."""
        self.found.append(problem)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Add the errors that are raised inside."""
        try:
            yield
        except TableError as error:
            self.found += str(error).split("\n")

    def check(self) -> None:
        """Raise all problems as one error."""
        if self.found:
            raise TableError("\n".join(self.found))

    def warn(self) -> None:
        """Warn once, with all remarks."""
        if self.remarks:
            warnings.warn("\n".join(self.remarks), UserWarning, stacklevel=level_outside())


@contextmanager
def numbered(rows: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[None]:
    """Let the messages about a frame name rows by these numbers, those of the file that the frame is a part of."""
    token = _numbers.set(np.asarray(rows, np.int64))
    try:
        yield
    finally:
        _numbers.reset(token)


@contextmanager
def numbered_from_zero(n_rows: int) -> Iterator[None]:
    """Let the messages about a frame count rows from 0, unless `numbered` says their numbers."""
    if _numbers.get() is not None:
        yield
        return
    with numbered(range(n_rows)):
        yield


def rows_of(flags: npt.NDArray[np.bool_]) -> str:
    """Return which rows are flagged: row 3, or 17 rows (3, 5, 6 …)."""
    numbers = _numbers.get()
    found = np.flatnonzero(flags) + 1 if numbers is None or len(numbers) != len(flags) else numbers[flags]
    if len(found) == 1:
        return f"row {found[0]}"
    return f"{len(found):,} rows ({', '.join(map(str, found[:SHOWN]))}{' …' if len(found) > SHOWN else ''})"


def texts_of(cells: Cells, flags: npt.NDArray[np.bool_]) -> str:
    """Return the first flagged values: '?', 'n.a.' and 4 more."""
    found = [shown(text) for text in cells.texts[flags][:SHOWN]]
    more = int(flags.sum()) - len(found)
    return ", ".join(found) + (f" and {more} more" if more else "")


def listed(names: Iterable[Any]) -> str:
    """Return the first ten names as text."""
    every = list(names)
    return ", ".join(map(shown, every[:10])) + (f" and {len(every) - 10} more" if len(every) > 10 else "")


def check_columns(there: Iterable[Any], names: Iterable[str]) -> None:
    """Refuse a frame that lacks some of these columns."""
    have = list(there)
    missing = [name for name in names if name not in have]
    if missing:
        word = "a column" if len(missing) == 1 else "the columns"
        raise TableError(f"expected {word} {listed(missing)}, got the columns {listed(have)}{_renames(have, missing)}")


def _renames(there: Iterable[Any], missing: Iterable[str]) -> str:
    """Return which columns may be the missing ones under another name, or ""."""
    from difflib import get_close_matches

    by_letters = {str(name).strip().casefold(): name for name in there}
    found = []
    for name in missing:
        near = get_close_matches(name.strip().casefold(), by_letters, 1, 0.8)
        found += [f"{by_letters[near[0]]!r} to {name!r}"] if near else []
    return f"; if these are the same, rename {', '.join(found[:5])}" if found else ""
