"""The inputs of rows, as a recognised table says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import one_of
from .._files.categories import ABSENT, OTHER
from .._files.cells import MISSING
from .._files.columns import Categories, Column, Dates, Numbers, Table
from .._files.plain import numbers_of
from . import _dates, _numbers
from ._cells import Array, Cells, Flags, cells_of
from ._pieces import Encoding, Part
from ._problems import Problems, check_columns, listed, rows_of, texts_of

if TYPE_CHECKING:
    from pandas import DataFrame

UNKNOWN = ("other", "error")


def inputs(table: Table, frame: DataFrame, unknown: str = "other") -> Array:
    """Return the inputs of a network, (n, n_1) as float32.

    Parameters
    ----------
    table : Table
        A recognised table.
    frame : pandas.DataFrame
        The rows. Columns that the table does not name are ignored.
    unknown : {"other", "error"}
        What a category becomes that training did not have, and a text among numbers or dates. "other": a rare category
        or a missing value, with a warning.
    """
    return encoded(table, frame, unknown)[:]


def encoded(table: Table, frame: DataFrame, unknown: str = "other") -> Encoding:
    """Return the rows, read and checked, with the arguments of `inputs`."""
    one_of("unknown", unknown, UNKNOWN)
    problems = Problems()
    encoding = encoded_with(table, frame, unknown, problems)
    problems.warn()
    return encoding


def encoded_with(table: Table, frame: DataFrame, unknown: str, problems: Problems) -> Encoding:
    """Return the rows, read and checked. Remarks about them are left to the caller."""
    check_columns(frame.columns, [column.name for column in table.columns])
    parts = []
    for column, place in zip(table.columns, table.slices.values(), strict=True):
        cells = cells_of(frame[column.name])
        parts.append(Part.of(place, _distinct_rows(column, cells, unknown, problems), cells.codes))
    problems.check()
    return Encoding(len(frame), table.n_inputs, tuple(parts))


def plain_inputs(table: Table, cells: Mapping[str, Sequence[str]]) -> Array | None:
    """Return the same as `inputs` from the cells of a plain file, by column; None if pandas must read one of them."""
    X: Array | None = None
    for column, place in zip(table.columns, table.slices.values(), strict=True):
        texts = cells[column.name]
        X = np.empty((len(texts), table.n_inputs), np.float32) if X is None else X
        rows = _plain_rows(column, texts)
        if rows is None:
            return None
        X[:, place] = rows
    return X


def _plain_rows(column: Column, texts: Sequence[str]) -> Array | None:
    """Return the inputs of plain cells, (n, width), or None if pandas must read one of them."""
    missing = {"", *MISSING}.difference(column.places if isinstance(column, Categories) else ()).intersection(texts)
    if isinstance(column, Dates) or (missing and not _may_miss(column)):
        return None
    present = [text for text in texts if text not in missing] if missing else texts
    is_present = np.array([text not in missing for text in texts])
    if isinstance(column, Numbers):
        numbers = numbers_of(present)
        if numbers is None or column.spelling not in ("plain", "point") or column.unit:
            return None
        every = np.full(len(texts), np.nan)
        every[is_present] = numbers
        return column.rows(every)
    places = np.full(len(texts), -1)
    places[is_present] = [column.place(text) for text in present]
    if (places[is_present] < 0).any():
        return None
    return column.rows(*_filled(column, places, ~is_present))


def _may_miss(column: Column) -> bool:
    """Return whether a missing value needs neither a warning nor an error."""
    own = column.absent if isinstance(column, Categories) else column.indicator
    return own or (not column.lenient and column.fill not in (None, False))


def _filled(column: Categories, places: Array, gone: Flags) -> tuple[Array, Array]:
    """Return the codes and the places of categories, with those of missing ones."""
    codes = np.where(places < len(column.categories), places, OTHER)
    if column.fill is None:
        return np.where(gone, ABSENT, codes), places
    place = column.places[column.fill]
    return np.where(gone, place, codes), np.where(gone, place, places)


def places_of(column: Categories, cells: Cells) -> Array:
    """Return (n,) the place of each row's category in the column's statistics; −1 for a missing or an unknown one."""
    return np.append(places_in(column, cells), -1)[cells.codes]


def places_in(column: Categories, cells: Cells) -> Array:
    """Return (u,) the place of each distinct value; −1 for a missing or an unknown one."""
    null = cells.missing_except(column.places)
    found = [-1 if gone else column.place(text) for text, gone in zip(cells.texts, null, strict=True)]
    return np.array(found, np.int64)


def _distinct_rows(column: Column, cells: Cells, unknown: str, problems: Problems) -> Array:
    """Return the inputs of each distinct value, and of null, (u + 1, width) as float32."""
    if isinstance(column, Categories):
        check_category_cells(column, cells, unknown, problems)
        null = cells.missing_except(column.places)
        rows = column.rows(*_filled(column, np.append(places_in(column, cells), -1), np.append(null, True)))
    else:
        rows = column.rows(np.append(check_number_cells(column, cells, unknown, problems), np.nan))
    return rows.astype(np.float32)


def _is_nested(cells: Cells, problems: Problems) -> bool:
    """Return whether a column has values that are neither numbers nor text, which is a problem."""
    if cells.nested is None:
        return False
    came = f"values of type {type(cells.nested).__name__}"
    problems.add(f"column {cells.name!r}: expected numbers or text, got {came}; fix it")
    return True


def check_number_cells(column: Numbers | Dates, cells: Cells, unknown: str, problems: Problems) -> Array:
    """Return (u,) numbers or days, NaN for what can't be read, and tell of what training did not have."""
    if _is_nested(cells, problems):
        return np.zeros(0)
    numbers = _values(column, cells)
    _check_values(column, cells, numbers, unknown, problems)
    return numbers


