"""The values of rows, read and checked as a recognised table says, before they are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._checks import one_of
from .._files.columns import Categories, Column, Dates, Numbers
from .._files.dates import CYCLES, parts_of
from ._cells import Array, Cells, cells_of
from ._problems import Problems, check_columns
from ._read import UNKNOWN, check_category_cells, check_number_cells, places_in

if TYPE_CHECKING:
    from pandas import DataFrame, Series

RISING = ("days", "year")  # the parts of dates that later dates have more of
ENDLESS = (-np.inf, np.inf)
WAVE_DIGITS = 12  # of sines and cosines: without rounding, sin(π) and sin(0) are two values


@dataclass(frozen=True)
class RawColumns:
    """The values of rows.

    Attributes
    ----------
    names : the names of the columns of the frame
    numbers : (p, n) float64, a row for each column of numbers and for each part of a column of dates; NaN is missing
    places : (q, n) int32, a row for each column of categories with u categories: the place of each row's category among
        ``column.places``, u for a missing category, u + 1 for one that training did not have
    owners : (p,) and (q,) the column of the frame, by number, that each row of `numbers` and of `places` is from
    """

    names: tuple[str, ...]
    numbers: Array
    places: Array
    owners: tuple[Array, Array]

    def __len__(self) -> int:
        return self.numbers.shape[1]

    def take(self, rows: Array | slice) -> RawColumns:
        """Return some of the rows."""
        return replace(self, numbers=self.numbers[:, rows], places=self.places[:, rows])

    def mixed(self, other: RawColumns, flags: npt.NDArray[np.bool_]) -> RawColumns:
        """Return rows whose columns are those of other rows where flags, (n, number of columns), says so."""
        numbers, places = (flags.T[owners] for owners in self.owners)
        return replace(
            self,
            numbers=np.where(numbers, other.numbers, self.numbers),
            places=np.where(places, other.places, self.places),
        )


def raw_columns(
    columns: Sequence[Column], frame: DataFrame, unknown: str = "other", *, silent: bool = False
) -> RawColumns:
    """Return the values of a table's columns.

    Parameters
    ----------
    columns : sequence of Column
        The columns of a recognised table.
    frame : pandas.DataFrame
        The rows. Columns that the table does not name are ignored.
    unknown : {"other", "error"}
        What happens to a category that training did not have, as in `inputs`.
    silent : bool
        Whether to keep remarks about the rows, which are those of training, to itself.
    """
    one_of("unknown", unknown, UNKNOWN)
    names = tuple(column.name for column in columns)
    check_columns(frame.columns, names)
    problems = Problems()
    owners = owners_of(columns)
    numbers = np.empty((len(owners[0]), len(frame)))
    places = np.empty((len(owners[1]), len(frame)), np.int32)
    i = j = 0
    for column in columns:
        plain = _plain(column, frame[column.name])
        if plain is not None:
            numbers[i] = plain
            i += 1
            continue
        cells = cells_of(frame[column.name])
        if isinstance(column, Categories):
            check_category_cells(column, cells, unknown, problems)
            places[j] = _places(column, cells)
            j += 1
            continue
        values = check_number_cells(column, cells, unknown, problems)
        each = values[None] if not isinstance(column, Dates) else _parts(column, values)
        for row in each:
            np.take(np.append(row, np.nan), cells.codes, out=numbers[i], mode="wrap")
            i += 1
    problems.check()
    if not silent:
        problems.warn()
    for row, low, high in zip(numbers, *limits_of(columns), strict=True):
        np.clip(row, low, high, out=row)
    return RawColumns(names, numbers, places, owners)


def _plain(column: Column, series: Series[Any]) -> Array | None:
    """Return the numbers of a column that holds nothing else; None if its distinct values have to be looked at."""
    if not isinstance(column, Numbers) or series.dtype.kind not in "iuf":
        return None
    numbers = series.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(numbers)
    return numbers if known.all() or (column.indicator and not np.isinf(numbers).any()) else None


def limits_of(columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    """Return the range in training of each row of `RawColumns.numbers`, to which new rows are clamped.

    Models know nothing of numbers beyond it. Only the days and the year of a date have limits.
    """
    limits: list[tuple[float, float]] = []
    for column in columns:
        if isinstance(column, Dates):
            ends = parts_of(np.array([column.low, column.high]), column.parts).T.tolist()
            limits += [
                (low, high) if part in RISING else ENDLESS
                for part, (low, high) in zip(_rows(column), ends, strict=True)
            ]
        elif isinstance(column, Numbers):
            limits.append(ENDLESS if column.low is None or column.high is None else (column.low, column.high))
    return [low for low, _ in limits], [high for _, high in limits]


def owners_of(columns: Sequence[Column]) -> tuple[Array, Array]:
    """Return `RawColumns.owners` of rows with these columns."""
    counts = [n_numbers(column) for column in columns]
    return np.repeat(np.arange(len(columns)), counts), np.flatnonzero(np.array(counts, np.int64) == 0)


def n_numbers(column: Column) -> int:
    """Return the number of rows of `RawColumns.numbers` that a column becomes."""
    if isinstance(column, Categories):
        return 0
    return len(column.means) if isinstance(column, Dates) else 1


def _rows(column: Dates) -> list[str]:
    """Return the part of dates that each row of their numbers is from; cyclic ones have a sine and a cosine."""
    return [part for part in column.parts for _ in range(2 if part in CYCLES else 1)]


def _parts(column: Dates, days: Array) -> Array:
    """Return the parts of dates, (number of parts, u)."""
    gone = np.isnan(days)
    found = parts_of(np.where(gone, column.low, days), column.parts).T
    waves = [part in CYCLES for part in _rows(column)]
    found[waves] = found[waves].round(WAVE_DIGITS)
    found[:, gone] = np.nan
    return found


def _places(column: Categories, cells: Cells) -> Array:
    """Return the place of each row's category, as in `RawColumns.places`."""
    u = len(column.places)
    gone = u if column.fill is None else column.places[column.fill]
    found = np.where(cells.missing_except(column.places), gone, places_in(column, cells))
    return np.append(np.where(found < 0, u + 1, found), gone).astype(np.int32)[cells.codes]
