"""Columns of a table recognised, and its rows made into a network's inputs and targets."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._checks import shown
from ._columns import Categories, Column, Numbers, Table
from ._table_files import TableError, numbers_in

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = npt.NDArray[Any]

FEW = 20  # different integers in a target that still are classes
MANY = 100  # different texts in a column that are no categories any more: names, identifiers, dates
TASKS = ("auto", "classes", "numbers")


def recognise(frame: DataFrame, target: str, task: str = "auto", *, fill: bool = False) -> Table:
    """How each column becomes numbers.

    Parameters
    ----------
    frame : from `_table_files.read`
    target : the name of the column to predict
    task : "classes", "numbers", or "auto": text and few different integers are classes
    fill : whether missing inputs are taken for the mean, or the most frequent category, rather than refused
    """
    _check_columns(frame, [target])
    if len(frame.columns) < 2:
        raise TableError(f"there is no column beside {target!r} to predict it from")
    columns = [_recognised(frame[name], fill=fill) for name in frame.columns if name != target]
    return Table(tuple(columns), _recognised_target(frame[target], task))


def _recognised(series: Series[Any], *, fill: bool) -> Column:
    name, present = str(series.name), series.dropna()
    if present.empty:
        raise TableError(f"column {name!r} holds no values; leave it out")
    numbers = numbers_in(present)
    is_number = np.isfinite(numbers)
    if is_number.all():
        return _scaled(name, numbers, fill=fill)
    if is_number.mean() > 0.5:
        _refuse_value(
            series, ~np.isfinite(numbers_in(series)) & series.notna().to_numpy(), "among numbers; mend or remove"
        )
    return _categories(name, [str(value) for value in present], fill=fill)


def _recognised_target(series: Series[Any], task: str) -> Column:
    name = str(series.name)
    _refuse_missing(series, "rows without a target teach nothing; remove them")
    numbers = numbers_in(series)
    if not np.isnan(numbers).any():
        _refuse_value(series, np.isinf(numbers), "among numbers; mend or remove")
    integers = bool((np.isfinite(numbers) & (numbers == np.round(numbers))).all())
    if series.nunique() < 2:
        raise TableError(f"column {name!r}, the target, holds {shown(series.iloc[0])} only; there is nothing to learn")
    classes = not np.isfinite(numbers).all() or (integers and series.nunique() <= FEW)
    if task == "numbers" or (task == "auto" and not classes):
        column = _recognised(series, fill=False)
        if isinstance(column, Categories):
            raise TableError(f"column {name!r}, the target, holds text, not numbers")
        return column
    return _categories(
        name, [str(int(number)) for number in numbers] if integers else list(map(str, series)), fill=False
    )


def _scaled(name: str, numbers: Array, *, fill: bool) -> Numbers:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(numbers.mean()), float(numbers.std())
    if not math.isfinite(mean) or not math.isfinite(deviation):
        raise TableError(f"column {name!r} holds numbers too large to be scaled")
    return Numbers(name, mean, deviation if deviation > 1e-12 * abs(mean) else 1.0, fill)


def _categories(name: str, texts: list[str], *, fill: bool) -> Categories:
    counts = Counter(texts)
    if len(counts) > MANY:
        advice = "leave it out, or make numbers of it"
        raise TableError(f"column {name!r} holds {len(counts)} different texts, more than {MANY} categories; {advice}")
    categories = sorted(counts, key=lambda text: (_number(text), text))
    return Categories(name, tuple(categories), counts.most_common(1)[0][0] if fill else None)


def inputs(table: Table, frame: DataFrame) -> Array:
    """(n, n_1) numbers of the table's columns, in its order; other columns don't matter."""
    _check_columns(frame, [column.name for column in table.columns])
    return np.hstack([_encoded(column, frame[column.name]) for column in table.columns])


def targets(table: Table, frame: DataFrame) -> Array:
    """(n,) scaled numbers, or class numbers."""
    column = table.target
    _check_columns(frame, [column.name])
    series = frame[column.name]
    _refuse_missing(series, "rows without a target can't be judged; remove them")
    return _z(column, series) if isinstance(column, Numbers) else _codes(column, series)


def _encoded(column: Column, series: Series[Any]) -> Array:
    """(n, width)."""
    if column.fill in (None, False):
        _refuse_missing(series, "mend or remove such rows, or train with --missing mean")
    if isinstance(column, Numbers):
        return _z(column, series)[:, None]
    return np.eye(column.width)[_codes(column, series)]


def _z(column: Numbers, series: Series[Any]) -> Array:
    """(n,) scaled numbers, 0 where they are missing."""
    numbers, missing = numbers_in(series), series.isna().to_numpy()
    _refuse_value(series, ~np.isfinite(numbers) & ~missing, "where a number is expected")
    return np.where(missing, 0.0, (numbers - column.mean) / column.deviation)


def _codes(column: Categories, series: Series[Any]) -> npt.NDArray[np.int64]:
    """(n,) numbers of the categories."""
    texts = [str(column.fill if gone else value) for value, gone in zip(series, series.isna(), strict=True)]
    known = column.codes  # "1.0" is the category "1" where nothing else is called so
    codes = np.array([known.get(text, known.get(_whole(_number(text)) or text, -1)) for text in texts])
    _refuse_value(series, codes < 0, f"which is none of its categories: {_listed(column.categories)}")
    return codes


def _number(text: str) -> float:
    """What a text says as a number, to sort 10 after 9; infinite where it says none."""
    try:
        number = float(text)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _whole(number: float) -> str | None:
    """An integer's name, whether it was written 1 or 1.0; None of another number, which no category is called."""
    return str(int(number)) if number.is_integer() else None


def _check_columns(frame: DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        there = _listed([str(name) for name in frame.columns])
        raise TableError(f"there is no column {_listed(missing)}; the file has {there}")


def _refuse_missing(series: Series[Any], advice: str) -> None:
    missing = series.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax()) + 1
        raise TableError(f"column {series.name!r} has no value in row {row} and {missing.sum()} in all; {advice}")


def _refuse_value(series: Series[Any], bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        value = series.iloc[row]
        came = shown(value.item() if isinstance(value, np.generic) else value)
        raise TableError(f"column {series.name!r} has {came} in row {row + 1}, {why}")


def _listed(names: Any) -> str:
    """The first ten."""
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