def _values(column: Numbers | Dates, cells: Cells) -> Array:
    """Return (u,) numbers, or days since 1970; NaN for what can't be read, and for infinite numbers."""
    if isinstance(column, Dates):
        return _dates.read(cells, column.format)
    numbers = _numbers.read(cells, column.spelling, column.unit)
    numbers[np.isinf(numbers)] = np.nan
    return numbers


def _check_values(column: Numbers | Dates, cells: Cells, values: Array, unknown: str, problems: Problems) -> None:
    """Tell of missing values that training did not have, and of texts that can't be read."""
    what = "a finite number" if isinstance(column, Numbers) else "a date"
    null = cells.marked | _dates.blank(cells) if isinstance(column, Dates) else cells.marked
    _check_missing(column, cells, null, problems)
    if (bad := np.isnan(values) & ~null).any():
        came = f"column {column.name!r} has {texts_of(cells, bad)} in {rows_of(cells.rows(bad))}"
        if unknown == "error" or not column.fill:
            problems.add(f"{came}, but {what} is expected; fix it")
        else:
            problems.remarks.append(f"{came}, where {what} is expected; it counts as missing")


def _check_missing(column: Column, cells: Cells, null: Flags, problems: Problems) -> None:
    """Refuse missing values or tell of them, as the column says."""
    missing = cells.rows(null, null=True)
    if not missing.any() or (column.absent if isinstance(column, Categories) else column.indicator):
        return
    words = f" ({texts_of(cells, null)} counts as missing)" if null.any() else ""
    came = f"column {column.name!r} has no value in {rows_of(missing)}{words}"
    if column.lenient:
        filled = "other" if isinstance(column, Categories) else "the mean"
        problems.remarks.append(f"{came}, but had one in all rows of training; it counts as {filled}")
    elif column.fill in (None, False):
        problems.add(f"{came}; fill or remove such rows, or train with --missing indicator")


def check_category_cells(column: Categories, cells: Cells, unknown: str, problems: Problems) -> None:
    """Refuse categories that training did not have, or tell of them."""
    if _is_nested(cells, problems):
        return
    null = cells.missing_except(column.places)
    _check_missing(column, cells, null, problems)
    places = places_in(column, cells)
    if (bad := (places < 0) & ~null).any():
        came = f"column {column.name!r} has {texts_of(cells, bad)} in {rows_of(cells.rows(bad))}"
        if unknown == "error":
            problems.add(f"{came}, which is not one of its categories: {listed(column.categories)}")
        else:
            problems.remarks.append(f"{came}, which training did not have; it counts as other")
