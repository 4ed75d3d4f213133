"""How the columns of a table become the inputs and targets of a network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._checks import shown
from ._files import TableError
from ._files.cells import MISSING, missing_in, numbers_in, texts_in
from ._files.columns import EXACT, Categories, Column, Numbers, Table, label
from ._files.plain import numbers_of

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = npt.NDArray[Any]

FEW = 20  # the most different integers in a target that are classes
MANY = 100  # the most categories of a column; more are names, identifiers or dates
INFINITE = "but numbers must be finite in float64; fix or remove such rows"
ZEROS = r"\s*[+-]?0[0-9]+\s*"  # an integer with leading zeros, such as a postal code


def recognise(frame: DataFrame, target: str, task: str = "auto", *, fill: bool = False) -> Table:
    """Return how each column becomes numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        Column names are strings.
    target : str
        Name of the column to predict.
    task : {"auto", "classes", "numbers"}
        What the target is. "auto" treats text, and at most 20 different integers, as classes.
    fill : bool
        Whether a missing input is replaced by the mean or by the most frequent category. Otherwise it is an error.
    """
    _check_columns(frame, [target])
    if len(frame.columns) < 2:
        raise TableError(f"expected a column besides {target!r} to predict it from, got none")
    columns = [_recognised(frame[name], fill=fill) for name in frame.columns if name != target]
    return Table(tuple(columns), _recognised_target(frame[target], task))


def _recognised(series: Series[Any], *, fill: bool) -> Column:
    name, missing = str(series.name), missing_in(series)
    present = series[~missing]
    if present.empty:
        raise TableError(f"column {name!r} has no values; remove it")
    if zeros := _leading_zeros(present):
        return _categories(name, list(texts_in(present)), fill=fill, zeros=zeros)
    numbers = numbers_in(present)
    is_number = ~np.isnan(numbers)
    if is_number.all():
        return _scaled(series, missing, numbers, fill=fill)
    if is_number.mean() > 0.5:
        advice = "but most of its values are numbers; fix or remove such rows"
        _refuse_value(series, _among(missing, ~np.isfinite(numbers)), advice)
    return _categories(name, list(texts_in(present)), fill=fill)


def _recognised_target(series: Series[Any], task: str) -> Column:
    name, missing = str(series.name), missing_in(series)
    _refuse_missing(series, missing, "remove rows without a target")
    numbers, zeros = numbers_in(series), _leading_zeros(series)
    is_number = ~np.isnan(numbers)
    if is_number.all() and not zeros:
        _refuse_value(series, np.isinf(numbers), INFINITE)
    texts = list(texts_in(series))
    whole = bool((numbers[is_number] == np.round(numbers[is_number])).all())
    labels = [label(text) for text in texts] if whole and is_number.all() and not zeros else texts
    few = bool(zeros) or (whole and len(set(labels)) <= FEW) or is_number.mean() <= 0.5
    if task == "auto" and not few:
        advice = "but most of its values are numbers; fix or remove such rows, or train with --task classes"
        _refuse_value(series, ~is_number, advice)
    if task == "numbers" or (task == "auto" and not few):
        if not is_number.all():
            raise TableError(f"column {name!r}, the target: expected numbers, got text; use --task classes")
        column: Column = _scaled(series, missing, numbers, fill=False)
        constant = len(np.unique(numbers)) < 2
    else:
        column = _categories(name, labels, fill=False, zeros=zeros)
        constant = len(column.categories) < 2
    if constant:
        raise TableError(f"column {name!r}, the target: expected different values, got {shown(texts[0])} in all rows")
    return column


def _leading_zeros(present: Series[Any]) -> str:
    """Return the first text such as 007, or "". Leading zeros mean that a column holds names, such as postal codes."""
    if present.dtype.kind in "iufbmM":
        return ""
    texts = texts_in(present)
    zeros = texts[texts.str.fullmatch(ZEROS).to_numpy(bool)]
    return "" if zeros.empty else str(zeros.iloc[0])


def _scaled(series: Series[Any], missing: npt.NDArray[np.bool_], numbers: Array, *, fill: bool) -> Numbers:
    """Return a scaled column of these numbers, which are the values of the series that aren't missing."""
    name = str(series.name)
    _refuse_value(series, _among(missing, np.isinf(numbers)), INFINITE)
    _refuse_rounded(name, series[~missing], numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(numbers.mean()), float(numbers.std())
    if not math.isfinite(mean) or not math.isfinite(deviation):
        raise TableError(f"column {name!r} has numbers that are too large to be scaled; divide them by a constant")
    return Numbers(name, mean, deviation if deviation > 1e-12 * abs(mean) else 1.0, fill)


def _refuse_rounded(name: str, present: Series[Any], numbers: Array) -> None:
    """Refuse different integers that are equal in float64."""
    large = np.abs(numbers) > EXACT
    if large.any() and present.dtype.kind != "f":
        integers = {int(text) for text in texts_in(present[large]) if text.strip().lstrip("+-").isdecimal()}
        if len(integers) > len(set(map(float, integers))):
            advice = "subtract a constant from them, or remove the column"
            raise TableError(f"column {name!r} has different integers above 2**53 that are equal in float64; {advice}")


def _among(missing: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Expand (n,) flags for the values that aren't missing to all rows."""
    every = np.zeros(len(missing), bool)
    every[~missing] = found
    return every


def _categories(name: str, texts: list[str], *, fill: bool, zeros: str = "") -> Categories:
    counts = Counter(texts)
    if len(counts) > MANY:
        advice = "remove the column, or convert it to numbers"
        if zeros:
            advice += f"; it is text because of leading zeros, as in {zeros!r}"
        raise TableError(f"column {name!r}: expected at most {MANY} categories, got {len(counts)}; {advice}")
    categories = sorted(counts, key=lambda text: (_number(text), text))
    return Categories(name, tuple(categories), counts.most_common(1)[0][0] if fill else None)


def inputs(table: Table, frame: DataFrame) -> Array:
    """Return the inputs of a network, (n, n_1): the columns that the table names, in its order. Others are ignored."""
    _check_columns(frame, [column.name for column in table.columns])
    return np.hstack([_encoded(column, frame[column.name]) for column in table.columns])


def plain_inputs(table: Table, cells: Mapping[str, Sequence[str]]) -> Array | None:
    """Return the same as `inputs` from the cells of a plain file, by column; None if pandas must read one of them."""
    parts = []
    for column in table.columns:
        texts = cells[column.name]
        if isinstance(column, Numbers):
            numbers = numbers_of(texts)
            if numbers is None:
                return None
            parts.append((np.array(numbers)[:, None] - column.mean) / column.deviation)
        else:
            codes = [column.code(text) for text in texts]
            if min(codes) < 0 or not column.codes.keys() >= set(MISSING).intersection(texts):
                return None
            parts.append(np.eye(column.width)[codes])
    return np.hstack(parts)


def targets(table: Table, frame: DataFrame) -> Array:
    """Return (n,) scaled numbers or class numbers."""
    column = table.target
    _check_columns(frame, [column.name])
    series = frame[column.name]
    missing = _missing(column, series)
    _refuse_missing(series, missing, "remove rows without a target")
    return _z(column, series, missing) if isinstance(column, Numbers) else _codes(column, series, missing)


def _missing(column: Column, series: Series[Any]) -> npt.NDArray[np.bool_]:
    return missing_in(series, column.codes if isinstance(column, Categories) else ())


def _encoded(column: Column, series: Series[Any]) -> Array:
    """Return the (n, width) inputs that a column becomes."""
    missing = _missing(column, series)
    if column.fill in (None, False):
        _refuse_missing(series, missing, "fill or remove such rows, or train with --missing mean")
    if isinstance(column, Numbers):
        return _z(column, series, missing)[:, None]
    return np.eye(column.width)[_codes(column, series, missing)]


def _z(column: Numbers, series: Series[Any], missing: npt.NDArray[np.bool_]) -> Array:
    """Return (n,) scaled numbers, 0 for missing values."""
    numbers = numbers_in(series[~missing])
    _refuse_value(series, _among(missing, ~np.isfinite(numbers)), "but a finite number is expected; fix it")
    z = np.zeros(len(series))
    z[~missing] = (numbers - column.mean) / column.deviation
    return z


def _codes(column: Categories, series: Series[Any], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return (n,) numbers of the categories."""
    codes = np.full(len(series), -1 if column.fill is None else column.codes[column.fill])
    codes[~missing] = [column.code(text) for text in texts_in(series[~missing])]
    _refuse_value(series, codes < 0, f"which is not one of its categories: {_listed(column.categories)}")
    return codes


def _number(text: str) -> float:
    """Return the number in a text, to sort 10 after 9; infinity if it has none."""
    try:
        number = int(text) if text.lstrip("+-").isdecimal() and len(text) < 300 else float(text)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _check_columns(frame: DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        there = _listed(list(frame.columns))
        raise TableError(f"expected a column {_listed(missing)}, got the columns {there}")


def _refuse_missing(series: Series[Any], missing: npt.NDArray[np.bool_], advice: str) -> None:
    if missing.any():
        row = int(missing.argmax())
        value = series.iloc[row]
        counts = f" ({value!r} counts as missing)" if isinstance(value, str) else ""
        found = f"{missing.sum()} missing value{'s' if missing.sum() > 1 else ''}"
        raise TableError(f"column {series.name!r} has {found}, the first in row {row + 1}{counts}; {advice}")


def _refuse_value(series: Series[Any], bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        value = series.iloc[row]
        came = shown(value.item() if isinstance(value, np.generic) else value)
        raise TableError(f"column {series.name!r} has {came} in row {row + 1}, {why}")


def _listed(names: Any) -> str:
    """Return the first ten names as text."""
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
