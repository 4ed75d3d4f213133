"""The target of a table: its classes or numbers, which rows have one, and the network's answers in its words."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import one_of, shown
from .._files import TableError
from .._files.columns import Categories, Numbers, Table
from .._files.spellings import label
from . import _dates, _numbers
from ._cells import Array, Cells, Flags, cells_of, trimmed
from ._numbers import Reading
from ._problems import check_columns, listed, rows_of, texts_of

if TYPE_CHECKING:
    from pandas import DataFrame

TASKS = ("auto", "classes", "numbers")
FEW = 20  # the most different integers in a target that are classes
MANY = 1000  # the most classes of a target
SMALL = 20  # rows; in larger tables, at most half of them have a class of their own
ZEROS = re.compile(r"\s*[+-]?0[0-9]+\s*")  # an integer with leading zeros, such as a postal code


def with_target(table: Table | str, frame: DataFrame, task: str = "auto") -> Flags:
    """Return which rows have a target, (n,) of bool. For a target of numbers, text and infinity are none.

    Parameters
    ----------
    table : Table or str
        A recognised table, or the name of the target.
    frame : pandas.DataFrame
        The rows.
    task : {"auto", "classes", "numbers"}
        What the target is, if only its name is given.
    """
    return target_rows(table, frame, task)[0]


def target_rows(table: Table | str, frame: DataFrame, task: str = "auto") -> tuple[Flags, str]:
    """Return which rows have a target, as `with_target`, and what the others have in place of a number, or ""."""
    name = table if isinstance(table, str) else table.target.name
    check_columns(frame.columns, [name])
    cells = trimmed(frame[name])
    _refuse_nested(cells)
    if isinstance(table, Table):
        if isinstance(table.target, Categories):
            return cells.rows(~cells.missing_except(table.target.codes)), ""
        numbers = _numbers.read(cells, table.target.spelling, table.target.unit)
    elif task == "classes" or _has_zeros(cells) or (reading := _numbers.recognise(cells)) is None:
        return cells.rows(~cells.null), ""
    else:
        numbers = reading.numbers
    known = np.isfinite(numbers)
    if not (odd := ~known & ~cells.null).any():
        return cells.rows(known), ""
    what = "finite numbers" if np.isinf(numbers).any() else "numbers"
    are = f"are not {what}" if odd.sum() > 1 else f"is not a {what[:-1]}"
    return cells.rows(known), f"{texts_of(cells, odd)} in {rows_of(cells.rows(odd))} {are}"


def recognised_target(cells: Cells, task: str) -> Numbers | Categories:
    """Return how the target becomes numbers. Every row has one.

    Raises
    ------
    TableError
        If rows have no target, if all have the same, or if it is neither classes nor numbers.
    """
    name, missing = cells.name, cells.rows(cells.null, null=True)
    _refuse_nested(cells)
    if missing.any():
        raise TableError(f"column {name!r}, the target, is missing in {rows_of(missing)}; remove rows without a target")
    if not len(cells.values):
        raise TableError(f"column {name!r}, the target: expected at least one row, got none")
    zeros = _has_zeros(cells)
    reading = _numbers.recognise(cells, forced=task == "numbers") or Reading(cells.plain)
    numbers = reading.numbers
    is_number = ~np.isnan(numbers)
    share = float(cells.counts[is_number].sum() / len(cells))
    if is_number.all() and not zeros:
        _refuse(cells, np.isinf(numbers), "but numbers must be finite in float64; fix or remove such rows")
    texts = list(cells.texts)
    whole = bool((numbers[is_number] == np.round(numbers[is_number])).all())
    plain = reading.spelling == "plain"
    labels = [label(text) for text in texts] if whole and is_number.all() and not zeros and plain else texts
    names = len(set(labels))
    repeat = len(cells) <= SMALL or names <= len(cells) / 2
    few = zeros or (whole and plain and names <= FEW and repeat) or share <= 0.5
    if task == "auto" and not few:
        advice = "but most of its values are numbers; fix or remove such rows, or train with --task classes"
        _refuse(cells, ~is_number, advice)
    if task == "numbers" or (task == "auto" and not few):
        if not is_number.all():
            came = f"dates, such as {shown(texts[0])}" if _dates.recognise(cells) else texts_of(cells, ~is_number)
            advice = "choose another --target" if came.startswith("dates") else "use --task classes"
            raise TableError(f"column {name!r}, the target: expected numbers, got {came}; {advice}")
        return _numbers_of(cells, reading)
    return _classes(cells, labels)


def _numbers_of(cells: Cells, reading: Reading) -> Numbers:
    """Return a target of numbers."""
    numbers, counts = reading.numbers, cells.counts
    _refuse(cells, np.isinf(numbers), "but numbers must be finite in float64; fix or remove such rows")
    if len(np.unique(numbers)) < 2:
        raise TableError(_constant(cells))
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.average(numbers, weights=counts))
        deviation = float(np.sqrt(np.average((numbers - mean) ** 2, weights=counts)))
    if not math.isfinite(mean) or not math.isfinite(deviation):
        came = f"column {cells.name!r}, the target: expected numbers that can be scaled, got too large ones"
        raise TableError(f"{came}; divide them by a constant")
    if why := _numbers.too_close(numbers, mean, deviation):
        raise TableError(f"column {cells.name!r}, the target: expected numbers that can be scaled, but they {why}")
    low, high = float(numbers.min()), float(numbers.max())
    return Numbers(cells.name, mean, deviation, False, False, reading.spelling, reading.unit, low, high)


def _classes(cells: Cells, labels: list[str]) -> Categories:
    """Return a target of classes."""
    counts: dict[str, int] = {}
    for text, count in zip(labels, cells.counts.tolist(), strict=True):
        counts[text] = counts.get(text, 0) + count
    if len(counts) < 2:
        raise TableError(_constant(cells))
    if len(counts) > MANY or (len(cells) > SMALL and len(counts) > len(cells) / 2):
        came = f"{len(counts):,} different values in {len(cells):,} rows, such as {shown(labels[0])}"
        advice = "choose another --target, or --task numbers if these are numbers"
        if _dates.recognise(cells):
            came = f"{len(counts):,} different dates, such as {shown(labels[0])}"
            advice = "choose another --target, such as a column with a number of days"
        raise TableError(f"column {cells.name!r}, the target: expected a few classes, or numbers, got {came}; {advice}")
    names = sorted(counts, key=lambda text: (number_in(text), text))
    return Categories(cells.name, tuple(names), None, counts=(*(counts[text] for text in names), 0, 0))


def _constant(cells: Cells) -> str:
    came = shown(cells.texts[0])
    return (
        f"column {cells.name!r}, the target: expected different values, got {came} in all rows; choose another --target"
    )


def targets(table: Table, frame: DataFrame, unknown: str = "error") -> Array:
    """Return (n,) scaled numbers or class numbers.

    Parameters
    ----------
    table : Table
        A recognised table.
    frame : pandas.DataFrame
        The rows, each with a target.
    unknown : {"error", "other"}
        What a class becomes that training did not have: an error, or the number -1.
    """
    one_of("unknown", unknown, ("error", "other"))
    column = table.target
    check_columns(frame.columns, [column.name])
    cells = cells_of(frame[column.name])
    _refuse_nested(cells)
    known = column.codes if isinstance(column, Categories) else ()
    missing = cells.rows(cells.missing_except(known), null=True)
    if missing.any():
        raise TableError(
            f"column {column.name!r}, the target, is missing in {rows_of(missing)}; remove rows without a target"
        )
    if isinstance(column, Numbers):
        numbers = _numbers.read(cells, column.spelling, column.unit)
        _refuse(cells, ~np.isfinite(numbers), "but a finite number is expected; fix it")
        return column.scaled(numbers, clamped=False)[cells.codes]
    codes = np.array([column.code(text) for text in cells.texts], np.int64)
    if unknown == "error":
        _refuse(cells, codes < 0, f"which is not one of its categories: {listed(column.categories)}")
    return codes[cells.codes]


def answers(table: Table, output: Any) -> Array:
    """Return a network's outputs in the target's own units, (n,): numbers, or names of classes.

    Parameters
    ----------
    table : Table
        A recognised table.
    output : array of float
        What `Trainer.predict` returns, (n, n_L). Numbers are clamped to the range of the target in training.
    """
    column, output = table.target, np.asarray(output)
    if isinstance(column, Numbers):
        return column.unscaled(output[:, 0])
    codes = (output[:, 0] >= 0.5).astype(np.int64) if table.n_outputs == 1 else output.argmax(axis=1)
    return np.array(column.categories, object)[codes]


def number_in(text: str) -> float:
    """Return the number in a text, to sort 10 after 9; infinity if it has none."""
    try:
        number = int(text) if text.lstrip("+-").isdecimal() and len(text) < 300 else float(text)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _has_zeros(cells: Cells) -> bool:
    if cells.values.dtype.kind in "iufbmM":
        return False
    return any(map(ZEROS.fullmatch, cells.texts))


def _refuse_nested(cells: Cells) -> None:
    """Refuse lists and other values that are neither numbers nor text."""
    if cells.nested is not None:
        came = f"values of type {type(cells.nested).__name__}"
        raise TableError(f"column {cells.name!r}, the target: expected numbers or text, got {came}")


def _refuse(cells: Cells, bad: Flags, why: str) -> None:
    """Refuse values of the target."""
    if bad.any():
        raise TableError(f"column {cells.name!r} has {texts_of(cells, bad)} in {rows_of(cells.rows(bad))}, {why}")
